"""Rendering: one function per primitive, CPU and CUDA behind it."""
