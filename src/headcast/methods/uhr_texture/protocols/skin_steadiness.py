"""How far albedo moves when only a photo's light, frame or noise does: real portraits, no truth needed.

Data: the folder of public-domain portraits with ``portraits_pd.csv``; colour photos of its train split
(nothing of it is trained on), ``--limit`` (24) of them, spread. Each is changed: lit from one side (its
linear colours times 1 + 0.6 n.d over the fitted normals), made brighter, warmer, noisy, moved and enlarged.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from headcast.errors import HeadcastError
from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting, option_facts
from headcast.evaluate.store import Store
from headcast.head.model import HeadModel
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.methods.uhr_texture.geometry import fitted_geometry, geometry_prior
from headcast.methods.uhr_texture.infer import image_maps
from headcast.methods.uhr_texture.light import delit_image, estimate_shading
from headcast.methods.uhr_texture.network import resize_maps
from headcast.methods.uhr_texture.protocols.skin_images import NetworkFiles, networks_asked, weights_facts
from headcast.methods.uhr_texture.square import crop_face_square, skin_trust
from headcast.methods.uhr_texture.weights import SkinNetworks
from headcast.metrics.figure import Figure
from headcast.observe.observe import observe_photo
from headcast.parsing import load_table

__all__ = ["Options", "measure"]

OURS, DELIT, INPUT = "uhr", "de-lit image", "image as it is"
TABLE = "portraits_pd.csv"
COUNT = 24
"""Photos where no limit is given."""
SIDE = 256
"""Pixels of the square around the face."""
FRAME = (0.03, -0.02, 1.05)
"""By which the frame moves (of its side) and enlarges."""
SLOPE, BRIGHTER, WARMER, NOISE = 0.6, 1.33, (1.1, 1.0, 0.85), 0.03
"""Of the light from a side; of brightness; of the light's red, green and blue; standard deviation, 0..1."""
MOVED = "frame moved"
CHANGES = ("lit from the left", "lit from the right", "a third brighter", "warmer", "noisy", MOVED)
FIGURES = tuple(
    Figure(
        key=name,
        title=name,
        unit="",
        better="low",
        crop=f"the square of the face, {SIDE} px",
        mask="skin",
        note="root of the mean squared difference of albedo before and after",
    )
    for name in CHANGES
)


@dataclass(frozen=True)
class Options(NetworkFiles):
    """Options of the protocol ``skin-steadiness``."""


@dataclass(frozen=True)
class Face:
    """The square of a face: image, UV and normals (5 channels), where skin is, and which pixels count."""

    rgb: Float[Tensor, "3 s s"]
    prior: Float[Tensor, "5 s s"]
    trust: Float[Tensor, "s s"]
    mask: Bool[Tensor, "s s"]


@torch.no_grad()
def measure(setting: Setting) -> Report:
    """Change every photo and measure by how much albedo follows.

    Raises:
        HeadcastError: no table of photos, no weights.
    """
    options: Options = setting.options or Options()
    networks = networks_asked(setting, "skin-steadiness", options)
    store = Store(setting.out, {"protocol": "skin-steadiness", **option_facts(options)})
    head, facts = HeadModel.load(), weights_facts(options)
    report = Report(protocol="skin-steadiness", figures={f.key: f for f in FIGURES}, main=CHANGES)
    photos = photos_of(setting.data, setting.limit or COUNT)
    chosen = [p for p in photos if not setting.only or p.stem in setting.only]
    for n, path in enumerate(chosen):
        setting.say(n / len(chosen), path.stem)
        used = len(report.items())  # the seed of the noise
        make = partial(photo_rows, path, head, networks, used)
        try:
            rows = store.together((OURS, DELIT, INPUT), path.stem, make, [*facts, used])
        except HeadcastError as e:
            report.skipped[path.stem] = str(e)
            continue
        for c, row in rows.items():
            report.add(c, path.stem, [row])
    return report


def photos_of(folder: Path, count: int) -> list[Path]:
    """List colour photos of the train split, spread.

    Raises:
        HeadcastError: the folder has no table.
    """
    table = folder / TABLE
    if not table.is_file():
        raise HeadcastError(f"{table}: no such file; give the folder of public-domain portraits")
    columns = ("id", "split", "black_and_white")
    lines = load_table(table, columns, "take it from the data set again")
    rows = [r for r in lines if r["split"] == "train" and r["black_and_white"] == "no"]
    step = max(1, len(rows) // count)
    return [folder / f"{r['id']}.jpg" for r in rows[::step][:count]]


def face_of(path: Path, head: HeadModel) -> Face:
    """Observe a photo and cut out the square of its face.

    Raises:
        HeadcastError: unreadable, or no face.
    """
    observation = observe_photo(path, head)
    rgb, camera, _ = crop_face_square(observation, SIDE)
    rgb = resize_maps(rgb[None], SIDE, SIDE)[0]
    prior = geometry_prior(fitted_geometry(head, observation.params, camera), camera, SIDE)
    trust = resize_maps(skin_trust(observation, camera.width)[None, None], SIDE, SIDE)[0, 0]
    return Face(rgb, prior, trust, (trust > 0.95) & (prior[2:].sum(0) > 0.3))


def photo_rows(path: Path, head: HeadModel, networks: SkinNetworks, seed: int) -> dict[str, Row]:
    """Measure by how much albedo moves with every change, by method."""
    face = face_of(path, head)
    before = albedos(face.rgb, face.prior, face.trust, networks)
    normal = normalize(face.prior[2:] * 2 - 1, dim=0)
    rows: dict[str, Row] = {method: {} for method in before}
    for name, changed in changed_images(face.rgb, normal, torch.Generator().manual_seed(seed)).items():
        for method, x in albedos(changed, face.prior, face.trust, networks).items():
            rows[method][name] = rms(x, before[method], face.mask)
    other = albedos(
        shift_frame(face.rgb), shift_frame(face.prior), shift_frame(face.trust[None])[0], networks
    )
    still = face.mask & (shift_frame(shift_frame(torch.ones(1, SIDE, SIDE)), back=True)[0] > 0.99)
    for method, x in other.items():
        again = shift_frame(shift_frame(before[method]), back=True)  # as blurred as what is compared
        rows[method][MOVED] = rms(shift_frame(x, back=True), again, still)
    return rows


def changed_images(
    rgb: Float[Tensor, "3 s s"], normal: Float[Tensor, "3 s s"], noise: torch.Generator
) -> dict[str, Float[Tensor, "3 s s"]]:
    """Make images that show the same skin."""
    linear = srgb_to_linear(rgb)
    out = {}
    for name, x in zip(CHANGES, (-1.0, 1.0), strict=False):
        lamp = normalize(torch.tensor([x, 0.4, 0.5]), dim=0).view(3, 1, 1)
        out[name] = linear_to_srgb((linear * (1 + SLOPE * (normal * lamp).sum(0))).clamp(0, 1))
    out[CHANGES[2]] = linear_to_srgb((linear * BRIGHTER).clamp(0, 1))
    out[CHANGES[3]] = linear_to_srgb((linear * torch.tensor(WARMER).view(3, 1, 1)).clamp(0, 1))
    out[CHANGES[4]] = (rgb + NOISE * torch.randn(rgb.shape, generator=noise)).clamp(0, 1)
    return out


def shift_frame(x: Float[Tensor, "c s s"], back: bool = False) -> Float[Tensor, "c s s"]:
    """Resample maps in the other frame, or from it back in this one."""
    dx, dy, s = FRAME
    n = x.shape[-1]
    y, u = torch.meshgrid(*(torch.linspace(-1 + 1 / n, 1 - 1 / n, n),) * 2, indexing="ij")
    at = torch.stack([u, y], -1)
    at = (at - torch.tensor([dx, dy])) * s if back else at / s + torch.tensor([dx, dy])
    return grid_sample(x[None], at[None], padding_mode="border", align_corners=False)[0]


def albedos(
    rgb: Float[Tensor, "3 s s"],
    prior: Float[Tensor, "5 s s"],
    trust: Float[Tensor, "s s"],
    networks: SkinNetworks,
) -> dict[str, Float[Tensor, "3 s s"]]:
    """Make albedo by every method."""
    n = rgb.shape[-1]
    shading = estimate_shading(rgb[None], resize_maps(prior[None], n, n), trust[None, None])
    small = resize_maps(prior[None], networks.config.side, networks.config.side)[0]
    return {
        OURS: image_maps(rgb, networks, small, trust=trust)[0][:3],
        DELIT: delit_image(rgb[None], shading)[0],
        INPUT: rgb,
    }


def rms(a: Tensor, b: Tensor, mask: Bool[Tensor, "s s"]) -> float:
    """Return the root of the mean squared difference over a mask."""
    return float((a - b)[:, mask].square().mean().sqrt())
