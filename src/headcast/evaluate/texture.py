"""Skin maps in UV against the truth of synthetic heads: an avatar of the most frontal image of each."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from headcast.avatar.base import Avatar
from headcast.errors import HeadcastError
from headcast.evaluate.compare import Comparer
from headcast.evaluate.data import people_in
from headcast.evaluate.driven import step_progress
from headcast.evaluate.novel_view import most_frontal
from headcast.evaluate.report import Report, Row
from headcast.evaluate.scenes import MARKERS, read_scene
from headcast.evaluate.setting import Setting
from headcast.evaluate.store import Measured, Store
from headcast.evaluate.subjects import Subject, find_subjects
from headcast.head.maps import SkinMaps
from headcast.head.model import HeadModel
from headcast.image import check_dimensions, linear_to_srgb, load_image, srgb_to_linear
from headcast.metrics.figure import Figure
from headcast.metrics.image import psnr, ssim
from headcast.metrics.skin_tone import typology_angle
from headcast.metrics.texture import face_texels, match_gain, normal_angles
from headcast.parsing import parsing
from headcast.progress import Progress

__all__ = ["MEAN_SKIN", "measure"]

MEAN_SKIN = "mean skin"
"""The baseline without any person: the skin model's mean."""

FACE = ("face", "lips", "nose", "brows")
UV = "head's UV, at the size of the truth (reduced to 1024 texels a side at most)"
TEXELS = "texels of face, nose, lips and brows"
MOST = 1024
MAE = "mean absolute error"

uv_figure = partial(Figure, crop=UV, mask=TEXELS)

FIGURES = (
    uv_figure(
        key="albedo_psnr",
        title="albedo PSNR",
        unit="dB",
        note="as it comes: exposure counts",
    ),
    uv_figure(
        key="albedo_psnr_gained",
        title="albedo PSNR, gained",
        unit="dB",
        note="after one gain a channel in linear light (least squares), which the light leaves open",
    ),
    uv_figure(
        key="albedo_ssim",
        title="albedo SSIM, gained",
        note="11x11 Gaussian, sigma 1.5, borders reflected, after the same gain",
    ),
    uv_figure(
        key="ita_error",
        title="skin tone error",
        unit="degrees ITA",
        better="low",
        span="CIELAB medians",
        note="absolute difference of the individual typology angle",
    ),
    uv_figure(
        key="ita_bias",
        title="skin tone bias",
        unit="degrees ITA",
        better="neither",
        span="CIELAB medians",
        note="above 0: made lighter than true",
    ),
    uv_figure(
        key="normal_angle",
        title="micro normals",
        unit="degrees",
        better="low",
        span="unit vectors",
        note="mean angle between tangent-space normals",
    ),
    uv_figure(
        key="specular_mae",
        title="specular",
        unit="",
        better="low",
        span="0..1",
        note=MAE,
    ),
    uv_figure(
        key="roughness_mae",
        title="roughness",
        unit="",
        better="low",
        span="0..1",
        note=MAE,
    ),
)


def measure(setting: Setting) -> Report:
    """Measure every method on every synthetic person.

    Raises:
        HeadcastError: the folder holds no heads of ``headcast synth``.
    """
    folders = {p.name: p for p in people_in(setting.data, MARKERS[0])}
    who = [Subject(MEAN_SKIN, "", None), *find_subjects(setting.subjects, setting.seed)[1:]]
    store = Store(setting.out, {"protocol": "texture", **setting.facts()})
    report = Report(protocol="texture", figures={f.key: f for f in FIGURES})
    names = setting.chosen(list(folders))
    with Comparer(replace(setting.networks, identities=(), encoder=None, lpips=None), {}) as comparer:
        for n, name in enumerate(names):
            say = step_progress(setting.say, n, len(names))
            for c in who:
                try:
                    rows = store.get(c.name, name, c.facts) or _person(folders[name], c, store, comparer, say)
                    report.add(c.name, name, rows.rows)
                except HeadcastError as e:
                    report.skipped[f"{name}, {c.name}"] = str(e)
            kept = {c: store.kept(c, name) for c in ("truth", *(c.name for c in who))}
            line = [(f"{name} {c}", x) for c, found in kept.items() for x in found.values()]
            report.sheet += [line] if line else []
    report.notes.append("the head's own UV: a method with another head model is left out")
    return report


def _person(folder: Path, who: Subject, store: Store, comparer: Comparer, say: Progress) -> Measured:
    """Measure one method's maps of one person."""
    name = folder.name
    truth = true_maps(folder)
    assert truth.albedo is not None
    if who.make is None:
        maps = mean_skin()
    else:
        scene = read_scene(folder)
        truths = {s.name: comparer.truth(s.rgb, s.name, need_face=False) for s in scene.shots}
        faces = [s for s in scene.shots if truths[s.name].points is not None]
        if not faces:
            raise HeadcastError(f"{name}: no face found in any view")
        avatar = who.make(
            [most_frontal(faces, truths).path], lambda s, what: say(s, f"{name}: {who.name}: {what}")
        )
        maps = maps_of(avatar, who.name)
    row, shown = map_rows(maps, truth)
    store.keep("truth", name, "albedo", to_srgb8(truth.albedo))
    store.keep(who.name, name, "albedo", shown)
    found = Measured([row])
    store.put(who.name, name, found, who.facts)
    return found


def true_maps(folder: Path) -> SkinMaps:
    """Read the maps that ``headcast synth`` wrote.

    Raises:
        HeadcastError: a file is missing or damaged.
    """
    albedo = to_linear(load_image(folder / "skin_albedo.png").rgb)
    normal, specular, roughness = (
        read_map(folder / f"skin_{n}.png") for n in ("micronormal", "specular", "roughness")
    )
    return SkinMaps(albedo=albedo, micronormal=2 * normal - 1, specular=specular, roughness=roughness)


def read_map(path: Path) -> Float[np.ndarray, "h w *c"]:
    """Read an 8- or 16-bit PNG as 0..1, RGB."""
    import cv2

    check_dimensions(path, "PNG")
    with parsing(path, "not a readable image", "make the folder again (headcast synth)"):
        x = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if x is None:
            raise ValueError("of no known format")
    y = x.astype(np.float32) / (65535 if x.dtype == np.uint16 else 255)
    return y[..., ::-1] if y.ndim == 3 else y


def maps_of(avatar: Avatar, name: str) -> SkinMaps:
    """Return an avatar's own maps, or the albedo of its mesh.

    Raises:
        HeadcastError: it wears another head's texture, or none.
    """
    from headcast.head.skin import uv_key

    if uv_key(avatar.head) != uv_key(bundled_head()):
        raise HeadcastError(f"{name}: bound to another head model, whose UV is not the truth's")
    if avatar.mesh is None:
        raise HeadcastError(f"{name}: an avatar without a texture; this protocol needs one")
    albedo = to_linear(avatar.mesh.texture)
    return replace(avatar.skin_maps or SkinMaps(), albedo=albedo)


def mean_skin() -> SkinMaps:
    """Return the skin model's mean maps."""
    from headcast.head.skin import SkinModel

    return SkinMaps(SkinModel.load().mean.exp().numpy())


def map_rows(maps: SkinMaps, truth: SkinMaps) -> tuple[Row, UInt8[np.ndarray, "h w 3"]]:
    """Compute figures of one set of maps; also return its gain-matched albedo for the sheet."""
    assert truth.albedo is not None and maps.albedo is not None
    side = min(truth.albedo.shape[0], MOST)
    real, fake = resize_map(truth.albedo, side), resize_map(maps.albedo, side)
    face = texels(side)
    level = match_gain(fake, real, face)
    a, b, c = to_srgb8(real), to_srgb8(fake), to_srgb8(level)
    tone = typology_angle(b, face) - typology_angle(a, face)
    row: Row = {
        "albedo_psnr": psnr(a, b, face),
        "albedo_psnr_gained": psnr(a, c, face),
        "albedo_ssim": ssim(a, c, face),
        "ita_error": abs(tone),
        "ita_bias": tone,
    }
    if maps.micronormal is not None and truth.micronormal is not None:
        angles = normal_angles(resize_map(maps.micronormal, side), resize_map(truth.micronormal, side))
        row["normal_angle"] = float(angles[face].mean())
    for key, x, y in (
        ("specular_mae", maps.specular, truth.specular),
        ("roughness_mae", maps.roughness, truth.roughness),
    ):
        if x is not None and y is not None:
            row[key] = float(np.abs(resize_map(x, side) - resize_map(y, side))[face].mean())
    return row, c


@cache
def bundled_head() -> HeadModel:
    """Load the bundled head model once."""
    return HeadModel.load()


@cache
def texels(side: int) -> Bool[np.ndarray, "s s"]:
    """Mask texels of the face in the bundled head's UV."""
    return face_texels(bundled_head(), side, FACE)


def resize_map(x: Float[np.ndarray, "h w *c"], side: int) -> Float[np.ndarray, "s s *c"]:
    """Resize to another resolution, by texel areas where it shrinks."""
    import cv2

    if x.shape[0] == side:
        return x.astype(np.float32)
    method = cv2.INTER_AREA if x.shape[0] > side else cv2.INTER_LINEAR
    return cv2.resize(x.astype(np.float32), (side, side), interpolation=method)


def to_linear(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    """Convert sRGB to linear light."""
    return srgb_to_linear(rgb.astype(np.float32) / 255).astype(np.float32)


def to_srgb8(linear: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Convert linear light to 8-bit sRGB."""
    return np.round(linear_to_srgb(linear.clip(0, 1)) * 255).astype(np.uint8)
