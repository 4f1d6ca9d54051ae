"""Synthetic heads with exact truth: who, how they look, move, are lit and seen."""

from headcast.synth.config import SynthConfig
from headcast.synth.stream import batches, make_batch

__all__ = ["SynthConfig", "batches", "make_batch"]
