"""Protocols: everything about a cell but its task, attention, encoding and seed, as YAML files."""
