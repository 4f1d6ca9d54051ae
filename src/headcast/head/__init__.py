"""The head model: parameters, geometry, skin."""
