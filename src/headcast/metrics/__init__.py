"""Metrics of two images: how close, how sharp, the same person?"""
