"""Rendering: one function per primitive, with CPU and CUDA backends."""
