"""Displace the scalp to the outline of head and hair in the photo, outwards or inwards.

The head model has no hair. Along rays in the image from the scalp's centre, the distance between the outline
of the person's matte and that of the rendered head is measured. Vertices near the rendered outline take
that distance, visible bare skin takes zero, and in between the displacement is diffused over the mesh.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.image import sample_bilinear
from headcast.interpolation import smoothstep
from headcast.observe.types import Observation
from headcast.texture.laplacian import mesh_graph, solve_laplacian

__all__ = ["hair_height", "hair_offset"]

RAY_COUNT = 180
MEDIAN_WEIGHT = 0.004  # of the median offset, where no data is near
FIXED_WEIGHT = 300.0  # that keeps vertices off the scalp in place
OFFSET_RANGE_M = (-0.03, 0.05)  # of the scalp's displacement, negative: inwards
HAIR_ROOM_M = 0.004  # between the outline and the scalp, for hair with its own surface
MAX_GAP_STEPS = 4  # longest gap of the matte along a ray that is ignored, half pixels


def hair_offset(
    observation: Observation, head: HeadModel
) -> tuple[Float[np.ndarray, "v 3"], Float[np.ndarray, "v 3"]]:
    """Compute the displacement of the rest shape's vertices to the outline of the hair, head frame, metres.

    Returns:
        The displacement, zero off the scalp or without masks; and its inward part alone, for heads whose hair
        gets its own surface.
    """
    zero = np.zeros(tuple(head.neutral.shape))
    region = np.array(head.region_names)[head.region.numpy()]
    scalp = region == "scalp"
    masks = observation.masks
    if masks is None or not scalp.any():
        return zero, zero
    with torch.no_grad():
        posed = head(observation.params)
        normal = head.vertex_normals(posed).numpy()
        rest = head.shape(observation.params.identity).numpy()
    camera = observation.camera
    pixel = camera.project(posed).numpy()
    depth = camera.to_camera(posed)[:, 2].numpy()
    centre = pixel[scalp].mean(0)
    excess_px = _matte_excess(masks.person, pixel, centre, head)
    offset_m = _offset_to_outline(pixel, centre, excess_px, depth, camera)
    facing = _facing_cosine(camera, posed, normal)
    on_outline = np.exp(-((facing / 0.25) ** 2)) * np.isfinite(offset_m)
    bare_skin = smoothstep(facing, 0.15, 0.4) * sample_bilinear(
        masks.skin.astype(np.float32), pixel.astype(np.float32)
    )
    displacement = _diffuse_over_scalp(head, offset_m, scalp, facing, on_outline, bare_skin, rest)
    outward = _outward_directions(rest, scalp)
    on_scalp = np.where(scalp[:, None], HAIR_ROOM_M * (1 - bare_skin)[:, None], 0.0)
    inwards = (displacement - on_scalp).clip(max=0)
    return displacement.clip(max=OFFSET_RANGE_M[1]) * outward, inwards * outward


def _diffuse_over_scalp(
    head: HeadModel,
    offset_m: np.ndarray,
    scalp: np.ndarray,
    facing: np.ndarray,
    on_outline: np.ndarray,
    bare_skin: np.ndarray,
    rest: np.ndarray,
) -> np.ndarray:
    """Diffuse offsets (metres, outwards) from vertices on the outline over the scalp; bare skin keeps zero.

    Args:
        on_outline, bare_skin: weights 0..1 of the two kinds of data.
    """
    reliable = np.isfinite(offset_m) & scalp & (np.abs(facing) < 0.3)
    median_offset = float(np.median(offset_m[reliable])) if reliable.any() else 0.0
    confidence = np.where(scalp, on_outline + 3 * bare_skin + MEDIAN_WEIGHT, FIXED_WEIGHT)
    value = np.where(
        scalp, (on_outline * np.nan_to_num(offset_m) + MEDIAN_WEIGHT * median_offset) / confidence, 0.0
    )
    displacement = solve_laplacian(mesh_graph(head, rest, mirrored=0.02), value[:, None], confidence)
    return np.where(scalp[:, None], displacement, 0.0)


def _outward_directions(rest: np.ndarray, scalp: np.ndarray) -> np.ndarray:
    """Return unit vectors from the centre of the upper head to the vertices."""
    centre = rest[scalp].mean(0)
    centre[1] = min(centre[1], float(rest[scalp][:, 1].max()) - 0.09)
    direction = rest - centre
    return direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-6)


def _facing_cosine(camera: Camera, posed: torch.Tensor, normal: np.ndarray) -> np.ndarray:
    """Return cosines between vertex normals and the directions to the camera."""
    to_camera = camera.center.numpy() - posed.numpy()
    return (normal * to_camera).sum(1) / np.maximum(np.linalg.norm(to_camera, axis=1), 1e-9)


def _offset_to_outline(
    pixel: np.ndarray, centre: np.ndarray, excess_px: np.ndarray, depth: np.ndarray, camera: Camera
) -> np.ndarray:
    """Convert ``_matte_excess`` to metres at the depth of each vertex, clipped; NaN where unknown."""
    from_centre = pixel - centre
    sector = ((np.arctan2(from_centre[:, 1], from_centre[:, 0]) / (2 * np.pi) + 0.5) * RAY_COUNT).astype(
        int
    ) % RAY_COUNT
    return np.clip(excess_px[sector] * depth / float(camera.K[0, 0]), *OFFSET_RANGE_M)


def hair_height(offset: Float[np.ndarray, "v 3"], head: HeadModel) -> float:
    """Return the median displacement of the top of the scalp in metres, positive outwards."""
    scalp = np.array(head.region_names)[head.region.numpy()] == "scalp"
    if not scalp.any():
        return 0.0
    rest = head.neutral.numpy()
    top = scalp & (rest[:, 1] > np.quantile(rest[scalp, 1], 0.7))
    outward = rest[top] - rest[scalp].mean(0)
    return float(np.median((offset[top] * outward).sum(1) / np.linalg.norm(outward, axis=1)))


def _matte_excess(
    person: Float[np.ndarray, "h w"],
    pixel: Float[np.ndarray, "v 2"],
    centre: Float[np.ndarray, "2"],
    head: HeadModel,
) -> Float[np.ndarray, "rays"]:
    """Return the pixels by which the matte exceeds the rendered head along each ray; NaN where unknown."""

    h, w = person.shape
    rendered = _render_silhouette(pixel, head, h, w)
    angle = (np.arange(RAY_COUNT) + 0.5) / RAY_COUNT * 2 * np.pi - np.pi
    radius = np.arange(0.0, 1.5 * float(np.linalg.norm(pixel - centre, axis=1).max()), 0.5)
    sample = centre + radius[None, :, None] * np.stack([np.cos(angle), np.sin(angle)], -1)[:, None]
    in_image = np.all((sample > 1) & (sample < [w - 1, h - 1]), -1)
    flat_samples = sample.reshape(-1, 2).astype(np.float32)
    in_matte = (
        sample_bilinear(person.astype(np.float32), flat_samples).reshape(in_image.shape) > 0.5
    ) & in_image
    in_mesh = (sample_bilinear(rendered, flat_samples).reshape(in_image.shape) > 127) & in_image
    excess = _excess_along_rays(in_mesh, in_matte, radius, in_image)
    return _median_filter(excess)


def _excess_along_rays(
    in_mesh: np.ndarray, in_matte: np.ndarray, radius: np.ndarray, in_image: np.ndarray
) -> np.ndarray:
    """Return the distance from the mesh's end to the matte's along each ray, in pixels; NaN where unknown."""
    excess = np.full(RAY_COUNT, np.nan)
    for i in range(RAY_COUNT):
        mesh_samples = np.flatnonzero(in_mesh[i])
        if len(mesh_samples) == 0:
            continue
        matte_end = _run_end(in_matte[i])
        if (
            matte_end + MAX_GAP_STEPS < len(radius)
            and in_image[i, min(matte_end + MAX_GAP_STEPS, len(radius) - 1)]
        ):
            excess[i] = radius[matte_end] - radius[mesh_samples[-1]]
    return excess


def _render_silhouette(pixel: Float[np.ndarray, "v 2"], head: HeadModel, h: int, w: int) -> np.ndarray:
    """Render the silhouette of the head's skin: 255 inside."""
    import cv2

    rendered = np.zeros((h, w), np.uint8)
    skin = head.faces[head.part == head.part_names.index("skin")].numpy()
    for triangle in np.round((pixel[skin] - 0.5) * 16).astype(np.int32):
        cv2.fillConvexPoly(rendered, triangle, (255,), cv2.LINE_8, 4)
    return rendered


def _median_filter(excess: Float[np.ndarray, "rays"]) -> Float[np.ndarray, "rays"]:
    """Filter by medians over neighbouring rays; unknown values (NaN) stay unknown."""
    known = np.isfinite(excess)
    if known.sum() > 5:  # removes single strands and holes of the matte
        window = np.stack([np.roll(excess, k) for k in range(-4, 5)])
        all_unknown = np.isnan(window).all(0)
        window[:, all_unknown] = 0.0
        excess = np.where(known, np.nanmedian(window, 0), np.nan)
    return excess


def _run_end(in_matte: np.ndarray) -> int:
    """Return the index where the matte ends along a ray, ignoring gaps shorter than ``MAX_GAP_STEPS``."""
    gaps = np.flatnonzero(np.convolve(~in_matte, np.ones(MAX_GAP_STEPS), "valid") >= MAX_GAP_STEPS)
    return int(gaps[0]) if len(gaps) else len(in_matte) - 1
