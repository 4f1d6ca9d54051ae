"""Complete the skin: tone, skin model, rejection of colours unlike skin, cracks, grazing angles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from headcast.head.skin import SkinModel
from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.complete import EPS
from headcast.methods.fit.skin.observations import TexelObservations
from headcast.texture.texels import blur_texture

__all__ = [
    "close_cracks",
    "fit_skin_model",
    "reject_unlike_skin",
    "relabel_glare",
    "skin_tone",
    "smooth_grazing_skin",
]

CRACK_TEXELS = 4.0  # of a 1024 texture
FRONTAL_RANGE = (0.15, 0.6)  # of ``TexelObservations.frontality``
GRAZING_RANGE = (0.0, 0.15)  # of the same: pixels are stretched along the surface
GRAZING_BLUR_PIXELS = 1.0  # of the photo
GLARE_LOG_DIFFERENCE = 1.1  # to skin, from which light hair is glare
BALD_HEIGHT_M = -0.002  # of hair above the scalp, up to which the head may be bald
DEFAULT_TONE = (0.42, 0.30, 0.23)  # linear albedo of skin where no photo shows any


def skin_tone(observed: TexelObservations) -> Float[np.ndarray, "3"]:
    """Return the median linear albedo of confidently observed skin."""
    is_certain = observed.confidence * observed.is_clean * observed.label[:, 0] > 0.7
    return np.median(observed.albedo[is_certain], 0) if is_certain.any() else np.array(DEFAULT_TONE)


def relabel_glare(canvas: TextureCanvas, tone: Float[np.ndarray, "3"], hair_height: float) -> TextureCanvas:
    """Relabel hair as skin where it is the glare of a bald scalp: lighter than skin, without height."""
    observed = canvas.observed
    weight = observed.label_confidence * canvas.region_weights("scalp") * observed.label[:, 1]
    if hair_height > BALD_HEIGHT_M or weight.sum() < 20:
        return canvas
    colour = np.average(observed.albedo, axis=0, weights=weight)
    if float(np.log((colour + EPS) / (tone + EPS)).mean()) < GLARE_LOG_DIFFERENCE:
        return canvas
    label = observed.label.copy()
    label[:, 0] += label[:, 1]
    label[:, 1] = 0
    return replace(canvas, observed=replace(observed, label=label))


def fit_skin_model(
    canvas: TextureCanvas, tone: Float[np.ndarray, "3"], bare: Float[np.ndarray, "n"]
) -> TextureCanvas:
    """Fill with this person's skin by the skin model; with one colour where no model fits the head.

    Args:
        bare: 0..1, how far each texel is free of a beard: only these are fitted.
    """
    import cv2

    model, texels, observed = SkinModel.load_for(canvas.head), canvas.texels, canvas.observed
    if model is None:
        return replace(canvas, fill=np.repeat(tone[None].astype(np.float32), len(texels.index), 0))
    weight = (observed.confidence * observed.is_clean * bare * observed.label[:, 0] ** 2)[:, None]
    small = cv2.resize(
        texels.to_image(np.concatenate([observed.albedo * weight, weight], 1)),
        (model.size, model.size),
        interpolation=cv2.INTER_AREA,
    )
    colour, known = small[..., :3] / np.maximum(small[..., 3:], 1e-4), small[..., 3]
    albedo = model.sample(model.fit(torch.from_numpy(colour), torch.from_numpy(known)))
    filled = _pad_charts(model, albedo)
    large = cv2.resize(filled, (texels.size, texels.size), interpolation=cv2.INTER_CUBIC)
    return replace(canvas, fill=np.maximum(texels.from_image(large), 1e-3).astype(np.float32))


def _pad_charts(model: SkinModel, albedo: torch.Tensor) -> np.ndarray:
    """Extend the model's albedo beyond chart borders, to avoid a dark rim."""
    import cv2

    inside = model.inside.numpy()
    filled = torch.where(model.inside[..., None], albedo, torch.zeros(3)).numpy()
    coverage = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 2.0)
    outside = cv2.GaussianBlur(filled, (0, 0), 2.0) / np.maximum(coverage, 1e-3)[..., None]
    return np.where(inside[..., None], filled, outside)


def reject_unlike_skin(canvas: TextureCanvas) -> TextureCanvas:
    """Lower the confidence of colours unlike the skin in ``fill``: stray hair, a collar's edge, glare.

    On the frontal face they keep their confidence but are not diffused to hidden skin.
    """
    observed = canvas.observed
    log_difference = np.log((observed.albedo + EPS) / (canvas.fill + EPS))
    is_certain = observed.confidence * observed.is_clean * observed.frontality * observed.label[:, 0] > 0.5
    if is_certain.any():
        log_difference = log_difference - np.median(log_difference[is_certain], 0)
    log_lightness = log_difference.mean(1)
    frontal = smoothstep(observed.frontality, *FRONTAL_RANGE)
    tolerance = np.where(log_lightness > 0, 0.45 + 0.25 * frontal, 0.7)
    unlike = np.maximum(
        np.linalg.norm(log_difference - log_lightness[:, None], axis=1) / 0.3,
        np.abs(log_lightness) / tolerance,
    )
    unlike_weight = smoothstep(unlike, 0.8, 1.6)
    frontal_face = observed.in_face * frontal
    skin_region = canvas.region_weights("face", "ears", "neck", "nose", "lips", "lids") * (
        1 - observed.label[:, 2]
    )
    confidence = observed.confidence * (1 - unlike_weight * skin_region * (1 - frontal_face))
    is_skin = observed.label[:, 0] > 0.5
    frontality = np.where(is_skin, observed.frontality * (1 - unlike_weight), observed.frontality)
    observed = replace(
        observed, confidence=confidence.astype(np.float32), frontality=frontality.astype(np.float32)
    )
    return replace(canvas, observed=observed)


def close_cracks(canvas: TextureCanvas) -> TextureCanvas:
    """Fill thin cracks between visible parts of the face with the colour of the nearest visible skin."""
    texels, observed, fill = canvas.texels, canvas.observed, canvas.fill
    weight = observed.confidence[:, None]
    known = np.concatenate([observed.albedo * weight, weight], 1)
    blurred = texels.from_image(blur_texture(texels.to_image(known), CRACK_TEXELS * texels.size / 1024))
    colour = blurred[:, :3] / np.maximum(blurred[:, 3:], 1e-3)
    crack_weight = (
        smoothstep(blurred[:, 3], 0.2, 0.5) * canvas.region_weights("face", "nose") * observed.in_face
    )
    return replace(canvas, fill=fill + crack_weight[:, None] * (colour - fill))


def smooth_grazing_skin(canvas: TextureCanvas) -> TextureCanvas:
    """Replace the detail of skin at grazing angles, stretched pixels, by ``fill``'s; keep its colour."""
    texels, observed, fill = canvas.texels, canvas.observed, canvas.fill
    grazing = (1 - smoothstep(observed.frontality, *GRAZING_RANGE)) * canvas.region_weights(
        "face", "ears", "neck"
    )
    grazing *= observed.label[:, 0]
    weight = observed.confidence[:, None]
    known = np.concatenate([observed.albedo * weight, weight, fill], 1)
    blurred = texels.from_image(
        blur_texture(texels.to_image(known), max(1.0, GRAZING_BLUR_PIXELS * observed.texels_per_pixel))
    )
    smoothed = blurred[:, :3] / np.maximum(blurred[:, 3:4], 1e-3) * (fill + EPS) / (blurred[:, 4:] + EPS)
    grazing_weight = (grazing * observed.confidence).astype(np.float32)
    confidence = observed.confidence * (1 - grazing).astype(np.float32)
    observed = replace(observed, confidence=confidence)
    return replace(canvas, observed=observed, fill=fill + grazing_weight[:, None] * (smoothed - fill))
