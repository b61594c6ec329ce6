"""The conformance suite: invariants that every encoding and attention is put through."""
