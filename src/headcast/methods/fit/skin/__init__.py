"""The head's texture: what the photos show of it, and its completion where they show nothing."""
