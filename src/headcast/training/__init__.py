"""Training: a resumable loop for any recipe; it knows neither people nor methods."""

from headcast.training.config import TrainConfig
from headcast.training.loop import TrainResult, train
from headcast.training.recipe import Recipe

__all__ = ["Recipe", "TrainConfig", "TrainResult", "train"]
