"""Avatars: what a reconstruction gives, how it is drawn, kept in a file and opened again."""
