"""Rows of an avatar's other views: turned, pitched and with expressions, around the photo's view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, UInt8

from headcast import api
from headcast.avatar.base import Avatar
from headcast.avatar.mesh import MeshAvatar
from headcast.evaluate.compare import Comparer, Truth
from headcast.evaluate.report import Row
from headcast.metrics.face import face_mask
from headcast.metrics.figure import Figure
from headcast.metrics.foreground import hole_share, speckle_share
from headcast.metrics.image import over_grey, psnr
from headcast.motion.presets import EXPRESSION_ROUND
from headcast.motion.visemes import both_sides
from headcast.view import View, head_center, source_view

__all__ = ["VIEWS", "find_mesh", "turned_figures", "turned_row"]

VIEWS: dict[str, tuple[float, float, str]] = {
    "yaw-45": (-45, 0, ""),
    "yaw-30": (-30, 0, ""),
    "yaw+30": (30, 0, ""),
    "yaw+45": (45, 0, ""),
    "pitch-15": (0, -15, ""),
    "pitch+15": (0, 15, ""),
    **{
        n: (0, 0, n)
        for n in ("smile", "jaw open", "blink", "surprise", "disgust", "pucker", "cheeks", "wink")
    },
}
"""Yaw and pitch in degrees and an expression of ``EXPRESSION_ROUND``, on the photo's view."""
IDENTITY_YAW = 30
"""Degrees of yaw, to both sides, at which identity is compared with the photo."""
OPAQUE_LEVEL = 229
"""Alpha of 255 above which the mesh's face counts: .9, as in ``hole_share``."""
RIM = 2
"""Pixels by which a silhouette is eroded before holes are counted in it."""

Image = UInt8[np.ndarray, "h w 4"]


def turned_figures(comparer: Comparer) -> list[Figure]:
    """Describe the figures of ``turned_row``."""
    keys = {i.key for i in comparer.networks.identities} | {"embedding", "lost"}
    views = "means over ±30° and ±45° of yaw, ±15° of pitch and eight expressions"
    mesh = "the avatar's own textured mesh"
    at = f" at ±{IDENTITY_YAW}°"
    return [
        *(
            replace(f, key=f"{f.key}_30", title=f.title + at, note=f.note or "mean of both sides")
            for f in comparer.figures
            if f.key in keys
        ),
        Figure(
            key="consistency",
            title="consistency with the mesh",
            unit="dB",
            mask=f"the face oval on {mesh}",
            note=f"PSNR to {mesh}, both over mid grey; {views}",
        ),
        Figure(
            key="consistency_worst",
            title="consistency, worst view",
            unit="dB",
            mask=f"the face oval on {mesh}",
            note="the least of those views",
        ),
        Figure(
            key="holes_turned",
            title="holes, turned",
            unit="share",
            better="low",
            span="alpha 0..1",
            mask=f"the silhouette of {mesh}, {RIM} px off its rim; alpha under .9",
            note=views,
        ),
        Figure(
            key="speckle_turned",
            title="speckle, turned",
            unit="share",
            better="low",
            mask="covered at least half",
            note=f"pixels off their 3x3 median by more than .2 of full scale; {views}",
        ),
    ]


def find_mesh(avatar: Avatar) -> MeshAvatar | None:
    """Return the textured mesh that an avatar is or was made from; None where it has none."""
    mesh = getattr(avatar, "mesh", avatar)
    return mesh if isinstance(mesh, MeshAvatar) else None


def turned_row(
    avatar: Avatar, truth: Truth, comparer: Comparer, keep: Callable[[str, Image], None] | None = None
) -> Row:
    """Measure an avatar over ``VIEWS``; its own mesh stands for the truth inside the face.

    Args:
        truth: the photo that the avatar was made from.
        keep: called with the name and the straight-alpha rendering of every view.
    """
    mesh = find_mesh(avatar)
    rows: list[Row] = []
    for name, (yaw, pitch, expression) in VIEWS.items():
        weights = both_sides(EXPRESSION_ROUND[expression]) if expression else {}
        image = api.render(avatar, view="source", yaw=yaw, pitch=pitch, expression=weights)
        if keep is not None:
            keep(name, image)
        row: Row = {"speckle_turned": speckle_share(image)}
        if abs(yaw) == IDENTITY_YAW:
            row |= identity_row(image, truth, comparer)
        if mesh is not None:
            own = mesh is avatar
            base = image if own else api.render(mesh, view="source", yaw=yaw, pitch=pitch, expression=weights)
            row["holes_turned"] = hole_share(image[..., 3] / np.float32(255), eroded_silhouette(base))
            if not own:
                face = face_in_view(mesh, yaw, pitch, weights, base)
                row["consistency"] = psnr(over_grey(image), over_grey(base), face)
        rows.append(row)
    return means(rows)


def identity_row(image: Image, truth: Truth, comparer: Comparer) -> Row:
    """Compare the person in a turned view with the photo."""
    flat = over_grey(image)
    found = comparer.landmarks.points(flat)
    row = comparer.identity(truth.descriptors, flat, found) | {"lost": float(found is None)}
    return {f"{k}_30": v for k, v in row.items()}


def means(rows: Sequence[Row]) -> Row:
    """Average every figure over the views that have it; of consistency keep the worst view, too."""
    out: Row = {
        k: float(np.mean([r[k] for r in rows if k in r])) for k in sorted({k for r in rows for k in r})
    }
    if "consistency" in out:
        out["consistency_worst"] = float(min(r["consistency"] for r in rows))
    return out


def face_in_view(
    mesh: Avatar, yaw: float, pitch: float, weights: dict[str, float], image: Image
) -> Bool[np.ndarray, "h w"]:
    """Mask the face oval on the mesh in a view; ``image`` is the mesh's rendering."""
    view = source_view(mesh)
    view = View(view.camera, view.params.with_expression(weights))
    view = view.orbited(head_center(mesh, view.params), yaw, pitch)
    points = mesh.head.landmarks(mesh.head(view.params))
    mask = face_mask(view.camera.project(points).numpy(), *image.shape[:2])
    return mask & (image[..., 3] > OPAQUE_LEVEL)


def eroded_silhouette(image: Image) -> Bool[np.ndarray, "h w"]:
    """Mask the inside of a silhouette, ``RIM`` pixels off its rim."""
    import cv2

    solid = (image[..., 3] > 127).astype(np.uint8)
    side = 2 * RIM + 1
    return cv2.erode(solid, np.ones((side, side), np.uint8), borderValue=(1.0,)) > 0
