"""Long Range Arena: tasks × mixers × positional encodings, trained, measured, compared."""

__version__ = "0.1.0"
