"""Squares cut out of images around faces: ``square`` by numpy and OpenCV, ``grid`` by torch, differentiable.

Pixel centres are at +0.5 everywhere. Callers keep the numbers that their networks were trained or published
with.
"""
