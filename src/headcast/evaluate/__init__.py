"""Evaluation protocols and their tables: what headcast reaches, with the command that shows it."""
