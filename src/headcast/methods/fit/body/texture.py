"""The body's texture: the photo's colours, de-lit and extended to where it shows nothing."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor

from headcast.head.model import HeadModel
from headcast.image import linear_to_srgb, sample_bilinear, srgb_table
from headcast.interpolation import smoothstep
from headcast.methods.fit.body.outline import body_mask, observed_face_height
from headcast.observe.types import Observation
from headcast.render.geometry import vertex_normals
from headcast.texture.delight import shading_at, soften_light

__all__ = ["FRONT_FRACTION", "MARGIN", "paint_body"]

FRONT_FRACTION = 0.7  # of the texture's width that faces the camera
MARGIN = 0.01  # of the texture, around its used part
FINE = 1.2  # texels for a pixel of the photo
SIDES = (256, 2048)
EDGE = 0.012  # face heights along the body's outline whose colours aren't trusted
SURE = 0.9  # coverage within the outline
MOST_USUAL = 0.8
SOFT = 0.02  # of the width: blur of colours far from anything visible


def paint_body(
    observation: Observation,
    head: HeadModel,
    world: Float[np.ndarray, "r c 3"],
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    column_place: Float[np.ndarray, "c1"],
    light: Float[np.ndarray, "9 3"] | None,
) -> UInt8[np.ndarray, "h w 4"]:
    """Paint the albedo of the surface whose columns go around and whose rows go down.

    Args:
        world: its points in the photo. vertices: the same as a list, then the bottom's middle.
        column_place: where its columns lie, 0..1 of the width within ``MARGIN``.
        light: harmonics under which albedo times shading is the photo.
    """
    rows, columns = world.shape[:2]
    camera = observation.camera
    normals = vertex_normals(vertices, faces).numpy()[: rows * columns].reshape(rows, columns, 3)
    lines = camera.project(torch.from_numpy(world).float()).numpy()[:, 0, 1]
    width, height = _texture_size(world, lines, observation)
    column = np.interp(_texel_places(width), column_place, np.arange(columns + 1))
    line = _texel_places(height).clip(0, 1) * (rows - 1)
    points, normal = _resample(world, column, line), _resample(normals, column, line)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    pixel = camera.project(torch.from_numpy(points)).numpy()
    image, clothes = _isolate_body(observation, head)
    shading = shading_at(normal, soften_light(observation.light) if light is None else light)
    colour = sample_bilinear(image, pixel).reshape(height, width, 3)
    shading = shading.reshape(height, width, 3)
    inside, cloth = _visible_cloth(observation, column_place, column, pixel, height, width, clothes)
    values = np.where(inside[..., None], colour / shading, _complete(colour, shading, cloth))
    out = np.full((height, width, 4), 255, np.uint8)
    out[..., :3] = np.round(linear_to_srgb(values.clip(0, 1)) * 255)
    return out


def _visible_cloth(
    observation: Observation,
    column_place: Float[np.ndarray, "c1"],
    column: np.ndarray,
    pixel: np.ndarray,
    height: int,
    width: int,
    clothes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return which texels the photo shows, and which of them as cloth, or all where it shows hardly any."""
    h, w = observation.image.shape[:2]
    ahead = (column > 0.2) & (column < column_place.searchsorted(FRONT_FRACTION) - 0.2)
    inside = ((pixel > 0.5) & (pixel < [w - 0.5, h - 0.5])).all(1).reshape(height, width) & ahead
    cloth = inside & (sample_bilinear(clothes, pixel).reshape(height, width) > 0.9)
    if cloth.sum() < 50:
        cloth = inside
    return inside, cloth


def _complete(
    colour: Float[np.ndarray, "h w 3"], shading: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """Complete the albedo of hidden cloth from the linear colours of visible cloth."""
    # hidden cloth is assumed lit half as unevenly as the light says: it shades itself and is creased
    half = np.sqrt(shading)
    fill = _fill_from_nearest(colour / half, known, around=True)
    return _blend_to_median(fill, colour / half, known) / half


def _isolate_body(
    observation: Observation, head: HeadModel
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """Return the photo in linear light and its clothes, as if nothing but the body were there.

    What lies before it, its outline, and everything else take what is nearest of the body.
    """
    import cv2

    assert observation.masks is not None
    with torch.no_grad():
        posed = head(observation.params)
    body = body_mask(observation, head, posed).astype(np.float32)
    k = 2 * max(1, round(EDGE * observed_face_height(observation))) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (k, k))
    sure = cv2.erode(body, disk, borderType=cv2.BORDER_REPLICATE) > SURE
    linear = srgb_table()[observation.image]
    both = np.concatenate([linear, observation.masks.clothes[..., None].astype(np.float32)], -1)
    whole = np.where(sure[..., None], both, _fill_from_nearest(both, sure))
    return whole[..., :3], whole[..., 3]


def _texture_size(
    world: Float[np.ndarray, "r c 3"], lines: Float[np.ndarray, "r"], observation: Observation
) -> tuple[int, int]:
    """Return width and height that keep the photo's detail."""
    pixel = observation.camera.project(torch.from_numpy(world).float()).numpy()
    h, w = observation.image.shape[:2]
    across = np.ptp(pixel[lines < h][..., 0].clip(0, w)) * 1.7
    down = (h - lines[0]) / max(float((lines < h).mean()), 0.3)
    return int(np.clip(FINE * across, *SIDES)), int(np.clip(FINE * down, *SIDES))


def _texel_places(count: int) -> Float[np.ndarray, "count"]:
    """Return the middles of texels, 0..1 within the margin."""
    return (((np.arange(count) + 0.5) / count) - MARGIN) / (1 - 2 * MARGIN)


def _resample(
    grid: Float[np.ndarray, "r c k"], column: Float[np.ndarray, "w"], line: Float[np.ndarray, "h"]
) -> Float[np.ndarray, "n k"]:
    """Interpolate values of the surface's points at columns and lines; the last column is the first."""
    import cv2

    closed = np.concatenate([grid, grid[:, :1]], 1).astype(np.float32)
    x, y = np.meshgrid(column.astype(np.float32), line.astype(np.float32))
    return cv2.remap(closed, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).reshape(
        -1, grid.shape[2]
    )


def _blend_to_median(
    fill: Float[np.ndarray, "h w 3"], values: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """Blend filled colours to the median, the sooner the less was known."""
    import cv2

    if not known.any():
        return fill
    wide, cut = _wrap(known)
    distance = cv2.distanceTransform(1 - wide.astype(np.uint8), cv2.DIST_L2, 5)[:, cut : cut + known.shape[1]]
    reach = max(float(np.ptp(np.flatnonzero(known.any(1)))), 0.02 * len(known))
    weight = MOST_USUAL * smoothstep(distance / reach, 0.0, 1.0)[..., None]
    return fill + weight * (np.median(values[known], 0) - fill)


def _wrap(image: Shaped[np.ndarray, "h w *c"]) -> tuple[Shaped[np.ndarray, "h w2 *c"], int]:
    """Append a fifth of the other end on both sides of an image; also return how wide that is."""
    cut = max(1, image.shape[1] // 5)
    return np.concatenate([image[:, -cut:], image, image[:, :cut]], 1), cut


def _fill_from_nearest(
    values: Float[np.ndarray, "h w c"], known: Bool[np.ndarray, "h w"], around: bool = False
) -> Float[np.ndarray, "h w c"]:
    """Fill with values of the nearest known place, the softer the further away.

    Args:
        around: the left and the right border belong together.
    """
    import cv2

    if not known.any():
        return np.full_like(values, 0.2)
    wide, cut = _wrap(values) if around else (values, 0)
    empty = 1 - (_wrap(known)[0] if around else known).astype(np.uint8)
    distance, label = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    nearest = label.astype(np.int64)
    colour = np.zeros((int(nearest.max()) + 1, values.shape[2]), np.float32)
    colour[nearest[empty == 0]] = wide[empty == 0]
    out = colour[nearest]
    softness = SOFT * values.shape[1]
    for sigma in (0.25 * softness, softness, 3 * softness):
        size = (2 * max(1, round(sigma)) + 1,) * 2
        soft = cv2.blur(cv2.blur(out, size), size)
        out += (soft - out) * smoothstep(distance / sigma, 0.5, 3.0)[..., None].astype(np.float32)
    return out[:, cut : cut + values.shape[1]]
