"""Functions of two pictures: how close, how sharp, the same person?"""
