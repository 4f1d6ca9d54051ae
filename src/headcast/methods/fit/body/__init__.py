"""Clothes and shoulders below the head: shape from the outline in the photo, and their texture."""
