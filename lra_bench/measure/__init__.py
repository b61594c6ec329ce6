"""Throughput, memory, and where they were taken."""
