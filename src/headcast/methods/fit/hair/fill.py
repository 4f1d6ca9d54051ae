"""Complete the hair's colours where no photo shows them, from the person's own well-observed hair.

Log albedo is split in a base, which varies over centimetres, and detail: locks and strands. The base is diffused
from the observed hair towards its typical colour. Detail is quilted in rings around the head, from the crown
down, out of an example: the observed hair at equal scale all over, turned so that strands run as around them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from headcast.interpolation import smoothstep
from headcast.texture.quilt import Exemplar, Strip, quilt_strip

__all__ = ["HairTexels", "complete_colours", "strand_noise", "suppress_sheen"]

FEATHER_TEXELS = 6.0  # over which observed and quilted detail are blended
RIM_TEXELS = 8.0  # near the hair's rim
CONTINUE_TEXELS = 2.5  # standard deviation of the window that continues the photo's colours
BASE_M = 0.018  # standard deviation of the window that separates the base from detail
NEAR_M = 0.03  # how far the observed base reaches into what is completed
TYPICAL_WEIGHT = 0.06  # of the hair's typical colour in the base, where nothing is near
MIRROR_WEIGHT = 0.35  # of the mirrored side's base
SHEEN_QUANTILE = 0.9  # of the lightness of well-visible hair
SHARP = (0.35, 0.7)  # confidence between which observed detail begins to count
EXAMPLE_CONFIDENCE = 0.6  # of texels that the example is made of
EXAMPLE_HALF_WIDTH = 256  # columns of the example on each side of its middle
BLOCKS = ((54, 96), (40, 72), (28, 50), (20, 34), (12, 20))  # rows and columns of a block, largest first
MIN_KNOWN = 0.995  # of a block in the example
MIN_PLACES = 3000  # of the example, for a size of block to be used
OVERLAP = 0.3  # of a block's side
MIN_STRIP = 96  # columns of a ring at least
TURNS = (0.0, 45.0, 90.0, 135.0)  # degrees by which the example is turned; each also mirrored
FLOW_TEXELS = 6.0  # standard deviation of the window in which the strands' direction is measured
FLOW_M = 0.02  # how far the observed direction reaches
DOWN_WEIGHT = 0.15  # of strands that run down, where no direction is near
COMB = {0.03: 0.6, 0.006: 0.5}  # standard deviations of blurs along long strands, metres, and their weights
NARROW, LOCK_M = 0.7, 0.003  # how much of what is wider than a lock is removed from them
HANGING_M = 0.02  # that hair hangs below the head, from which it is combed
GAIN_RANGE = (0.7, 1.6)  # of completed detail
STRAND_CONTRAST = 0.12  # deviation of log albedo of drawn strands, where there is no example

Image = Float[np.ndarray, "h w 3"]


class HairTexels(NamedTuple):
    """What a hair texture's completion needs to know.

    Attributes:
        log: (h, w, 3) log albedo. confidence: (h, w) 0..1 that it is hair, seen well.
        visible: (h, w) 0..1, seen well: hair or the skin that shines through at its rim.
        wanted: (h, w) where there is hair. length: (h, w) metres over which strands run together.
        across, down: (h,) extent of a texel in every row, metres.
    """

    log: Image
    confidence: Float[np.ndarray, "h w"]
    visible: Float[np.ndarray, "h w"]
    wanted: Bool[np.ndarray, "h w"]
    length: Float[np.ndarray, "h w"]
    across: Float[np.ndarray, "h"]
    down: Float[np.ndarray, "h"]


def complete_colours(texels: HairTexels, rng: np.random.Generator) -> Image:
    """Complete log albedo: observed detail on the observed base, elsewhere quilted detail on a diffused one."""
    log = texels.log.astype(np.float32)
    confidence = (texels.confidence * _hair_likelihood(log, texels.confidence)).astype(np.float32)
    log = suppress_sheen(log, confidence)
    texels = texels._replace(log=log, confidence=confidence)
    sigma = BASE_M / float(np.median(texels.down))
    observed_base = _local_mean(log, confidence, sigma)
    base = _completed_base(texels, observed_base)
    detail = log - observed_base
    sharpness = smoothstep(confidence, *SHARP).astype(np.float32)
    quilted = _quilt_detail(texels, detail, sharpness, rng)
    quilted = _match_gradients(_combed(quilted, texels), detail, texels, sharpness)
    seen = np.maximum(sharpness, smoothstep(texels.visible, *SHARP)).astype(np.float32)
    w = (1 - np.minimum(seen, _blur(seen, FEATHER_TEXELS) ** 2))[..., None]
    mixed = (w * quilted + (1 - w) * detail) / np.sqrt(w**2 + (1 - w) ** 2)  # keeps the deviation
    ground = (1 - seen[..., None]) * base + seen[..., None] * observed_base
    near_rim = 1 - smoothstep(_blur(texels.wanted.astype(np.float32), RIM_TEXELS), 0.9, 0.99)
    return _continued(ground + mixed, log, seen, near_rim)


def _continued(
    completed: Image, log: Image, seen: Float[np.ndarray, "h w"], where: Float[np.ndarray, "h w"]
) -> Image:
    """Continue the photo's colours over a few texels beyond what it shows, fading, ``where`` (0..1)."""
    near = _blur(seen, CONTINUE_TEXELS)
    colour = _blur(log * seen[..., None], CONTINUE_TEXELS) / np.maximum(near, 1e-4)[..., None]
    fraction = smoothstep(near, 0.1, 0.45) * (1 - seen) * where
    return completed + fraction[..., None].astype(np.float32) * (colour - completed)


def _combed(quilted: Image, texels: HairTexels) -> Image:
    """Blur detail along strands where long ones run down together; its deviation stays."""
    import cv2

    fraction = smoothstep(texels.length, 0.0, HANGING_M)[..., None].astype(np.float32)
    wanted = texels.wanted & (fraction[..., 0] > 0.5)
    if wanted.sum() < 100:
        return quilted
    deviation = float(quilted[wanted].std())
    down, across = float(np.median(texels.down)), float(np.median(texels.across))
    combed = np.zeros_like(quilted)
    for metres, weight in COMB.items():
        blurred = cv2.GaussianBlur(quilted, (0, 0), sigmaX=0.3, sigmaY=metres / down)
        blurred = blurred - NARROW * cv2.GaussianBlur(blurred, (0, 0), sigmaX=LOCK_M / across, sigmaY=0.3)
        combed += weight * deviation / max(float(blurred[wanted].std()), 1e-4) * blurred
    return quilted + fraction * (combed - quilted)


def _match_gradients(
    made: Image, detail: Image, texels: HairTexels, sharpness: Float[np.ndarray, "h w"]
) -> Image:
    """Scale completed detail so that its gradients are as strong as those of the observed hair."""
    observed = _erode(sharpness > 0.9)
    completed = _erode(texels.wanted & (sharpness < 0.05))
    if observed.sum() < 200 or completed.sum() < 200:
        return made
    ratio = _gradient_energy(detail, texels, observed) / max(_gradient_energy(made, texels, completed), 1e-9)
    return made * np.float32(np.clip(np.sqrt(ratio), *GAIN_RANGE))


def _gradient_energy(detail: Image, texels: HairTexels, where: Bool[np.ndarray, "h w"]) -> float:
    """Return the mean squared gradient of lightness per metre, each texel by its width."""
    light = detail.mean(-1)
    across = np.maximum(texels.across, 0.5 * np.median(texels.across))[:, None]  # not at the pole
    energy = (np.gradient(light, axis=1) / across) ** 2
    energy += (np.gradient(light, axis=0) / np.maximum(texels.down, 1e-6)[:, None]) ** 2
    width = np.broadcast_to(texels.across[:, None], where.shape)[where]
    return float((energy[where] * width).sum() / width.sum())


def _erode(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Remove two texels at a mask's border."""
    import cv2

    return cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def suppress_sheen(log: Image, confidence: Float[np.ndarray, "h w"]) -> Image:
    """Limit the lightness of hair at grazing angles to that of well-visible hair."""
    lightness = log.mean(-1)
    reliable = lightness[confidence > 0.9][::7]
    if len(reliable) < 100:
        return log
    excess = np.maximum(lightness - np.quantile(reliable, SHEEN_QUANTILE), 0) * (1 - confidence)
    return log - excess[..., None].astype(np.float32)


def _hair_likelihood(log: Image, weight: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Return 0..1: similarity of a colour's tint to the median of the hair, against skin and background."""
    reliable = log[weight > 0.9][::7]
    if len(reliable) < 100:
        return np.ones_like(weight)
    median = np.median(reliable, 0)
    difference = log - median
    log_lightness = difference.mean(-1, keepdims=True)
    tint = np.linalg.norm(difference - log_lightness, axis=-1)
    typical_tint = np.median(
        np.linalg.norm((reliable - median) - (reliable - median).mean(-1, keepdims=True), axis=-1)
    )
    return (1 - smoothstep(tint / (2 * typical_tint + 0.05), 1.0, 2.0)).astype(np.float32)


def _completed_base(texels: HairTexels, observed: Image) -> Image:
    """Return the base: observed, and from there towards the hair's typical colour."""
    confidence = texels.confidence
    well = confidence > 0.8
    if well.sum() < 500:
        well = confidence > 0.5 * max(float(confidence.max()), 1e-3)
    typical = np.median(observed[well][::5], 0) if well.any() else np.full(3, -3.0, np.float32)
    mirrored = MIRROR_WEIGHT * confidence[:, ::-1] * (1 - confidence)
    weight = confidence**2 + mirrored**2
    offset = observed - typical
    value = confidence[..., None] ** 2 * offset + mirrored[..., None] ** 2 * offset[:, ::-1]
    sigma = NEAR_M / float(np.median(texels.down))
    near = _wide_blur(value, sigma) / (_wide_blur(weight, sigma) + TYPICAL_WEIGHT)[..., None]
    w = smoothstep(confidence, 0.2, 0.7)[..., None]
    return (typical + w * offset + (1 - w) * near).astype(np.float32)


def _quilt_detail(
    texels: HairTexels, detail: Image, sharpness: Float[np.ndarray, "h w"], rng: np.random.Generator
) -> Image:
    """Return detail everywhere, quilted in rings from the top down."""
    flow = _strand_flow(detail, texels)
    target = _completed_flow(flow, sharpness, texels)
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
    layers = np.stack([np.pad(t, ((0, side[0] - t.shape[0]), (0, side[1] - t.shape[1]), (0, 0))) for t in turned])
    for block in BLOCKS:
        place = _whole_blocks(layers[..., 5] > 0.98, block)
        if len(place) >= MIN_PLACES:
            centre = place + [0, block[0] // 2, block[1] // 2]
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


def _strand_flow(detail: Image, texels: HairTexels) -> Float[np.ndarray, "h w 2"]:
    """Return cosine and sine of twice the strands' direction (0: across, y down), times coherence 0..1."""
    import cv2

    light = cv2.GaussianBlur(detail.mean(-1), (0, 0), 1.0)
    weight = texels.confidence
    gx = np.gradient(light, axis=1) / np.maximum(texels.across, 1e-6)[:, None]
    gy = np.gradient(light, axis=0) / np.maximum(texels.down, 1e-6)[:, None]
    xx, yy, xy = (_blur((weight * t).astype(np.float32), FLOW_TEXELS) for t in (gx * gx, gy * gy, gx * gy))
    total = np.maximum(xx + yy, 1e-9 + 0.02 * float((xx + yy).mean()))
    return np.stack([yy - xx, -2 * xy], -1).astype(np.float32) / total[..., None]  # a quarter turn off


def _completed_flow(
    flow: Float[np.ndarray, "h w 2"], sharpness: Float[np.ndarray, "h w"], texels: HairTexels
) -> Float[np.ndarray, "h w 2"]:
    """Return the strands' direction everywhere: as observed near it, elsewhere down."""
    sigma = FLOW_M / float(np.median(texels.down))
    weight = _wide_blur(sharpness, sigma)
    total = _wide_blur(flow * sharpness[..., None], sigma) + DOWN_WEIGHT * np.array([-1.0, 0.0], np.float32)
    return total / (weight + DOWN_WEIGHT)[..., None]


def _resized(values: np.ndarray, width: int) -> np.ndarray:
    """Resample the columns of an image linearly."""
    import cv2

    if values.shape[1] == width:
        return np.ascontiguousarray(values, np.float32).copy()
    size = (width, values.shape[0])
    return cv2.resize(values.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)


def _blur(values: Float[np.ndarray, "h w *c"], sigma: float) -> np.ndarray:
    """Blur by a Gaussian of ``sigma`` texels."""
    import cv2

    return cv2.GaussianBlur(values, (0, 0), sigma)


def _wide_blur(values: Float[np.ndarray, "h w *c"], sigma: float) -> np.ndarray:
    """Blur by a wide Gaussian of ``sigma`` texels, columns cyclic, at a quarter of the size."""
    import cv2

    height, width = values.shape[:2]
    small = cv2.resize(values.astype(np.float32), (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    pad = width // 16
    wrapped = np.concatenate([small[:, -pad:], small, small[:, :pad]], 1)
    blurred = cv2.GaussianBlur(wrapped, (0, 0), sigma / 4)[:, pad:-pad]
    return cv2.resize(np.ascontiguousarray(blurred), (width, height), interpolation=cv2.INTER_LINEAR)


def _local_mean(values: Image, weight: Float[np.ndarray, "h w"], sigma: float) -> Image:
    """Return the weighted mean around every texel."""
    total = _wide_blur(values * weight[..., None], sigma)
    return total / np.maximum(_wide_blur(weight, sigma), 1e-4)[..., None]


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
