"""Cost of attentions and encodings by length: one fresh process for each measurement."""
