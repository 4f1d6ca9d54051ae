"""Heads of other makers, worn by the same code: read, registered, rebuilt as a ``HeadModel``."""
