"""The default method: a fitted head model, textured from the photo."""
