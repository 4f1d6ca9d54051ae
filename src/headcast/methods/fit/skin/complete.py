"""Complete what no photo shows: skin from the skin model, hair and clothes from their visible parts.

Every guide is tied to the visible surroundings by a smooth factor diffused over the mesh (a membrane in the
logarithm of colour, with a weak tie between mirror vertices), so that no seam shows.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Shaped

from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.observations import TexelObservations
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

PRIOR = 0.02  # confidence in a region's usual label, against what its surroundings show
FADE = 0.05  # attraction of what skin at a slant differs by from frontal skin: gone after some 3 cm
EPS = 2e-3  # linear albedo added before its logarithm is taken
FEW = 50  # texels of hair or clothes up to which there are none
GRAIN = 0.8  # fraction of the visible skin's own, which has some of the photo's noise
GRAIN_MOST = 0.05


def complete_hidden(canvas: TextureCanvas, rng: np.random.Generator) -> TextureCanvas:
    """Fill every texel as its surroundings and the skin model, which ``canvas.fill`` holds, suggest."""
    graph = mesh_graph(canvas.head, canvas.rest)
    with ThreadPoolExecutor(1) as pool:
        hair_and_clothes = pool.submit(_hair_and_clothes, canvas, graph, rng.spawn(1)[0])
        label = _labels(canvas, graph)
        fill = label[:, :1] * _bare_skin(canvas, graph, rng)
        for weight, part in zip(label.T[1:], hair_and_clothes.result(), strict=True):
            if part is not None:
                fill += weight[:, None] * part
    return replace(canvas, fill=fill.astype(np.float32))


def _bare_skin(canvas: TextureCanvas, graph: Graph, rng: np.random.Generator) -> Float[np.ndarray, "n 3"]:
    """Complete skin at every texel."""
    head, texels, observed, skin = canvas.head, canvas.texels, canvas.observed, canvas.fill
    weight = observed.confidence * observed.label[:, 0] ** 2 * observed.is_clean
    offset = np.log((observed.albedo + EPS) / (skin + EPS))
    frontal = diffuse(head, texels, graph, offset, weight * observed.frontality)
    offset = frontal + diffuse(head, texels, graph, offset - frontal, weight, usual=0.0, attraction=FADE)
    return np.exp(offset + _grain(texels, observed, rng)[:, None]) * (skin + EPS)


def _hair_and_clothes(
    canvas: TextureCanvas, graph: Graph, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "n 3"] | None, Float[np.ndarray, "n 3"] | None]:
    """Complete hair and clothes at every texel; None where the photos show none."""
    observed = canvas.observed
    parts: list[Float[np.ndarray, "n 3"] | None] = []
    for label in observed.label.T[1:]:
        if observed.confidence @ label <= FEW:
            parts.append(None)
            continue
        weight = observed.confidence * label**2 * observed.frontality
        log = np.log(observed.albedo + EPS)
        parts.append(np.exp(diffuse(canvas.head, canvas.texels, graph, log, weight)))
    hair, cloth = parts
    if hair is not None:
        hair = hair * np.exp(_hair_contrast(canvas.texels, observed) * _strands(canvas, rng))[:, None]
    return hair, cloth


def _labels(canvas: TextureCanvas, graph: Graph) -> Float[np.ndarray, "n 3"]:
    """Label texels skin, hair or clothes: as observed, diffused over the mesh, else by region."""
    head, texels, observed = canvas.head, canvas.texels, canvas.observed
    faces, count = head.faces.numpy(), len(head.neutral)
    value, confidence = scatter_to_vertices(
        texels, faces, count, observed.label, observed.label_confidence, TEXEL_STRIDE
    )
    region = np.array(head.region_names)[head.region.numpy()]
    usual, prior = _usual_labels(observed, region, value, confidence)
    total = confidence * 5 + prior
    value = (value * (confidence * 5)[:, None] + usual * prior[:, None]) / total[:, None]
    x = np.clip(canvas.gather(solve_laplacian(graph, value, total)), 0, 1)
    x[:, 1] *= 1 - canvas.region_weights("ears", "neck", "nose", "lips", "lids")
    x[:, 2] *= canvas.region_weights("neck", "shoulders")
    sharp = x**6
    sharp[:, 0] += 1e-4
    return sharp / sharp.sum(1, keepdims=True)


def _usual_labels(
    observed: TexelObservations,
    region: Shaped[np.ndarray, "v"],
    value: Float[np.ndarray, "v 3"],
    confidence: Float[np.ndarray, "v"],
) -> tuple[Float[np.ndarray, "v 3"], Float[np.ndarray, "v"]]:
    """Return the usual labels of the head's regions, and how much they count beside what is observed."""
    count = len(region)
    has_clothes = float(observed.confidence @ observed.label[:, 2]) > FEW
    usual = np.zeros((count, 3))
    usual[:, 0] = 1
    if has_clothes:
        usual[region == "shoulders"] = [0, 0, 1]
    scalp = region == "scalp"
    hairiness = smoothstep(
        np.average(value[scalp, 1], weights=confidence[scalp] + 1e-6) if scalp.any() else np.zeros(1),
        0.2,
        0.6,
    )
    usual[scalp] = [1 - float(hairiness), float(hairiness), 0]
    prior = np.full(count, PRIOR)
    prior[np.isin(region, ["face", "nose", "lips", "lids", "ears"])] = 50 * PRIOR
    if has_clothes:
        prior[region == "neck"] = PRIOR / 4
    return usual, prior


def _grain(texels: Texels, observed: TexelObservations, rng: np.random.Generator) -> Float[np.ndarray, "n"]:
    """Return fine unevenness (logarithm of lightness) as strong as that of the visible skin."""
    import cv2

    def band_pass(image: Float[np.ndarray, "s s"]) -> Float[np.ndarray, "s s"]:
        return cv2.GaussianBlur(image, (0, 0), 0.9 * k) - cv2.GaussianBlur(image, (0, 0), 3.0 * k)

    k = texels.size / 1024
    sure = (
        observed.confidence
        * observed.is_clean
        * observed.in_face
        * observed.frontality
        * observed.label[:, 0]
    ) > 0.8
    noise = texels.from_image(band_pass(rng.normal(size=(texels.size, texels.size)).astype(np.float32)))
    if sure.sum() < 500:
        return np.zeros_like(noise)
    light = texels.from_image(
        band_pass(texels.to_image(np.log(observed.albedo.mean(1) + EPS).astype(np.float32)))
    )
    strength = np.median(np.abs(light[sure])) / max(float(np.median(np.abs(noise))), 1e-6)
    return noise * np.float32(min(GRAIN * strength, GRAIN_MOST / max(float(noise.std()), 1e-6)))


def _hair_contrast(texels: Texels, observed: TexelObservations) -> float:
    """Return how much the logarithm of the hair's lightness varies from strand to strand."""
    import cv2

    light = np.log(observed.albedo.mean(1) + EPS)
    sure = ((observed.confidence > 0.7) & (observed.label[:, 1] > 0.8)).astype(np.float32)
    if sure.sum() < 500:
        return 0.15
    k = texels.size / 1024 * 8
    mean = cv2.GaussianBlur(texels.to_image(light * sure), (0, 0), k) / np.maximum(
        cv2.GaussianBlur(texels.to_image(sure), (0, 0), k), 1e-3
    )
    rest = light - texels.from_image(mean)
    return float(np.clip(np.median(np.abs(rest[sure > 0])) * 1.48, 0.05, 0.22))


def _strands(canvas: TextureCanvas, rng: np.random.Generator) -> Float[np.ndarray, "n"]:
    """Return noise of unit variance that runs from the crown downwards like combed hair."""

    head, rest = canvas.head, canvas.rest
    p = canvas.gather(rest)
    scalp = np.isin(np.array(head.region_names)[head.region.numpy()], ["scalp", "unlabelled"])
    middle = rest[scalp].mean(0) if scalp.any() else rest.mean(0)
    d = p - middle
    around = np.arctan2(d[:, 0], d[:, 2])
    height = np.arctan2(d[:, 1], np.hypot(d[:, 0], d[:, 2]))
    noise = _combed_noise(rng)
    wave = 0.02 * np.sin(height * 7 + 5 * around)
    x = ((around + wave) / (2 * np.pi) + 0.5) * 3071
    y = (height / np.pi + 0.5) * 255
    out = _sample_list(x, y, noise)
    return out.reshape(-1)[: len(x)]


def _sample_list(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Sample noise at any number of places: OpenCV limits the sides of an image of places."""
    import cv2

    rows = -(-len(x) // 4096)
    at = np.zeros((2, rows * 4096), np.float32)
    at[0, : len(x)], at[1, : len(x)] = x, y
    return cv2.remap(
        noise, at[0].reshape(rows, -1), at[1].reshape(rows, -1), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
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
