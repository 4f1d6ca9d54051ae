"""Ways to reconstruct: one paper or idea, one folder."""
