"""Reconstruction of a synthetic head drawn by our own renderer, whose truth is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.avatar.base import Avatar, load_avatar
from headcast.avatar.mesh import MeshAvatar
from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.fit.reconstruct import fit_avatar
from headcast.methods.fit.skin.detail import texture_size_for
from headcast.observe.types import Detection, Masks, Observation
from headcast.render.shaded import render_textured
from headcast.render.shading import ambient, directional
from headcast.texture.texels import interpolate_attributes, texels_of


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.load()


def picture(head: HeadModel, yaw: float = 0.0, size: int = 256) -> Observation:
    """A synthetic portrait: patterned skin under a lamp from the side, as if perfectly observed."""
    g = torch.Generator().manual_seed(3)
    identity = torch.randn(head.identities, generator=g) * 0.5
    turn = torch.tensor([0.0, float(np.radians(yaw)), 0.0])
    params = HeadParams.neutral(head.identities).replace(
        identity=identity, rotation=turn, translation=torch.tensor([0.0, 0.0, -1.0])
    )
    camera = Camera.make(size * 2.6, size, size)
    light = ambient(0.7) + directional(torch.tensor([0.6, 0.3, 0.74]), torch.full((3,), 0.4))
    y, x = torch.meshgrid(torch.linspace(0, 60, 512), torch.linspace(0, 60, 512), indexing="ij")
    waves = 0.08 * (torch.sin(x) * torch.sin(y))[..., None]
    texture = (torch.tensor([0.72, 0.56, 0.48]) + waves).clamp(0, 1)
    with torch.no_grad():
        v = head(params)
        drawn = render_textured(
            v, head.faces, head.vertex_normals(v), head.uv, head.faces_uv, texture, camera, light=light
        )
        points = camera.project(head.landmarks(v)).numpy().astype(np.float64)
    alpha = drawn.alpha[..., None]
    image = ((drawn.rgb * alpha + 0.2 * (1 - alpha)).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    person = drawn.alpha.numpy()
    none = np.zeros_like(person)
    box = tuple(float(c) for c in (*points.min(0), *points.max(0)))
    return Observation(
        image=image,
        detection=Detection(points, box, 1.0),
        masks=Masks(person=person, skin=person, hair=none, clothes=none, glasses=none),
        camera=camera,
        params=params,
        light=light.numpy(),
        landmark_error=0.0,
        name="synthetic",
    )


@pytest.fixture(scope="module")
def made(head: HeadModel) -> tuple[Observation, MeshAvatar]:
    seen = picture(head)
    return seen, fit_avatar([seen], head, texture_size=1024)


def shown(avatar: MeshAvatar, o: Observation) -> tuple[np.ndarray, np.ndarray]:
    with torch.no_grad():
        out = avatar.render(o.params, o.camera)
    return out.rgb.numpy(), out.alpha.numpy()


def test_the_photos_view_comes_back(made: tuple[Observation, MeshAvatar]) -> None:
    seen, avatar = made
    rgb, alpha = shown(avatar, seen)
    x0, y0, x1, y1 = (int(c) for c in seen.detection.box)
    window = np.s_[y0 + 8 : y1 - 8, x0 + 16 : x1 - 16]
    wrong = (rgb[window] - seen.image[window] / 255) * alpha[window][..., None]
    assert -10 * np.log10((wrong**2).mean()) > 33
    assert (alpha[window] > 0.9).all()


def test_nothing_is_missing_or_odd(made: tuple[Observation, MeshAvatar], head: HeadModel) -> None:
    _, avatar = made
    texels = texels_of(head, 1024)
    values = texels.from_image(avatar.texture)
    assert np.isfinite(avatar.source.light.numpy()).all()
    assert (values.max(1) > 8).mean() > 0.999


def test_hidden_skin_is_like_the_seen_and_has_no_seam(
    made: tuple[Observation, MeshAvatar], head: HeadModel
) -> None:
    _, avatar = made
    texels = texels_of(head, 1024)
    skin = (head.part == head.part_names.index("skin")).numpy()[texels.triangle]
    smooth = torch.nn.functional.avg_pool2d(
        torch.from_numpy(avatar.texture).float().permute(2, 0, 1), 9, 1, 4
    )
    values = texels.from_image(smooth.permute(1, 2, 0).numpy())
    region = np.array(head.region_names)[head.region.numpy()][head.faces.numpy()[texels.triangle, 0]]
    for name in ("face", "ears", "neck", "scalp"):
        assert np.abs(np.median(values[skin & (region == name)], 0) - [184, 143, 122]).max() < 26, name
    step = np.abs(np.diff(smooth.numpy(), axis=2)).max(0)
    inner = np.zeros((1024, 1024), bool)
    inner.reshape(-1)[texels.index[skin & np.isin(region, ["face", "neck", "scalp"])]] = True
    inner = inner[:, 1:] & inner[:, :-1]
    eroded = torch.nn.functional.max_pool2d((~torch.from_numpy(inner)).float()[None], 21, 1, 10)[0] == 0
    assert np.quantile(step[eroded.numpy()], 0.999) < 8


def test_the_other_cheek_is_filled_like_its_mirror(head: HeadModel) -> None:
    avatar = fit_avatar([picture(head, yaw=35.0)], head, texture_size=1024)
    texels = texels_of(head, 1024)
    values = texels.from_image(avatar.texture).astype(float)
    x = interpolate_attributes(head.neutral.numpy(), head.faces.numpy(), texels)[:, 0]
    skin = (head.part == head.part_names.index("skin")).numpy()[texels.triangle]
    left, right = values[skin & (x > 0.05)].mean(0), values[skin & (x < -0.05)].mean(0)
    assert np.abs(left - right).max() < 20


def test_two_photos_share_the_work(head: HeadModel) -> None:
    a, b = picture(head, yaw=-30.0), picture(head, yaw=30.0)
    avatar = fit_avatar([a, b], head, texture_size=1024)
    for o in (a, b):
        rgb, alpha = shown(avatar, o)
        x0, y0, x1, y1 = (int(c) for c in o.detection.box)
        window = np.s_[y0 + 12 : y1 - 12, x0 + 30 : x1 - 30]
        wrong = (rgb[window] - o.image[window] / 255) * alpha[window][..., None]
        assert -10 * np.log10((wrong**2).mean()) > 25


def test_larger_textures_agree(made: tuple[Observation, MeshAvatar], head: HeadModel) -> None:
    seen, small = made
    large = fit_avatar([seen], head, texture_size=2048)
    a, b = shown(small, seen)[0], shown(large, seen)[0]
    assert large.texture.shape == (2048, 2048, 3)
    assert np.abs(a - b).mean() < 0.02


def test_the_size_follows_the_photo(head: HeadModel) -> None:
    o = picture(head)
    assert texture_size_for(o, head) == 1024
    big = dataclasses.replace(o, camera=o.camera.resized(4000, 4000))
    assert texture_size_for(big, head) > 1024


def test_the_file_gives_the_same_avatar(made: tuple[Observation, MeshAvatar], tmp_path: Path) -> None:
    seen, avatar = made
    avatar.save(tmp_path / "me.avatar")
    back = load_avatar(tmp_path / "me.avatar")
    assert isinstance(back, MeshAvatar) and isinstance(back, Avatar)
    np.testing.assert_array_equal(back.texture, avatar.texture)
    assert back.source.landmarks is not None and avatar.source.landmarks is not None
    assert torch.equal(back.source.landmarks.triangle, avatar.source.landmarks.triangle)
    np.testing.assert_allclose(shown(back, seen)[0], shown(avatar, seen)[0], atol=2e-3)
    assert back.info["method"] == "fit" and "synthetic" in back.info["synthetic_media"]
    back.save(tmp_path / "again.avatar")
    again = load_avatar(tmp_path / "again.avatar")
    torch.testing.assert_close(again.head.neutral, back.head.neutral, atol=1e-6, rtol=0)
