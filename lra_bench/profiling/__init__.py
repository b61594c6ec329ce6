"""Cost of mixers and encodings by length: one fresh process for each measurement."""
