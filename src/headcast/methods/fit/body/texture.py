"""Paint the body's texture: the photo's colours, de-lit and completed where nothing is observed."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor

from headcast.head.model import HeadModel
from headcast.image import linear_to_srgb, sample_bilinear, srgb_table
from headcast.interpolation import smoothstep
from headcast.methods.fit.body.outline import body_mask
from headcast.observe.outlines import observed_face_height
from headcast.observe.types import Observation
from headcast.render.geometry import vertex_normals
from headcast.texture.delight import shading_at, soften_light

__all__ = ["FRONT_FRACTION", "MARGIN", "paint_body"]

FRONT_FRACTION = 0.7  # of the texture's width that faces the camera
MARGIN = 0.01  # of the texture, around its used part
TEXELS_PER_PIXEL = 1.2  # of the photo
SIDE_RANGE = (256, 2048)  # of the texture, texels
OUTLINE_MARGIN = 0.012  # face heights along the body's outline whose colours are not used
MIN_COVERAGE = 0.9  # of pixels whose colours are used
MAX_MEDIAN_WEIGHT = 0.8  # of the median colour, far from visible cloth
FILL_BLUR = 0.02  # of the width: blur far from visible colours


def paint_body(
    observation: Observation,
    head: HeadModel,
    world: Float[np.ndarray, "r c 3"],
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    column_position: Float[np.ndarray, "c1"],
    light: Float[np.ndarray, "9 3"] | None,
) -> UInt8[np.ndarray, "h w 4"]:
    """Paint the albedo of the surface whose columns go around and whose rows go down.

    Args:
        world: its points in the photo. vertices: the same as a list, then the bottom's middle.
        column_position: of its columns in the texture, 0..1 of the width within ``MARGIN``.
        light: harmonics under which albedo times shading is the photo.
    """
    rows, columns = world.shape[:2]
    camera = observation.camera
    normals = vertex_normals(vertices, faces).numpy()[: rows * columns].reshape(rows, columns, 3)
    row_pixels = camera.project(torch.from_numpy(world).float()).numpy()[:, 0, 1]
    width, height = _texture_size(world, row_pixels, observation)
    column = np.interp(_texel_positions(width), column_position, np.arange(columns + 1))
    row = _texel_positions(height).clip(0, 1) * (rows - 1)
    points, normal = _resample(world, column, row), _resample(normals, column, row)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    pixel = camera.project(torch.from_numpy(points)).numpy()
    image, clothes = _isolate_body(observation, head)
    shading = shading_at(normal, soften_light(observation.light) if light is None else light)
    colour = sample_bilinear(image, pixel).reshape(height, width, 3)
    shading = shading.reshape(height, width, 3)
    is_visible, is_cloth = _visible_cloth(observation, column_position, column, pixel, height, width, clothes)
    values = np.where(is_visible[..., None], colour / shading, _complete(colour, shading, is_cloth))
    out = np.full((height, width, 4), 255, np.uint8)
    out[..., :3] = np.round(linear_to_srgb(values.clip(0, 1)) * 255)
    return out


def _visible_cloth(
    observation: Observation,
    column_position: Float[np.ndarray, "c1"],
    column: np.ndarray,
    pixel: np.ndarray,
    height: int,
    width: int,
    clothes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return which texels are visible, and which of them are cloth (all of them if hardly any is)."""
    h, w = observation.image.shape[:2]
    is_front = (column > 0.2) & (column < column_position.searchsorted(FRONT_FRACTION) - 0.2)
    is_visible = ((pixel > 0.5) & (pixel < [w - 0.5, h - 0.5])).all(1).reshape(height, width) & is_front
    is_cloth = is_visible & (sample_bilinear(clothes, pixel).reshape(height, width) > 0.9)
    if is_cloth.sum() < 50:
        is_cloth = is_visible
    return is_visible, is_cloth


def _complete(
    colour: Float[np.ndarray, "h w 3"], shading: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """Complete the albedo of hidden cloth from the linear colours of visible cloth."""
    # hidden cloth is assumed lit half as unevenly as the light says: it shades itself and is creased
    half_shading = np.sqrt(shading)
    filled = _fill_from_nearest(colour / half_shading, known, wrap_columns=True)
    return _blend_to_median(filled, colour / half_shading, known) / half_shading


def _isolate_body(
    observation: Observation, head: HeadModel
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """Return the photo in linear light and its clothes mask, both filled from the body's nearest pixels.

    Filled are occluders, the body's outline and the background.
    """
    import cv2

    assert observation.masks is not None
    with torch.no_grad():
        posed = head(observation.params)
    body = body_mask(observation, head, posed).astype(np.float32)
    size = 2 * max(1, round(OUTLINE_MARGIN * observed_face_height(observation))) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    is_body = cv2.erode(body, disk, borderType=cv2.BORDER_REPLICATE) > MIN_COVERAGE
    linear = srgb_table()[observation.image]
    values = np.concatenate([linear, observation.masks.clothes[..., None].astype(np.float32)], -1)
    filled = np.where(is_body[..., None], values, _fill_from_nearest(values, is_body))
    return filled[..., :3], filled[..., 3]


def _texture_size(
    world: Float[np.ndarray, "r c 3"], row_pixels: Float[np.ndarray, "r"], observation: Observation
) -> tuple[int, int]:
    """Return width and height that keep the photo's detail."""
    pixel = observation.camera.project(torch.from_numpy(world).float()).numpy()
    h, w = observation.image.shape[:2]
    width = np.ptp(pixel[row_pixels < h][..., 0].clip(0, w)) * 1.7
    height = (h - row_pixels[0]) / max(float((row_pixels < h).mean()), 0.3)
    return int(np.clip(TEXELS_PER_PIXEL * width, *SIDE_RANGE)), int(
        np.clip(TEXELS_PER_PIXEL * height, *SIDE_RANGE)
    )


def _texel_positions(count: int) -> Float[np.ndarray, "count"]:
    """Return the centres of texels, 0..1 within the margin."""
    return (((np.arange(count) + 0.5) / count) - MARGIN) / (1 - 2 * MARGIN)


def _resample(
    grid: Float[np.ndarray, "r c k"], column: Float[np.ndarray, "w"], row: Float[np.ndarray, "h"]
) -> Float[np.ndarray, "n k"]:
    """Interpolate values of the surface's points at columns (cyclic) and rows."""
    import cv2

    wrapped = np.concatenate([grid, grid[:, :1]], 1).astype(np.float32)
    x, y = np.meshgrid(column.astype(np.float32), row.astype(np.float32))
    return cv2.remap(wrapped, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).reshape(
        -1, grid.shape[2]
    )


def _blend_to_median(
    filled: Float[np.ndarray, "h w 3"], values: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """Blend filled colours to the median of known ones with distance, sooner the fewer rows are known."""
    import cv2

    if not known.any():
        return filled
    wrapped, pad = _wrap(known)
    distance = cv2.distanceTransform(1 - wrapped.astype(np.uint8), cv2.DIST_L2, 5)[
        :, pad : pad + known.shape[1]
    ]
    reach = max(float(np.ptp(np.flatnonzero(known.any(1)))), 0.02 * len(known))
    weight = MAX_MEDIAN_WEIGHT * smoothstep(distance / reach, 0.0, 1.0)[..., None]
    return filled + weight * (np.median(values[known], 0) - filled)


def _wrap(image: Shaped[np.ndarray, "h w *c"]) -> tuple[Shaped[np.ndarray, "h w2 *c"], int]:
    """Pad an image cyclically by a fifth of its width on both sides; also return the padding, texels."""
    pad = max(1, image.shape[1] // 5)
    return np.concatenate([image[:, -pad:], image, image[:, :pad]], 1), pad


def _fill_from_nearest(
    values: Float[np.ndarray, "h w c"], known: Bool[np.ndarray, "h w"], wrap_columns: bool = False
) -> Float[np.ndarray, "h w c"]:
    """Fill with values of the nearest known texel, blurred more with distance.

    Args:
        wrap_columns: treat the left and the right border as neighbours.
    """
    import cv2

    if not known.any():
        return np.full_like(values, 0.2)
    wrapped, pad = _wrap(values) if wrap_columns else (values, 0)
    empty = 1 - (_wrap(known)[0] if wrap_columns else known).astype(np.uint8)
    distance, label = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    nearest = label.astype(np.int64)
    colour = np.zeros((int(nearest.max()) + 1, values.shape[2]), np.float32)
    colour[nearest[empty == 0]] = wrapped[empty == 0]
    filled = colour[nearest]
    softness = FILL_BLUR * values.shape[1]
    for sigma in (0.25 * softness, softness, 3 * softness):
        size = (2 * max(1, round(sigma)) + 1,) * 2
        soft = cv2.blur(cv2.blur(filled, size), size)
        filled += (soft - filled) * smoothstep(distance / sigma, 0.5, 3.0)[..., None].astype(np.float32)
    return filled[:, pad : pad + values.shape[1]]
