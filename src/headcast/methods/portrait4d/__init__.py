"""Portrait4D-v2 (Deng, Wang, Wang 2024): one image to a 4D head in one forward pass."""
