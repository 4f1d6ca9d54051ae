"""Options of the image animator ``facevid2vid``, without what it needs to run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from headcast.limits import Limit
from headcast.methods.base import MethodOptions

__all__ = ["FaceVid2VidOptions"]

TURN = Limit(-90, 90)
"""Degrees by which a head may be turned; beyond some 40 the network has little to show."""


@dataclass(frozen=True)
class FaceVid2VidOptions(MethodOptions):
    """Options of the image animator ``facevid2vid``."""

    absolute: bool = False
    """Take over the driver's own pose and expression, not its movements from its first frame on."""
    adapt_scale: bool = True
    """Scale movements by the size of the photo's head over the driver's."""
    yaw: Annotated[float | None, TURN] = None
    """Free view: degrees in place of the driver's yaw; positive shows more of the subject's left side."""
    pitch: Annotated[float | None, TURN] = None
    """Free view: degrees in place of the driver's pitch, as the weights count them; in those of headcast
    train, positive looks from above."""
    roll: Annotated[float | None, TURN] = None
    """Free view: degrees in place of the driver's roll; positive turns the image clockwise."""
    weights: Path | None = None
    """A weights file of headcast train facevid2vid, in place of the imported official weights."""
