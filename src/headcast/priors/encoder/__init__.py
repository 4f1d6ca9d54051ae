"""Identity and perceptual encoder: ``load("losses")`` to train with, ``load("evaluator")`` to measure."""

from headcast.priors.encoder.infer import available, face_crops, load
from headcast.priors.encoder.network import Encoder

__all__ = ["Encoder", "available", "face_crops", "load"]
