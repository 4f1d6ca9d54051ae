"""Complete the hair's colours where no photo shows them, from the person's own well-observed hair.

Log albedo is split in a base, which varies over centimetres, and detail: locks and strands. The base is
diffused from the observed hair towards its typical colour. Detail is quilted, see ``rings``.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from headcast.interpolation import smoothstep
from headcast.methods.fit.hair.rings import quilt_detail
from headcast.methods.fit.hair.texels import HairTexels, Image, blur_texels, wide_blur

__all__ = ["complete_colours", "suppress_sheen"]

FEATHER_TEXELS = 6.0  # over which observed and quilted detail are blended
RIM_TEXELS = 8.0  # near the hair's rim
CONTINUE_TEXELS = 2.5  # standard deviation of the window that continues the photo's colours
BASE_M = 0.018  # standard deviation of the window that separates the base from detail
NEAR_M = 0.03  # how far the observed base reaches into what is completed
TYPICAL_WEIGHT = 0.06  # of the hair's typical colour in the base, where nothing is near
MIRROR_WEIGHT = 0.35  # of the mirrored side's base
SHEEN_QUANTILE = 0.9  # of the lightness of well-visible hair
SHARP = (0.35, 0.7)  # confidence between which observed detail begins to count
COMB = {0.03: 0.6, 0.006: 0.5}  # standard deviations of blurs along long strands, metres, and their weights
NARROW, LOCK_M = 0.7, 0.003  # how much of what is wider than a lock is removed from them
HANGING_M = 0.02  # that hair hangs below the head, from which it is combed
GAIN_RANGE = (0.7, 1.6)  # of completed detail


def complete_colours(texels: HairTexels, rng: np.random.Generator) -> Image:
    """Complete log albedo: detail on a base, both observed or else quilted and diffused."""
    log = texels.log.astype(np.float32)
    confidence = (texels.confidence * _hair_likelihood(log, texels.confidence)).astype(np.float32)
    log = suppress_sheen(log, confidence)
    texels = texels._replace(log=log, confidence=confidence)
    sigma = BASE_M / float(np.median(texels.down))
    observed_base = _local_mean(log, confidence, sigma)
    base = _completed_base(texels, observed_base)
    detail = log - observed_base
    sharpness = smoothstep(confidence, *SHARP).astype(np.float32)
    quilted = quilt_detail(texels, detail, sharpness, rng)
    quilted = _match_gradients(_combed(quilted, texels), detail, texels, sharpness)
    seen = np.maximum(sharpness, smoothstep(texels.visible, *SHARP)).astype(np.float32)
    w = (1 - np.minimum(seen, blur_texels(seen, FEATHER_TEXELS) ** 2))[..., None]
    mixed = (w * quilted + (1 - w) * detail) / np.sqrt(w**2 + (1 - w) ** 2)  # keeps the deviation
    ground = (1 - seen[..., None]) * base + seen[..., None] * observed_base
    near_rim = 1 - smoothstep(blur_texels(texels.wanted.astype(np.float32), RIM_TEXELS), 0.9, 0.99)
    return _continued(ground + mixed, log, seen, near_rim)


def _continued(
    completed: Image, log: Image, seen: Float[np.ndarray, "h w"], where: Float[np.ndarray, "h w"]
) -> Image:
    """Continue the photo's colours over a few texels beyond what it shows, fading, ``where`` (0..1)."""
    near = blur_texels(seen, CONTINUE_TEXELS)
    colour = blur_texels(log * seen[..., None], CONTINUE_TEXELS) / np.maximum(near, 1e-4)[..., None]
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
    near = wide_blur(value, sigma) / (wide_blur(weight, sigma) + TYPICAL_WEIGHT)[..., None]
    w = smoothstep(confidence, 0.2, 0.7)[..., None]
    return (typical + w * offset + (1 - w) * near).astype(np.float32)


def _local_mean(values: Image, weight: Float[np.ndarray, "h w"], sigma: float) -> Image:
    """Return the weighted mean around every texel."""
    total = wide_blur(values * weight[..., None], sigma)
    return total / np.maximum(wide_blur(weight, sigma), 1e-4)[..., None]
