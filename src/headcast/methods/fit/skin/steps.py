"""Steps of the texture's completion that concern all skin: its tone and model, distrust, rims."""

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
    "distrust_unlike_skin",
    "even_slants",
    "fit_skin_model",
    "relabel_glare",
    "skin_tone",
]

CRACK = 4.0  # texels of a 1024 texture
FRONTAL = (0.15, 0.6)  # of ``TexelObservations.frontality``
SLANTED = (0.0, 0.15)  # of the same: pixels stretched beyond use
STRETCH = 1.0  # pixels of the photo over which those are evened
GLARE = 1.1  # logarithm of how much lighter than skin
BALD = -0.002  # metres of hair above the scalp, up to which its glare may be skin's
TONE = (0.42, 0.30, 0.23)  # linear albedo of skin where no photo shows any


def skin_tone(observed: TexelObservations) -> Float[np.ndarray, "3"]:
    """Return the median linear albedo of the skin that is surely visible."""
    sure = observed.confidence * observed.is_clean * observed.label[:, 0] > 0.7
    return np.median(observed.albedo[sure], 0) if sure.any() else np.array(TONE)


def relabel_glare(canvas: TextureCanvas, tone: Float[np.ndarray, "3"], hair_height: float) -> TextureCanvas:
    """Label a bald scalp's glare, much lighter than skin and of no height (metres), as skin, not hair."""
    observed = canvas.observed
    weight = observed.label_confidence * canvas.region_weights("scalp") * observed.label[:, 1]
    if hair_height > BALD or weight.sum() < 20:
        return canvas
    colour = np.average(observed.albedo, axis=0, weights=weight)
    if float(np.log((colour + EPS) / (tone + EPS)).mean()) < GLARE:
        return canvas
    label = observed.label.copy()
    label[:, 0] += label[:, 1]
    label[:, 1] = 0
    return replace(canvas, observed=replace(observed, label=label))


def fit_skin_model(canvas: TextureCanvas, tone: Float[np.ndarray, "3"]) -> TextureCanvas:
    """Fill with this person's skin by the skin model; with one colour where no model fits the head."""
    import cv2

    model, texels, observed = SkinModel.load_for(canvas.head), canvas.texels, canvas.observed
    if model is None:
        return replace(canvas, fill=np.repeat(tone[None].astype(np.float32), len(texels.index), 0))
    weight = (observed.confidence * observed.is_clean * observed.label[:, 0] ** 2)[:, None]
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
    """Continue the model's albedo over chart borders, where there would be a dark rim."""
    import cv2

    inside = model.inside.numpy()
    filled = torch.where(model.inside[..., None], albedo, torch.zeros(3)).numpy()
    coverage = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 2.0)
    # no dark rim at chart borders
    outside = cv2.GaussianBlur(filled, (0, 0), 2.0) / np.maximum(coverage, 1e-3)[..., None]
    return np.where(inside[..., None], filled, outside)


def distrust_unlike_skin(canvas: TextureCanvas) -> TextureCanvas:
    """Distrust what is unlike the skin in ``fill``: stray hair on ears, a collar's edge, glare.

    Where the face is viewed frontally all of it stays visible, but it is not diffused to hidden skin.
    """
    observed = canvas.observed
    off = np.log((observed.albedo + EPS) / (canvas.fill + EPS))
    sure = observed.confidence * observed.is_clean * observed.frontality * observed.label[:, 0] > 0.5
    if sure.any():
        off = off - np.median(off[sure], 0)
    light = off.mean(1)
    frontal = smoothstep(observed.frontality, *FRONTAL)
    slack = np.where(light > 0, 0.45 + 0.25 * frontal, 0.7)
    unlike = np.maximum(np.linalg.norm(off - light[:, None], axis=1) / 0.3, np.abs(light) / slack)
    odd = smoothstep(unlike, 0.8, 1.6)
    kept = observed.in_face * frontal
    bare = canvas.region_weights("face", "ears", "neck", "nose", "lips", "lids") * (1 - observed.label[:, 2])
    confidence = observed.confidence * (1 - odd * bare * (1 - kept))
    is_skin = observed.label[:, 0] > 0.5
    frontality = np.where(is_skin, observed.frontality * (1 - odd), observed.frontality)
    observed = replace(
        observed, confidence=confidence.astype(np.float32), frontality=frontality.astype(np.float32)
    )
    return replace(canvas, observed=observed)


def close_cracks(canvas: TextureCanvas) -> TextureCanvas:
    """Fill thin cracks between visible parts of the face with the colour of the nearest visible skin."""
    texels, observed, fill = canvas.texels, canvas.observed, canvas.fill
    weight = observed.confidence[:, None]
    known = np.concatenate([observed.albedo * weight, weight], 1)
    near = texels.from_image(blur_texture(texels.to_image(known), CRACK * texels.size / 1024))
    colour = near[:, :3] / np.maximum(near[:, 3:], 1e-3)
    crack_weight = smoothstep(near[:, 3], 0.2, 0.5) * canvas.region_weights("face", "nose") * observed.in_face
    return replace(canvas, fill=fill + crack_weight[:, None] * (colour - fill))


def even_slants(canvas: TextureCanvas) -> TextureCanvas:
    """Take fine detail of skin at a slant from ``fill``, keeping its colour: no streaks of pixels."""
    texels, observed, fill = canvas.texels, canvas.observed, canvas.fill
    slanted = (1 - smoothstep(observed.frontality, *SLANTED)) * canvas.region_weights("face", "ears", "neck")
    slanted *= observed.label[:, 0]
    weight = observed.confidence[:, None]
    known = np.concatenate([observed.albedo * weight, weight, fill], 1)
    near = texels.from_image(
        blur_texture(texels.to_image(known), max(1.0, STRETCH * observed.texels_per_pixel))
    )
    even = near[:, :3] / np.maximum(near[:, 3:4], 1e-3) * (fill + EPS) / (near[:, 4:] + EPS)
    slant_weight = (slanted * observed.confidence).astype(np.float32)
    confidence = observed.confidence * (1 - slanted).astype(np.float32)
    observed = replace(observed, confidence=confidence)
    return replace(canvas, observed=observed, fill=fill + slant_weight[:, None] * (even - fill))
