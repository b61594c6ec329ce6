"""Studies: which cells there are, which are done, and running the rest."""
