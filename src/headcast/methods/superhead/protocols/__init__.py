"""Evaluation protocols of SuperHead: on the floor of the evaluator."""
