"""Synthetic heads with exact truth: who, their appearance, motion, light and cameras."""

from headcast.synth.config import SynthConfig
from headcast.synth.stream import batches, make_batch

__all__ = ["SynthConfig", "batches", "make_batch"]
