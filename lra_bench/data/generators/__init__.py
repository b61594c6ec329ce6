"""Generators of tasks whose data is made, not collected."""
