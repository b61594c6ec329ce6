"""What all figures share: a canvas of their own, colours and markers."""
