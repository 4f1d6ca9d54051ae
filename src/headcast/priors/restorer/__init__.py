"""Blind restoration of faces: soft, small, noisy, compressed pictures become clear ones of the same size."""
