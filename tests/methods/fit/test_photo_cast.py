"""Painted parts follow grey, tinted and coloured photos; ordinary ones are left alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from headcast.head.model import HeadModel
from headcast.head.skin import SkinModel
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.methods.fit.skin.observations import TexelObservations
from headcast.methods.fit.skin.photo_cast import NEUTRAL, SKIN_CHROMA, estimate_photo_cast
from headcast.methods.fit.skin.pipeline import CompletedTexture, complete_texture
from headcast.texture.masks import region_weights
from headcast.texture.texels import Texels, texels_of

PAINTED = ("teethUpper", "gums", "tongue", "mouth", "eyeLeft")


@cache
def texels() -> tuple[HeadModel, Texels]:
    """A small texture of the bundled head."""
    head = HeadModel.load()
    return head, texels_of(head, 128)


@cache
def ordinary() -> TexelObservations:
    """The front of a face of the skin model: skin, redder lips, dark brows."""
    head, t = texels()
    model = SkinModel.load_for(head)
    assert model is not None
    rng = np.random.default_rng(1)
    import cv2
    import torch

    albedo = model.sample(torch.from_numpy(rng.normal(size=len(model.components)) * 0.4).float()).numpy()
    albedo = t.from_image(cv2.resize(albedo, (t.size, t.size), interpolation=cv2.INTER_AREA))
    albedo = (albedo * np.exp(0.05 * rng.normal(size=albedo.shape))).astype(np.float32)
    n = len(albedo)
    face = (region_weights(head, t, "face", "nose", "lips", "lids") > 0.5).astype(np.float32)
    one = np.ones(n, np.float32)
    return TexelObservations(
        albedo=albedo,
        confidence=face,
        is_clean=one,
        label=np.stack([one, 0 * one, 0 * one], 1),
        frontality=one,
        in_face=face,
        label_confidence=one,
        foldedness=0 * one,
        shading=np.tile(one[:, None], (1, 3)),
        facing=one,
    )


def tinted(kind: str) -> TexelObservations:
    """The same face in a photo of another look; 0..255 display values, as photos are tinted."""
    observed = ordinary()
    albedo = observed.albedo
    if kind == "night":
        albedo = albedo * np.array([0.15, 0.4, 1.0])
    elif kind != "ordinary":
        grey = (linear_to_srgb(albedo.clip(0, 1)) @ np.array([0.3, 0.59, 0.11]))[:, None]
        tone = {"grey": (1.0, 1.0, 1.0), "sepia": (1.0, 0.85, 0.6), "cyanotype": (0.5, 0.75, 1.0)}[kind]
        albedo = srgb_to_linear(np.round(grey * np.array(tone) * 255) / 255)
    return replace(observed, albedo=albedo.astype(np.float32))


@cache
def completed(kind: str) -> CompletedTexture:
    """The texture that is completed from it."""
    head, t = texels()
    rest = head.shape(head.joint_identity.new_zeros(head.identities)).numpy()
    return complete_texture(head, t, tinted(kind), rest, 0.0, np.random.default_rng(0))


def chroma(colour: np.ndarray) -> np.ndarray:
    """Lab's a and b (n, 2) of linear colours."""
    import cv2

    display = linear_to_srgb(colour.clip(0, 1)).astype(np.float32)
    return cv2.cvtColor(display[:, None], cv2.COLOR_RGB2LAB)[:, 0, 1:]


def of_part(name: str) -> np.ndarray:
    """Texels of a part, or of a region of the skin."""
    head, t = texels()
    if name in head.part_names:
        return head.part.numpy()[t.triangle] == head.part_names.index(name)
    return region_weights(head, t, name) > 0.9


def test_ordinary_photos_have_no_cast() -> None:
    cast = estimate_photo_cast(ordinary())
    assert cast.is_neutral and cast.remove(ordinary()) is ordinary()  # bit for bit
    warm = replace(ordinary(), albedo=ordinary().albedo * np.array([1.0, 0.9, 0.8], np.float32))
    assert estimate_photo_cast(warm).is_neutral
    little = replace(tinted("grey"), confidence=0 * ordinary().confidence)
    assert estimate_photo_cast(little) is NEUTRAL


def test_everything_is_grey_in_a_grey_photo() -> None:
    found = completed("grey")
    assert np.abs(chroma(found.fill)).max() < 2
    assert all(np.abs(chroma(c)).max() < 2 for c in found.closed_lids.colour)
    plain = completed("ordinary")
    for name in PAINTED:  # as light as in colour, and only the hue is gone
        ratio = found.fill[of_part(name)].mean() / plain.fill[of_part(name)].mean()
        assert 0.5 < ratio < 1.8, name
    assert np.abs(chroma(plain.fill[of_part("tongue")])).max() > 10


@pytest.mark.parametrize("kind", ["sepia", "cyanotype"])
def test_painted_parts_have_the_tint_of_a_tinted_photo(kind: str) -> None:
    found, observed = completed(kind), tinted(kind)
    lit = np.log(observed.albedo[of_part("face")].clip(1e-4))
    tint = np.median(lit - lit.mean(1, keepdims=True), 0)
    for name in (*PAINTED, "neck", "ears"):
        log = np.log(found.fill[of_part(name)].clip(1e-4))
        assert np.abs(np.median(log - log.mean(1, keepdims=True), 0) - tint).max() < 0.15, name


def test_painted_parts_lie_under_the_same_blue_light() -> None:
    """Every painted colour changes as the photo's skin does; the tongue stays redder than the skin."""
    plain, night = completed("ordinary"), completed("night")
    skin = np.log(tinted("night").albedo / ordinary().albedo).mean(0)
    skin -= skin.mean()
    for name in (*PAINTED, "neck"):
        change = np.log((night.fill[of_part(name)] + 1e-4) / (plain.fill[of_part(name)] + 1e-4))
        change = np.median(change - change.mean(1, keepdims=True), 0)
        assert np.linalg.norm(change - skin) < 0.45 * np.linalg.norm(skin), (name, change, skin)
    tongue, face = (chroma(night.fill[of_part(name)])[:, 0].mean() for name in ("tongue", "neck"))
    assert tongue > face


def test_the_usual_skin_lies_amid_the_ordinary() -> None:
    assert abs(sum(SKIN_CHROMA)) < 0.01
