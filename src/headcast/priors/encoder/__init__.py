"""Identity and perceptual encoder: ``losses`` weights to train with, ``evaluator`` weights to measure."""

from headcast.priors.encoder.infer import available, face_crops, load_encoder
from headcast.priors.encoder.network import Encoder

__all__ = ["Encoder", "available", "face_crops", "load_encoder"]
