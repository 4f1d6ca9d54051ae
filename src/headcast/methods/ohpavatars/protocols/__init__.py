"""Protocols of ``headcast evaluate`` that measure this method alone; loaded by the evaluator."""
