"""Blind restoration of faces: soft, small, noisy, compressed images become clear ones of the same size."""
