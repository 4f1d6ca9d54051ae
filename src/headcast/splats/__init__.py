"""Gaussians on a rigged mesh: initialisation, shading, optimisation towards target views."""
