"""The program with something of it changed, run by tests as a process of its own."""
