"""Colours for what no photo shows: skin from the skin model, hair and clothes from their visible parts.

Every guide is tied to the visible surroundings by a smooth factor diffused over the mesh (a membrane in the
logarithm of colour, with a weak tie between mirror vertices), so that no seam shows.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from jaxtyping import Float

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

PRIOR = 0.02  # trust in what a region usually is, against what is seen of its surroundings
FADE = 0.05  # attraction of what skin at a slant differs by from frontal skin: gone after some 3 cm
EPS = 2e-3  # linear albedo added before its logarithm is taken
FEW = 50  # texels of hair or clothes up to which there are none
GRAIN = 0.8  # of the seen skin's own, which has some of the photo's noise
GRAIN_MOST = 0.05


def complete_hidden(canvas: TextureCanvas, rng: np.random.Generator) -> TextureCanvas:
    """Fill every texel as its surroundings and the skin model, which ``canvas.fill`` holds, suggest."""
    graph = mesh_graph(canvas.head, canvas.rest)
    with ThreadPoolExecutor(1) as aside:
        worn = aside.submit(_hair_and_clothes, canvas, graph, rng.spawn(1)[0])
        label = _labels(canvas, graph)
        fill = label[:, :1] * _bare_skin(canvas, graph, rng)
        for share, part in zip(label.T[1:], worn.result(), strict=True):
            if part is not None:
                fill += share[:, None] * part
    return replace(canvas, fill=fill.astype(np.float32))


def _bare_skin(canvas: TextureCanvas, graph: Graph, rng: np.random.Generator) -> Float[np.ndarray, "n 3"]:
    """Skin everywhere."""
    head, texels, seen, skin = canvas.head, canvas.texels, canvas.observed, canvas.fill
    weight = seen.confidence * seen.label[:, 0] ** 2 * seen.is_clean
    offset = np.log((seen.albedo + EPS) / (skin + EPS))
    frontal = diffuse(head, texels, graph, offset, weight * seen.frontality)
    offset = frontal + diffuse(head, texels, graph, offset - frontal, weight, usual=0.0, attraction=FADE)
    return np.exp(offset + _grain(texels, seen, rng)[:, None]) * (skin + EPS)


def _hair_and_clothes(
    canvas: TextureCanvas, graph: Graph, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "n 3"] | None, Float[np.ndarray, "n 3"] | None]:
    """Hair and clothes everywhere; None where the photos show none."""
    seen = canvas.observed
    parts: list[Float[np.ndarray, "n 3"] | None] = []
    for label in seen.label.T[1:]:
        if seen.confidence @ label <= FEW:
            parts.append(None)
            continue
        weight = seen.confidence * label**2 * seen.frontality
        log = np.log(seen.albedo + EPS)
        parts.append(np.exp(diffuse(canvas.head, canvas.texels, graph, log, weight)))
    hair, cloth = parts
    if hair is not None:
        hair = hair * np.exp(_hair_contrast(canvas.texels, seen) * _strands(canvas, rng))[:, None]
    return hair, cloth


def _labels(canvas: TextureCanvas, graph: Graph) -> Float[np.ndarray, "n 3"]:
    """Skin, hair or clothes at every texel: as seen, diffused over the mesh, else as a region usually is."""
    head, texels, seen = canvas.head, canvas.texels, canvas.observed
    faces, count = head.faces.numpy(), len(head.neutral)
    value, trust = scatter_to_vertices(texels, faces, count, seen.label, seen.label_confidence, TEXEL_STRIDE)
    region = np.array(head.region_names)[head.region.numpy()]
    dressed = float(seen.confidence @ seen.label[:, 2]) > FEW
    usual = np.zeros((count, 3))
    usual[:, 0] = 1
    if dressed:
        usual[region == "shoulders"] = [0, 0, 1]
    scalp = region == "scalp"
    haired = smoothstep(
        np.average(value[scalp, 1], weights=trust[scalp] + 1e-6) if scalp.any() else np.zeros(1), 0.2, 0.6
    )
    usual[scalp] = [1 - float(haired), float(haired), 0]
    prior = np.full(count, PRIOR)
    prior[np.isin(region, ["face", "nose", "lips", "lids", "ears"])] = 50 * PRIOR
    if dressed:
        prior[region == "neck"] = PRIOR / 4
    total = trust * 5 + prior
    value = (value * (trust * 5)[:, None] + usual * prior[:, None]) / total[:, None]
    x = np.clip(canvas.gather(solve_laplacian(graph, value, total)), 0, 1)
    x[:, 1] *= 1 - canvas.region_weights("ears", "neck", "nose", "lips", "lids")
    x[:, 2] *= canvas.region_weights("neck", "shoulders")
    sharp = x**6
    sharp[:, 0] += 1e-4
    return sharp / sharp.sum(1, keepdims=True)


def _grain(texels: Texels, seen: TexelObservations, rng: np.random.Generator) -> Float[np.ndarray, "n"]:
    """Fine unevenness (logarithm of lightness) as strong as that of the skin that is seen."""
    import cv2

    def fine(picture: Float[np.ndarray, "s s"]) -> Float[np.ndarray, "s s"]:
        return cv2.GaussianBlur(picture, (0, 0), 0.9 * k) - cv2.GaussianBlur(picture, (0, 0), 3.0 * k)

    k = texels.size / 1024
    sure = (seen.confidence * seen.is_clean * seen.in_face * seen.frontality * seen.label[:, 0]) > 0.8
    noise = texels.from_image(fine(rng.normal(size=(texels.size, texels.size)).astype(np.float32)))
    if sure.sum() < 500:
        return np.zeros_like(noise)
    light = texels.from_image(fine(texels.to_image(np.log(seen.albedo.mean(1) + EPS).astype(np.float32))))
    strength = np.median(np.abs(light[sure])) / max(float(np.median(np.abs(noise))), 1e-6)
    return noise * np.float32(min(GRAIN * strength, GRAIN_MOST / max(float(noise.std()), 1e-6)))


def _hair_contrast(texels: Texels, seen: TexelObservations) -> float:
    """How much the logarithm of the hair's lightness varies from strand to strand."""
    import cv2

    light = np.log(seen.albedo.mean(1) + EPS)
    sure = ((seen.confidence > 0.7) & (seen.label[:, 1] > 0.8)).astype(np.float32)
    if sure.sum() < 500:
        return 0.15
    k = texels.size / 1024 * 8
    mean = cv2.GaussianBlur(texels.to_image(light * sure), (0, 0), k) / np.maximum(
        cv2.GaussianBlur(texels.to_image(sure), (0, 0), k), 1e-3
    )
    rest = light - texels.from_image(mean)
    return float(np.clip(np.median(np.abs(rest[sure > 0])) * 1.48, 0.05, 0.22))


def _strands(canvas: TextureCanvas, rng: np.random.Generator) -> Float[np.ndarray, "n"]:
    """Noise of unit variance that runs from the crown downwards like combed hair."""
    import cv2

    head, rest = canvas.head, canvas.rest
    p = canvas.gather(rest)
    scalp = np.isin(np.array(head.region_names)[head.region.numpy()], ["scalp", "unlabelled"])
    middle = rest[scalp].mean(0) if scalp.any() else rest.mean(0)
    d = p - middle
    around = np.arctan2(d[:, 0], d[:, 2])
    height = np.arctan2(d[:, 1], np.hypot(d[:, 0], d[:, 2]))
    noise = np.zeros((256, 3072), np.float32)
    for width, length in ((0.8, 9), (1.6, 14), (4, 22)):
        white = rng.normal(size=noise.shape).astype(np.float32)
        noise += cv2.GaussianBlur(white, (0, 0), sigmaX=width, sigmaY=length) * np.float32(
            (width * length) ** 0.5
        )
    noise /= noise.std()
    wave = 0.02 * np.sin(height * 7 + 5 * around)
    x = ((around + wave) / (2 * np.pi) + 0.5) * 3071
    y = (height / np.pi + 0.5) * 255
    rows = -(-len(x) // 4096)
    at = np.zeros((2, rows * 4096), np.float32)
    at[0, : len(x)], at[1, : len(x)] = x, y
    out = cv2.remap(
        noise, at[0].reshape(rows, -1), at[1].reshape(rows, -1), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    return out.reshape(-1)[: len(x)]
