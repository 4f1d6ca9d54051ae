"""Settings of the trainer that do not depend on the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from headcast.errors import HeadcastError

__all__ = ["ComputeDtype", "Precision", "TrainConfig"]

ComputeDtype = Literal["32", "bf16"]
Precision = Literal["auto", ComputeDtype]


@dataclass(frozen=True)
class TrainConfig:
    """Settings of the trainer. A run ends after ``minutes`` or at ``steps``, whichever comes first."""

    minutes: float | None = None
    """How long this run may take, set-up and writing included; the next run resumes where it stopped."""
    steps: int | None = None
    """Step at which training is complete."""
    seed: int = 0
    """Seed of the initial weights, of the data and of everything random."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N; under torchrun each process takes its own GPU."""
    precision: Precision = "32"
    """32; bf16: networks compute in bfloat16 where that is safe, weights stay 32 bits; auto: bf16 unless a
    second of timing on the device finds it slower, which a resumed run keeps."""
    accumulate: int = 1
    """Batches whose gradients are accumulated in one step."""
    ema: float = 0.999
    """Decay of the moving average of the weights, which are exported; 0: export the weights themselves."""
    clip: float = 0.0
    """Largest L2 norm of the gradient over all weights of an optimizer; 0: no clipping."""
    warmup: int = 0
    """Steps over which the learning rate rises to its full height."""
    cooldown: float = 0.0
    """Fraction of the run, at its end, over which the learning rate falls to zero."""
    log_every: int = 20
    """Steps over which a line of the log is the mean."""
    picture_every: int = 500
    """Steps between preview images; 0: only at the end."""
    checkpoint_seconds: float = 60.0
    """Seconds between checkpoints; one is also written at the end."""
    workers: int = 0
    """Threads that prepare batches ahead: for data read from files; synthetic heads need none."""
    engine: Literal["auto", "plain", "fabric"] = "auto"
    """plain: one process, only torch; fabric: Lightning Fabric, as always under torchrun."""

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            HeadcastError: a value is invalid; the message names the flag.
        """
        if self.precision not in get_args(Precision):
            raise HeadcastError(f"train: --precision must be one of {', '.join(get_args(Precision))}")
        for name in ("accumulate", "log_every"):
            if getattr(self, name) < 1:
                raise HeadcastError(f"train: --{name.replace('_', '-')} must be at least 1")
        for name in ("clip", "warmup", "picture_every", "checkpoint_seconds", "workers"):
            if getattr(self, name) < 0:
                raise HeadcastError(f"train: --{name.replace('_', '-')} cannot be negative")
        if not 0 <= self.ema < 1 or not 0 <= self.cooldown <= 1:
            raise HeadcastError("train: --ema lies in 0..1 (1 excluded), --cooldown in 0..1")
        if (self.minutes is not None and self.minutes <= 0) or (self.steps is not None and self.steps < 0):
            raise HeadcastError("train: --minutes and --steps must be positive")
