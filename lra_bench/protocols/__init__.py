"""Protocols: everything about a cell but its task, mixer, encoding and seed, as YAML files."""
