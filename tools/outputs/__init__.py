"""Parts of ``tools/compare_outputs.py``: what headcast makes, as arrays and values that can be compared."""
