"""Two versions of the whole program, measured in turn: see ``benchmarks/against.py``."""
