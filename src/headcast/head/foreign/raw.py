"""The common form of foreign head models: shape, parts, identity and (some) expressions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

__all__ = ["GROUPS", "RawHead"]

GROUPS = ("skin", "eyeLeft", "eyeRight", "mouth")
"""Coarse parts: ``mouth`` is everything behind the lips (teeth, gums, tongue, lining)."""


@dataclass(frozen=True)
class RawHead:
    """A foreign head at rest. Metres, +X the subject's left, +Y up, +Z out of the face; any origin.

    Attributes:
        name: of the model, as shown to people. licence: its terms in a few words.
        hash: first 16 hex digits of the SHA-256 of the file it came from.
        neutral: (V, 3). faces: (F, 3) outward counter-clockwise. group: (F,) index into ``GROUPS``.
        identity: (I, V, 3), coefficients N(0, 1).
        opened: (V, 3) the neutral head with its mouth open by about a finger's breadth.
        eyes: (2, 3) centres of the eyeballs, left first. eye_identity: (I, 2, 3).
        expression: movements (V, 3) that the model itself has, by ARKit name; the others are carried over.
        jaw, jaw_identity: the jaw's hinge (3,) and (I, 3) where the model has one.
    """

    name: str
    licence: str
    hash: str
    neutral: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    group: Int[np.ndarray, " f"]
    identity: Float[np.ndarray, "i v 3"]
    opened: Float[np.ndarray, "v 3"]
    eyes: Float[np.ndarray, "2 3"]
    eye_identity: Float[np.ndarray, "i 2 3"]
    expression: dict[str, Float[np.ndarray, "v 3"]] = field(default_factory=dict)
    jaw: Float[np.ndarray, "3"] | None = None
    jaw_identity: Float[np.ndarray, "i 3"] | None = None

    def vertices_of(self, group: str) -> Int[np.ndarray, " n"]:
        """Return the vertices of a group's triangles."""
        return np.unique(self.faces[self.group == GROUPS.index(group)])
