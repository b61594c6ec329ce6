"""Long Range Arena: tasks × attentions × positional encodings, trained, measured, compared."""

__version__ = "0.1.0"
