"""The identity vector of a face in an image."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.crops.square import Square, box_of
from headcast.priors.embedding.network import SIDE, IdentityEmbedder
from headcast.weights import load_tensors, weights_path

__all__ = ["ROOM", "embed_face", "identity_available", "load_embedder", "upright_face_square"]

ROOM = 1.5
"""Side of the square that is embedded, in larger sides of the upright box around the 478 landmarks."""

ROOMS = (1.36, ROOM, 1.64)
"""Squares whose vectors are averaged."""
EYES = ((33, 133), (263, 362))
"""Landmarks of the corners of the person's right and left eye."""


def identity_available() -> bool:
    """Return whether the network's weights are in the package."""
    return weights_path("embedding").is_file()


@cache
def load_embedder() -> IdentityEmbedder:
    """Load the network in evaluation mode with frozen weights, on the CPU, once per process."""
    network = IdentityEmbedder()
    network.load_state_dict({k: v.float() for k, v in load_tensors("embedding")[0].items()})
    return network.eval().requires_grad_(False)


def upright_face_square(points: Float[np.ndarray, "478 2"], room: float = ROOM) -> Square:
    """Place the square in which the eyes are level, about the landmarks' middle.

    Args:
        points: landmarks, pixels. room: side as a multiple of the larger side of their box, eyes level.
    """
    right, left = (points[list(corners)].mean(0) for corners in EYES)
    angle = -float(np.arctan2(left[1] - right[1], left[0] - right[0]))
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    x0, y0, x1, y1 = box_of(points @ turn.T)
    x, y = turn.T @ np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    return Square(x=float(x), y=float(y), side=room * max(x1 - x0, y1 - y0, 1.0), angle=angle)


def embed_face(
    rgb: UInt8[np.ndarray, "h w 3"],
    points: Float[np.ndarray, "478 2"],
    network: IdentityEmbedder | None = None,
) -> Float[np.ndarray, "d"]:
    """Return the unit vector of a face: the mean over three crops and their mirror images.

    Args:
        points: landmarks, pixels. network: None: the bundled one.
    """
    crops = np.stack([upright_face_square(points, room).cut(rgb, SIDE).image for room in ROOMS])
    x = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        network = network or load_embedder()
        return network.whitened(network(torch.cat([x, x.flip(3)])).mean(0, keepdim=True))[0].numpy()
