"""What a number in a table means: it is stored with its network, crop, mask and range."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

__all__ = ["NO_NETWORK", "Better", "Figure"]

Better = Literal["high", "low", "neither"]
NO_NETWORK = "none"


@dataclass(frozen=True)
class Figure:
    """One kind of measurement.

    Attributes:
        key: its name in rows and in JSON.
        title: its name in tables.
        unit: of the value, empty for plain numbers.
        better: which direction is good; ``neither``: compare with the real clip's.
        network: what network computes it, by name and file; ``none``.
        crop: which part of the images is compared, at which size.
        mask: which pixels count, and what stands behind the person.
        span: the range of pixel values that go in, or of the value where no pixels do.
        note: definition and borders, one sentence.
        lost: what a missing image, or one without a face, counts as; None: it is left out.
    """

    key: str
    title: str
    unit: str = ""
    better: Better = "high"
    network: str = NO_NETWORK
    crop: str = "whole image"
    mask: str = "all pixels"
    span: str = "sRGB display values 0..1"
    note: str = ""
    lost: float | None = None

    def described(self) -> dict[str, str | float | None]:
        """Return plain values for JSON."""
        return asdict(self)

    @property
    def heading(self) -> str:
        """Return title, unit and direction, for the head of a table."""
        arrow = {"high": " ↑", "low": " ↓", "neither": ""}[self.better]
        return f"{self.title}{f' ({self.unit})' if self.unit else ''}{arrow}"
