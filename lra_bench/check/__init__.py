"""The conformance suite that any encoding or attention can be put through."""
