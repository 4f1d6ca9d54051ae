"""Quilt hair's detail in rings around the head, from the crown down, from an example.

The example is the observed hair at equal scale all over, mirrored and turned, so that strands can run as
around the place they are laid at.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from headcast.methods.fit.hair.flow import completed_flow, strand_flow
from headcast.methods.fit.hair.texels import HairTexels, Image
from headcast.texture.quilt import Exemplar, Strip, quilt_strip

__all__ = ["quilt_detail", "strand_noise"]

EXAMPLE_CONFIDENCE = 0.6  # of texels that the example is made of
EXAMPLE_HALF_WIDTH = 256  # columns of the example on each side of its middle
BLOCKS = ((54, 96), (40, 72), (28, 50), (20, 34), (12, 20))  # rows and columns of a block, largest first
MIN_KNOWN = 0.995  # of a block in the example
MIN_PLACES = 3000  # of the example, for a size of block to be used
OVERLAP = 0.3  # of a block's side
MIN_STRIP = 96  # columns of a ring at least
TURNS = (0.0, 45.0, 90.0, 135.0)  # degrees by which the example is turned; each also mirrored
STRAND_CONTRAST = 0.12  # deviation of log albedo of drawn strands, where there is no example


def quilt_detail(
    texels: HairTexels, detail: Image, sharpness: Float[np.ndarray, "h w"], rng: np.random.Generator
) -> Image:
    """Return detail everywhere, quilted in rings from the top down."""
    flow = strand_flow(detail, texels)
    target = completed_flow(flow, sharpness, texels)
    example = _find_example(texels, detail, flow)
    if example is None:
        return strand_noise(detail.shape[:2], rng)[..., None] * np.full(3, STRAND_CONTRAST, np.float32)
    exemplar, (rows, columns) = example
    height, width = sharpness.shape
    out = np.where(sharpness[..., None] > 0, detail, 0).astype(np.float32)
    overlap = max(2, round(OVERLAP * rows))
    last = np.flatnonzero(texels.wanted.any(1)).max(initial=0)
    todo = texels.wanted & (sharpness < 0.99)
    unit = float(np.median(texels.across))
    previous = False
    for top in range(0, min(last + 1, height - 1), rows - overlap):
        top = min(top, height - rows)
        part = slice(top, top + rows)
        length = max(MIN_STRIP, round(width * min(1.0, float(texels.across[part].mean()) / unit)))
        flow_row = _resized(target[part].mean(0, keepdims=True), length)[0]
        strip = Strip(
            _resized(np.where(sharpness[part, :, None] > 0, detail[part], out[part]), length),
            _resized(sharpness[part], length),
            overlap if previous else 0,
            _resized(todo[part].astype(np.float32), length),
            flow_row,
        )
        if previous:
            strip.values[:overlap] = _resized(out[part][:overlap], length)
        made = quilt_strip(exemplar, strip, min(columns, length // 2), max(2, round(OVERLAP * columns)), rng)
        out[part] = _resized(made, width)
        previous = True
    return out


def _find_example(
    texels: HairTexels, detail: Image, flow: Float[np.ndarray, "h w 2"]
) -> tuple[Exemplar, tuple[int, int]] | None:
    """Return the example and a block's rows and columns; None where too little hair is well observed."""
    known = texels.confidence > EXAMPLE_CONFIDENCE
    if known.sum() < 400:
        return None
    rows = np.flatnonzero(known.sum(1) > 8)
    if len(rows) < BLOCKS[-1][0]:
        return None
    part = slice(int(rows[0]), int(rows[-1]) + 1)
    flat = np.dstack([detail * known[..., None], flow, known.astype(np.float32)])[part]
    flat = _level(flat, texels.across[part], float(np.median(texels.across)))
    aspect = float(np.median(texels.across)) / float(np.median(texels.down))
    turned = [_turned(x, angle, aspect) for angle in TURNS for x in (flat, _mirrored(flat))]
    side = (max(t.shape[0] for t in turned), max(t.shape[1] for t in turned))
    layers = np.stack(
        [np.pad(t, ((0, side[0] - t.shape[0]), (0, side[1] - t.shape[1]), (0, 0))) for t in turned]
    )
    for block in BLOCKS:
        place = _whole_blocks(layers[..., 5] > 0.98, block)
        if len(place) >= MIN_PLACES:
            centre = place + np.array([0, block[0] // 2, block[1] // 2])
            own = layers[centre[:, 0], centre[:, 1], centre[:, 2], 3:5]
            images = np.ascontiguousarray(layers[..., :3])
            return Exemplar(images, place.astype(np.int32), own), block
    return None


def _whole_blocks(known: Bool[np.ndarray, "a h w"], block: tuple[int, int]) -> np.ndarray:
    """Return (p, 3) places of blocks that are known wholly."""
    rows, columns = block
    total = np.pad(known.astype(np.int32).cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    if total.shape[1] <= rows or total.shape[2] <= columns:
        return np.zeros((0, 3), int)
    count = (
        total[:, rows:, columns:]
        - total[:, :-rows, columns:]
        - total[:, rows:, :-columns]
        + total[:, :-rows, :-columns]
    )
    return np.argwhere(count >= MIN_KNOWN * rows * columns)


def _level(
    flat: Float[np.ndarray, "h w c"], across: Float[np.ndarray, "h"], unit: float
) -> Float[np.ndarray, "h k c"]:
    """Resample rows so that a column is ``unit`` metres wide in all of them, about the known middle."""
    import cv2

    height, width = flat.shape[:2]
    columns = flat[..., -1].sum(0)
    turn = np.exp(2j * np.pi * np.arange(width) / width)
    middle = float(np.angle((columns * turn).sum()) / (2 * np.pi) * width) % width
    step = np.arange(-EXAMPLE_HALF_WIDTH, EXAMPLE_HALF_WIDTH, dtype=np.float32)
    x = middle + step[None] * np.minimum(unit / np.maximum(across, 1e-6), 8.0)[:, None]
    inside = np.abs(x - middle) < width / 2
    y = np.repeat(np.arange(height, dtype=np.float32)[:, None], x.shape[1], 1)
    x = (x % width).astype(np.float32)
    halves = [
        cv2.remap(np.ascontiguousarray(part), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        for part in (flat[..., :3], flat[..., 3:])
    ]
    out = np.concatenate(halves, -1)
    out[..., -1] *= inside
    return out


def _mirrored(flat: Float[np.ndarray, "h w 6"]) -> np.ndarray:
    """Mirror an example, with its strands' directions."""
    return np.ascontiguousarray(flat[:, ::-1]) * np.array([1, 1, 1, 1, -1, 1], np.float32)


def _turned(flat: Float[np.ndarray, "h w 6"], degrees: float, aspect: float) -> np.ndarray:
    """Turn an example whose texels are ``aspect`` times as wide as high, with its strands' directions."""
    import cv2

    if degrees == 0:
        return flat
    height, width = flat.shape[:2]
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    scale = np.diag([aspect, 1.0])
    turn = np.linalg.inv(scale) @ np.array([[c, -s], [s, c]]) @ scale
    corners = turn @ (np.array([[0, width, 0, width], [0, 0, height, height]], float))
    low, high = corners.min(1), corners.max(1)
    size = np.ceil(high - low).astype(int)
    affine = np.concatenate([turn, -low[:, None]], 1).astype(np.float32)
    parts = [
        cv2.warpAffine(np.ascontiguousarray(p), affine, (int(size[0]), int(size[1])), flags=cv2.INTER_LINEAR)
        for p in (flat[..., :3], flat[..., 3:])
    ]
    out = np.concatenate(parts, -1)
    c2, s2 = np.cos(2 * np.radians(degrees)), np.sin(2 * np.radians(degrees))
    out[..., 3:5] = out[..., 3:5] @ np.array([[c2, s2], [-s2, c2]], np.float32)
    return out


def _resized(values: np.ndarray, width: int) -> np.ndarray:
    """Resample the columns of an image linearly."""
    import cv2

    if values.shape[1] == width:
        return np.ascontiguousarray(values, np.float32).copy()
    size = (width, values.shape[0])
    return cv2.resize(values.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)


def strand_noise(shape: tuple[int, int], rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return noise of unit variance stretched along the hair."""
    import cv2

    height, width = shape
    noise = np.zeros((height // 4, width), np.float32)
    for across, along in ((0.8, 4.0), (1.6, 6.5), (4.0, 10.0)):
        white = rng.standard_normal(noise.shape, np.float32)
        wrapped = np.concatenate([white[:, -32:], white, white[:, :32]], 1)
        blurred = cv2.GaussianBlur(wrapped, (0, 0), sigmaX=across, sigmaY=along)[:, 32:-32]
        noise += blurred * np.float32((across * along) ** 0.5)
    return cv2.resize(noise / noise.std(), (width, height), interpolation=cv2.INTER_CUBIC)
