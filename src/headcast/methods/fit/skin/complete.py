"""Colours for what no photo shows: skin from the skin model, hair and clothes from their visible parts.

Every guide is tied to the visible surroundings by a smooth factor carried over the mesh (a membrane in the
logarithm of colour, with a weak tie between mirror vertices), so that no seam shows.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float

from headcast.head.model import HeadModel
from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.observations import Evidence, zone
from headcast.texture.laplacian import Graph, graph_of, harmonic, splat
from headcast.texture.texels import Texels, gather

__all__ = ["complete", "labels", "strands"]

PRIOR = 0.02  # trust in what a region usually is, against what is seen of its surroundings
STRIDE = 3
HOME = 0.006  # pull of colours far from anything seen towards the usual one
FADE = 0.05  # the same of what skin seen at a slant differs by from skin seen squarely: gone after some 3 cm
EPS = 2e-3
GRAIN = 0.8  # of the seen skin's own, which has some of the photo's noise
GRAIN_MOST = 0.05


def complete(
    head: HeadModel, texels: Texels, seen: Evidence, skin: Float[np.ndarray, "n 3"],
    rest: Float[np.ndarray, "v 3"], rng: np.random.Generator,
) -> Float[np.ndarray, "n 3"]:  # fmt: skip
    """Linear albedo of every texel of the skin part, as its surroundings and the skin model suggest.

    Args:
        skin: the skin model's albedo for this person.
        rest: vertices at rest.
    """
    graph = graph_of(head, rest)
    with ThreadPoolExecutor(1) as aside:
        worn = aside.submit(worn_on_head, head, texels, seen, graph, rest, rng.spawn(1)[0])
        label = labels(head, texels, seen, graph)
        fill = label[:, :1] * bare(head, texels, seen, skin, graph, rng)
        for share, part in zip(label.T[1:], worn.result(), strict=True):
            if part is not None:
                fill += share[:, None] * part
    return fill.astype(np.float32)


def bare(
    head: HeadModel, texels: Texels, seen: Evidence, skin: Float[np.ndarray, "n 3"], graph: Graph,
    rng: np.random.Generator,
) -> Float[np.ndarray, "n 3"]:  # fmt: skip
    """Skin everywhere."""
    trust = seen.trust * seen.label[:, 0] ** 2 * seen.plain
    offset = np.log((seen.albedo + EPS) / (skin + EPS))
    square = carried(head, texels, graph, offset, trust * seen.square)
    offset = square + carried(head, texels, graph, offset - square, trust, usual=0.0, home=FADE)
    return np.exp(offset + grain(texels, seen, rng)[:, None]) * (skin + EPS)


def worn_on_head(
    head: HeadModel, texels: Texels, seen: Evidence, graph: Graph, rest: Float[np.ndarray, "v 3"],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "n 3"] | None, Float[np.ndarray, "n 3"] | None]:  # fmt: skip
    """Hair and clothes everywhere; None where the photos show none."""
    parts: list[Float[np.ndarray, "n 3"] | None] = []
    for label in seen.label.T[1:]:
        if seen.trust @ label <= 50:
            parts.append(None)
            continue
        trust = seen.trust * label**2 * seen.square
        parts.append(np.exp(carried(head, texels, graph, np.log(seen.albedo + EPS), trust)))
    hair, cloth = parts
    if hair is not None:
        hair = hair * np.exp(hair_contrast(texels, seen) * strands(head, texels, rest, rng))[:, None]
    return hair, cloth


def labels(head: HeadModel, texels: Texels, seen: Evidence, graph: Graph) -> Float[np.ndarray, "n 3"]:
    """Skin, hair or clothes at every texel: as seen, carried over the mesh, with what a region usually is."""
    faces, count = head.faces.numpy(), len(head.neutral)
    value, trust = splat(texels, faces, count, seen.label, seen.told, STRIDE)
    region = np.array(head.region_names)[head.region.numpy()]
    dressed = float(seen.trust @ seen.label[:, 2]) > 50
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
    x = gather(harmonic(graph, value, total), faces, texels)
    x = np.clip(x, 0, 1)
    x[:, 1] *= 1 - zone(head, texels, "ears", "neck", "nose", "lips", "lids")
    x[:, 2] *= zone(head, texels, "neck", "shoulders")
    sharp = x**6
    sharp[:, 0] += 1e-4
    return sharp / sharp.sum(1, keepdims=True)


def carried(
    head: HeadModel, texels: Texels, graph: Graph, value: Float[np.ndarray, "n 3"],
    weight: Float[np.ndarray, "n"], usual: float | None = None, home: float = HOME,
) -> Float[np.ndarray, "n 3"]:  # fmt: skip
    """Values known where ``weight`` is high carried over the whole mesh.

    Args:
        usual: what they tend to far from there; None: their median.
        home: how soon they do.
    """
    faces, count = head.faces.numpy(), len(head.neutral)
    at, trust = splat(texels, faces, count, value, weight, STRIDE)
    known = weight > 0.3
    far: float | Float[np.ndarray, "3"]
    if usual is not None:
        far = usual
    elif known.any():
        far = np.median(value[known], 0)
    else:
        far = at[trust > 0].mean(0) if (trust > 0).any() else 0.0
    total = 3 * trust + home
    known_at = (3 * trust[:, None] * at + home * far) / total[:, None]
    return gather(harmonic(graph, known_at, total), faces, texels)


def grain(texels: Texels, seen: Evidence, rng: np.random.Generator) -> Float[np.ndarray, "n"]:
    """Fine unevenness (logarithm of lightness) as strong as that of the skin that is seen."""
    import cv2

    def fine(picture: Float[np.ndarray, "s s"]) -> Float[np.ndarray, "s s"]:
        return cv2.GaussianBlur(picture, (0, 0), 0.9 * k) - cv2.GaussianBlur(picture, (0, 0), 3.0 * k)

    k = texels.size / 1024
    sure = (seen.trust * seen.plain * seen.core * seen.square * seen.label[:, 0]) > 0.8
    noise = texels.values(fine(rng.normal(size=(texels.size, texels.size)).astype(np.float32)))
    if sure.sum() < 500:
        return np.zeros_like(noise)
    light = texels.values(fine(texels.picture(np.log(seen.albedo.mean(1) + EPS).astype(np.float32))))
    strength = np.median(np.abs(light[sure])) / max(float(np.median(np.abs(noise))), 1e-6)
    return noise * np.float32(min(GRAIN * strength, GRAIN_MOST / max(float(noise.std()), 1e-6)))


def hair_contrast(texels: Texels, seen: Evidence) -> float:
    """How much the logarithm of the hair's lightness varies from strand to strand."""
    import cv2

    light = np.log(seen.albedo.mean(1) + EPS)
    sure = ((seen.trust > 0.7) & (seen.label[:, 1] > 0.8)).astype(np.float32)
    if sure.sum() < 500:
        return 0.15
    k = texels.size / 1024 * 8
    mean = cv2.GaussianBlur(texels.picture(light * sure), (0, 0), k) / np.maximum(
        cv2.GaussianBlur(texels.picture(sure), (0, 0), k), 1e-3
    )
    rest = light - texels.values(mean)
    return float(np.clip(np.median(np.abs(rest[sure > 0])) * 1.48, 0.05, 0.22))


def strands(
    head: HeadModel, texels: Texels, rest: Float[np.ndarray, "v 3"], rng: np.random.Generator
) -> Float[np.ndarray, "n"]:
    """Noise of unit variance that runs from the crown downwards like combed hair."""
    import cv2

    p = gather(rest, head.faces.numpy(), texels)
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
