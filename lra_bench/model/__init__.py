"""The Long Range Arena encoder: embedding, blocks, pooling, heads."""
