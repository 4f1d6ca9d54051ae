"""Complete unobserved texels: skin from the skin model, hair and clothes from their visible parts.

Each is multiplied by a smooth factor towards the observed surroundings, diffused over the mesh (a membrane in
log colour, with weak edges between mirrored vertices), so that no seam remains.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Shaped

from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.grain import skin_grain
from headcast.methods.fit.skin.observations import TexelObservations
from headcast.render.jit import side_jobs
from headcast.texture.laplacian import (
    TEXEL_STRIDE,
    Graph,
    diffuse,
    mesh_graph,
    scatter_to_vertices,
    solve_laplacian,
)
from headcast.texture.texels import Texels

__all__ = ["EPS", "complete_hidden"]

PRIOR_CONFIDENCE = 0.02  # of a region's prior label, relative to its observed surroundings
DETAIL_ATTRACTION = (
    0.05  # to zero, of the offset between grazing and frontal skin: it decays within about 3 cm
)
EPS = 2e-3  # linear albedo, added before the logarithm
UNEVENNESS_KEPT = 0.5  # of the logarithm of the light's shading, in what lit hidden skin looks like
MIN_TEXELS = 50  # of hair or clothes, for a photo to show any


def complete_hidden(
    canvas: TextureCanvas, growth: Float[np.ndarray, "n"], rng: np.random.Generator
) -> TextureCanvas:
    """Fill every texel from its surroundings and the skin model's albedo, which ``canvas.fill`` holds.

    Args:
        growth: 0..1, where a beard may grow; skin is continued apart there and elsewhere.
    """
    graph = mesh_graph(canvas.head, canvas.rest)
    with side_jobs() as pool:
        hair_and_clothes = pool.submit(_hair_and_clothes, canvas, graph, rng.spawn(1)[0])
        label = _labels(canvas, graph, growth)
        fill = label[:, :1] * _skin(canvas, graph, growth, rng)
        for weight, part in zip(label.T[1:], hair_and_clothes.result(), strict=True):
            if part is not None:
                fill += weight[:, None] * part
    return replace(canvas, fill=fill.astype(np.float32))


def _skin(
    canvas: TextureCanvas, graph: Graph, growth: Float[np.ndarray, "n"], rng: np.random.Generator
) -> Float[np.ndarray, "n 3"]:
    """Complete skin at every texel: bare skin, the beard upon it, and what differs beside observed skin."""
    head, texels, observed, skin = canvas.head, canvas.texels, canvas.observed, canvas.fill
    weight = observed.confidence * observed.label[:, 0] ** 2 * observed.is_clean
    frontal = weight * observed.frontality
    lit = log_lit(observed)
    offset = np.log((observed.albedo + EPS) / (skin + EPS)) + lit
    near = diffuse(head, texels, graph, offset, frontal * (1 - growth))
    near += growth[:, None] * diffuse(head, texels, graph, offset - near, weight * growth)
    near += diffuse(head, texels, graph, offset - near, weight, usual=0.0, attraction=DETAIL_ATTRACTION)
    return np.exp(near - lit + skin_grain(canvas, growth, rng)) * (skin + EPS)


def log_lit(observed: TexelObservations) -> Float[np.ndarray, "n 3"]:
    """Return the logarithm of the shading that is left in skin while it is completed.

    Hidden skin is assumed lit half as unevenly as the photo's light says, and by light of one colour: the
    front alone tells little of the light from the sides, and overexposed skin makes it look coloured.
    """
    log = np.log(observed.shading)
    lightness = log.mean(1, keepdims=True)
    return (log - (1 - UNEVENNESS_KEPT) * lightness).astype(np.float32)


def _hair_and_clothes(
    canvas: TextureCanvas, graph: Graph, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "n 3"] | None, Float[np.ndarray, "n 3"] | None]:
    """Complete hair and clothes at every texel; None where the photos show none."""
    observed = canvas.observed
    parts: list[Float[np.ndarray, "n 3"] | None] = []
    for label in observed.label.T[1:]:
        if observed.confidence @ label <= MIN_TEXELS:
            parts.append(None)
            continue
        weight = observed.confidence * label**2 * observed.frontality
        log = np.log(observed.albedo + EPS)
        parts.append(np.exp(diffuse(canvas.head, canvas.texels, graph, log, weight)))
    hair, cloth = parts
    if hair is not None:
        hair = hair * np.exp(_hair_contrast(canvas.texels, observed) * _strand_noise(canvas, rng))[:, None]
    return hair, cloth


def _labels(canvas: TextureCanvas, graph: Graph, growth: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n 3"]:
    """Label texels skin, hair or clothes: as observed, diffused over the mesh, else by region.

    Where a beard may grow there is no other hair: it would be a collar or the background taken for hair.
    """
    head, texels, observed = canvas.head, canvas.texels, canvas.observed
    faces, count = head.faces.numpy(), len(head.neutral)
    value, confidence = scatter_to_vertices(
        texels, faces, count, observed.label, observed.label_confidence, TEXEL_STRIDE
    )
    region = np.array(head.region_names)[head.region.numpy()]
    prior_label, prior_confidence = _label_prior(observed, region, value, confidence)
    total = confidence * 5 + prior_confidence
    value = (value * (confidence * 5)[:, None] + prior_label * prior_confidence[:, None]) / total[:, None]
    probability = np.clip(canvas.gather(solve_laplacian(graph, value, total)), 0, 1)
    probability[:, 1] *= (1 - canvas.region_weights("ears", "neck", "nose", "lips", "lids")) * (1 - growth)
    probability[:, 2] *= canvas.region_weights("neck", "shoulders")
    sharpened = probability**6
    sharpened[:, 0] += 1e-4
    return sharpened / sharpened.sum(1, keepdims=True)


def _label_prior(
    observed: TexelObservations,
    region: Shaped[np.ndarray, "v"],
    value: Float[np.ndarray, "v 3"],
    confidence: Float[np.ndarray, "v"],
) -> tuple[Float[np.ndarray, "v 3"], Float[np.ndarray, "v"]]:
    """Return prior labels of the vertices by region, and their confidence relative to observed ones."""
    count = len(region)
    has_clothes = float(observed.confidence @ observed.label[:, 2]) > MIN_TEXELS
    prior_label = np.zeros((count, 3))
    prior_label[:, 0] = 1
    if has_clothes:
        prior_label[region == "shoulders"] = [0, 0, 1]
    scalp = region == "scalp"
    hairiness = smoothstep(
        np.average(value[scalp, 1], weights=confidence[scalp] + 1e-6) if scalp.any() else np.zeros(1),
        0.2,
        0.6,
    )
    prior_label[scalp] = [1 - float(hairiness), float(hairiness), 0]
    prior_confidence = np.full(count, PRIOR_CONFIDENCE)
    prior_confidence[np.isin(region, ["face", "nose", "lips", "lids", "ears"])] = 50 * PRIOR_CONFIDENCE
    if has_clothes:
        prior_confidence[region == "neck"] = PRIOR_CONFIDENCE / 4
    return prior_label, prior_confidence


def _hair_contrast(texels: Texels, observed: TexelObservations) -> float:
    """Return the deviation of the hair's log lightness from strand to strand."""
    import cv2

    log_lightness = np.log(observed.albedo.mean(1) + EPS)
    is_hair = ((observed.confidence > 0.7) & (observed.label[:, 1] > 0.8)).astype(np.float32)
    if is_hair.sum() < 500:
        return 0.15
    sigma = texels.size / 1024 * 8
    mean = cv2.GaussianBlur(texels.to_image(log_lightness * is_hair), (0, 0), sigma) / np.maximum(
        cv2.GaussianBlur(texels.to_image(is_hair), (0, 0), sigma), 1e-3
    )
    residual = log_lightness - texels.from_image(mean)
    return float(np.clip(np.median(np.abs(residual[is_hair > 0])) * 1.48, 0.05, 0.22))


def _strand_noise(canvas: TextureCanvas, rng: np.random.Generator) -> Float[np.ndarray, "n"]:
    """Return noise of unit variance that runs from the crown downwards like combed hair."""

    head, rest = canvas.head, canvas.rest
    position = canvas.gather(rest)
    scalp = np.isin(np.array(head.region_names)[head.region.numpy()], ["scalp", "unlabelled"])
    centre = rest[scalp].mean(0) if scalp.any() else rest.mean(0)
    offset = position - centre
    azimuth = np.arctan2(offset[:, 0], offset[:, 2])
    elevation = np.arctan2(offset[:, 1], np.hypot(offset[:, 0], offset[:, 2]))
    noise = _combed_noise(rng)
    wave = 0.02 * np.sin(elevation * 7 + 5 * azimuth)
    x = ((azimuth + wave) / (2 * np.pi) + 0.5) * 3071
    y = (elevation / np.pi + 0.5) * 255
    samples = _sample_noise(x, y, noise)
    return samples.reshape(-1)[: len(x)]


def _sample_noise(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Sample an image of noise at points, in rows: OpenCV limits the length of one."""
    import cv2

    rows = -(-len(x) // 4096)
    grid = np.zeros((2, rows * 4096), np.float32)
    grid[0, : len(x)], grid[1, : len(x)] = x, y
    return cv2.remap(
        noise,
        grid[0].reshape(rows, -1),
        grid[1].reshape(rows, -1),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )


def _combed_noise(rng: np.random.Generator) -> np.ndarray:
    """Return noise of unit variance over height (rows) and direction (columns), stretched in height."""
    import cv2

    noise = np.zeros((256, 3072), np.float32)
    for width, length in ((0.8, 9), (1.6, 14), (4, 22)):
        white = rng.normal(size=noise.shape).astype(np.float32)
        noise += cv2.GaussianBlur(white, (0, 0), sigmaX=width, sigmaY=length) * np.float32(
            (width * length) ** 0.5
        )
    noise /= noise.std()
    return noise
