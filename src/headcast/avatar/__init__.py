"""Avatars: the result of a reconstruction; rendering, saving and loading."""
