"""How far the head model's resting eyelids move the landmarks that lie on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from headcast.head.lids import rest_lids
from headcast.head.model import BLINKS, HeadModel

__all__ = ["LidModel"]


@dataclass(frozen=True)
class LidModel:
    """The lids' edges and the lids' vertices under landmarks, linear in identity and expression.

    Attributes:
        neutral, identity, expression: of the 2 x l vertices, left eye first.
        hold: (478, 2 l) barycentric weights of each landmark on them.
        constants: the last arguments of ``rest_lids``. growth: relative size of the eyeballs by identity.
    """

    neutral: Float[np.ndarray, "m 3"]
    identity: Float[np.ndarray, "m 3 i"]
    expression: Float[np.ndarray, "m 3 52"]
    hold: Float[np.ndarray, "478 m"]
    constants: tuple[torch.Tensor, ...]
    growth: Float[np.ndarray, "i 2"]

    @staticmethod
    def of(head: HeadModel, triangle: Int[np.ndarray, "478"], bary: Float[np.ndarray, "478 3"]) -> LidModel:
        """Build the eyelids of a head under given landmarks."""
        faces = head.faces.numpy()
        kept = _kept_lid_vertices(head, triangle, faces)
        index = head.lid_index[:, kept].reshape(-1)
        rim = torch.searchsorted(kept, head.lid_rim)
        edge = head.lid_index[:, head.lid_rim]
        shape = torch.stack([head.expression_basis[b, edge[s]] for s, b in enumerate(BLINKS)])
        constants = (
            shape.double(),
            rim,
            head.lid_partner.double(),
            head.lid_share.double(),
            head.lid_spread[..., kept, :].double(),
            head.lid_clearance[..., kept].double(),
            head.eye_profile.double(),
        )
        return LidModel(
            neutral=head.neutral[index].double().numpy(),
            identity=np.moveaxis(head.identity_basis[:, index].double().numpy(), 0, -1).copy(),
            expression=np.moveaxis(head.expression_basis[:, index].double().numpy(), 0, -1).copy(),
            hold=_hold(faces, index.numpy(), triangle, bary),
            constants=constants,
            growth=head.eye_growth.double().numpy(),
        )

    def shift(
        self, identity: np.ndarray, combined: np.ndarray, gaze: np.ndarray, centre: np.ndarray
    ) -> Float[np.ndarray, "478 3"]:
        """Return the movement of each landmark by the eyelids, head frame, metres.

        Args:
            combined: the weights of the shapes. gaze: (2, 2) radians. centre: (2, 3) of the eyeballs.
        """
        flat = self.neutral + self.identity @ identity + self.expression @ combined
        lids = torch.from_numpy(flat.reshape(2, -1, 3))
        yaw, pitch = gaze[:, 0], gaze[:, 1]
        axis = np.stack([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], -1)
        growth = torch.from_numpy(1 + identity @ self.growth)
        blink = torch.from_numpy(combined[list(BLINKS)])
        with torch.no_grad():
            rested = rest_lids(
                lids, torch.from_numpy(centre), torch.from_numpy(axis), growth, blink, *self.constants
            )
        return self.hold @ (rested - lids).numpy().reshape(-1, 3)


def _kept_lid_vertices(head: HeadModel, triangle: Int[np.ndarray, "478"], faces: np.ndarray) -> torch.Tensor:
    """Return which lid vertices are needed: those under landmarks, and the lids' edges."""
    needed = np.any(np.isin(head.lid_index.numpy(), faces[triangle]), 0)
    needed[head.lid_rim.numpy()] = True
    return torch.from_numpy(np.flatnonzero(needed))


def _hold(faces: np.ndarray, index: np.ndarray, triangle: np.ndarray, bary: np.ndarray) -> np.ndarray:
    """Return barycentric weights as a matrix over the eyelids' vertices."""
    place = np.full(int(faces.max()) + 1, -1)
    place[index] = np.arange(len(index))
    corner = place[faces[triangle]]
    out = np.zeros((len(triangle), len(index)))
    rows, k = np.nonzero(corner >= 0)
    np.add.at(out, (rows, corner[rows, k]), bary[rows, k])
    return out
