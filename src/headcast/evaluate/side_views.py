"""A real photo from the side against renderings of an avatar: which view fits it, and how alike they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from headcast.evaluate.aligned import (
    CHIN,
    FOREHEAD,
    alignment_error,
    face_height,
    face_hull,
    fit_similarity,
    resize_area,
    warp_image,
)
from headcast.evaluate.networks import EvaluationNetworks
from headcast.evaluate.report import Row
from headcast.metrics.features import to_input
from headcast.metrics.foreground import silhouette_iou
from headcast.metrics.image import GREY, over_grey, psnr
from headcast.metrics.sface import cosine_similarity

__all__ = [
    "FittedView",
    "ScoredView",
    "SidePhoto",
    "best_view",
    "composite_over_grey",
    "dlib_distance",
    "score_view",
    "side_photo",
]

SIDE = 384
"""Pixels of the square in which LPIPS is taken."""
SIDEWAYS, UPWARDS, DOWNWARDS = 1.1, 1.15, 0.75
"""The head's box about the middle of forehead and chin, in face heights."""

Image = UInt8[np.ndarray, "h w 3"]
Points = Float[np.ndarray, "478 2"]


@dataclass(frozen=True)
class SidePhoto:
    """A real photo and what is detected in it once.

    Attributes:
        matted: over mid grey by the matte.
        box: of the head, pixels (x0, y0, x1, y1). hull: inside the face's outline.
        embedding: SFace's; None: not detected, or the network is not available.
    """

    rgb: Image
    points: Points
    matte: Float[np.ndarray, "h w"]
    matted: Image
    box: tuple[int, int, int, int]
    hull: Bool[np.ndarray, "h w"]
    embedding: Float[np.ndarray, "128"] | None


class FittedView(NamedTuple):
    """A view (yaw and pitch, degrees) and the similarity onto the photo; error in face heights."""

    error: float
    view: tuple[int, int]
    similarity: Float[np.ndarray, "2 3"]


class ScoredView(NamedTuple):
    """Figures of a view, the rendering on the photo's grid (straight alpha), and its head's box over grey."""

    row: Row
    aligned: UInt8[np.ndarray, "h w 4"]
    rendered_box: UInt8[np.ndarray, "_ _ 3"]


def composite_over_grey(rgb: Image, matte: Float[np.ndarray, "h w"]) -> Image:
    """Composite a photo over mid grey, rounding down as ``metrics.image.over_grey`` does for renderings."""
    alpha = matte[..., None]
    return (rgb * alpha + GREY * (1 - alpha)).astype(np.uint8)


def side_photo(
    rgb: Image, points: Points, matte: Float[np.ndarray, "h w"], networks: EvaluationNetworks
) -> SidePhoto:
    """Find what all renderings are compared with."""
    tall = face_height(points)
    x, y = (float(v) for v in (points[FOREHEAD] + points[CHIN]) / 2)
    edges = (x - SIDEWAYS * tall, y - UPWARDS * tall, x + SIDEWAYS * tall, y + DOWNWARDS * tall)
    x0, y0, x1, y1 = (int(max(0.0, v)) for v in edges)
    return SidePhoto(
        rgb=rgb,
        points=points,
        matte=matte,
        matted=composite_over_grey(rgb, matte),
        box=(x0, y0, min(x1, rgb.shape[1]), min(y1, rgb.shape[0])),
        hull=face_hull(points, rgb),
        embedding=networks.sface.embedding(rgb) if networks.sface else None,
    )


def best_view(photo: SidePhoto, views: Mapping[tuple[int, int], Points]) -> FittedView | None:
    """Find the view whose landmarks fit the photo's best after a 2-D similarity; None: no view fits.

    Framing and focal length therefore don't count, nor does a yaw or pitch of the real head that is not
    quite what the data set's camera says.
    """
    found = []
    for view, points in views.items():
        similarity = fit_similarity(points, photo.points)
        if similarity is not None:
            found.append(FittedView(alignment_error(points, photo.points, similarity), view, similarity))
    return min(found, key=lambda f: f.error, default=None)


def score_view(
    photo: SidePhoto,
    rgba: UInt8[np.ndarray, "h2 w2 4"],
    fitted: FittedView,
    front: Float[np.ndarray, "128"] | None,
    networks: EvaluationNetworks,
) -> ScoredView:
    """Compare one rendering with the photo over grey inside the head's box.

    Args:
        rgba: the rendering of ``fitted.view``, straight alpha, before it is aligned.
        front: SFace embedding of the real front photo.
    """
    aligned = warp_image(rgba, fitted.similarity, photo.rgb)
    rendered = over_grey(aligned)
    x0, y0, x1, y1 = photo.box
    boxes = [image[y0:y1, x0:x1] for image in (photo.matted, rendered)]
    chin = int(photo.points[CHIN, 1])
    alpha = aligned[y0:chin, x0:x1, 3] / np.float32(255)
    row: Row = {
        "yaw": float(fitted.view[0]),
        "pitch": float(fitted.view[1]),
        "fit": fitted.error * 100,
        "psnr": psnr(photo.matted, rendered, photo.hull),
        "iou": silhouette_iou(photo.matte[y0:chin, x0:x1], alpha),
    }
    if networks.lpips is not None:
        row["lpips"] = lpips_of(*(resize_area(box, SIDE, SIDE) for box in boxes), networks=networks)
    if networks.sface is not None and photo.embedding is not None:
        row["sface"] = cosine_similarity(photo.embedding, networks.sface.embedding(rendered))
        if front is not None:
            row["sface_front"] = cosine_similarity(photo.embedding, front)
    return ScoredView(row, aligned, boxes[1])


@torch.no_grad()
def lpips_of(a: Image, b: Image, networks: EvaluationNetworks) -> float:
    """Compute LPIPS of two images of one size."""
    assert networks.lpips is not None
    pair = to_input([a, b]).to(networks.device)
    return float(networks.lpips(pair[:1], pair[1:]))


def dlib_distance(
    real: Image, real_points: Points, rendered: Image, points: Points | None, networks: EvaluationNetworks
) -> Row:
    """Compute dlib's identity distance as a figure, where it is installed; ``points`` None: not detected."""
    network = next((i for i in networks.identities if i.key == "identity"), None)
    if network is None:
        return {}
    if points is None:
        return {network.key: network.lost}
    pair = network.descriptor(real, real_points), network.descriptor(rendered, points)
    return {network.key: network.compare(*pair)}
