"""The lit, textured picture: kernel against reference, clean edges, detail kept, a golden picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.render.scenes import camera, sphere
from torch import Tensor

from headcast.camera import Camera
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.render.shaded import gloss_of, render_textured
from headcast.render.shaded_reference import TexturedScene, render_textured_reference
from headcast.render.shading import ambient, directional
from headcast.render.texture import Pyramid, sample_texture
from headcast.render.types import Rendering

GOLDEN = Path(__file__).with_name("golden.png")


def checks(side: int = 128) -> Tensor:
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    board = ((x // 8 + y // 8) % 2)[..., None]
    return torch.where(board > 0, torch.tensor([0.85, 0.6, 0.5]), torch.tensor([0.3, 0.45, 0.7]))


def light() -> Tensor:
    return ambient(0.35) + directional(torch.tensor([0.6, 0.48, 0.64]), torch.tensor([0.8, 0.75, 0.7]))


def scene(**changes: object) -> TexturedScene:
    v, f, uv, faces_uv = sphere()
    given = {
        "vertices": v,
        "faces": f,
        "normals": v * 10,
        "uv": uv,
        "faces_uv": faces_uv,
        "pyramid": Pyramid.make(checks()),
        "camera": camera(96, 96, focal=240),
        "light": light(),
        "gloss": torch.tensor([0.3, 0.04]).expand(len(v), 2),
        "texture_space": "srgb",
        "colour_space": "srgb",
        "openness": None,
        "antialias": 2,
        "near": 0.01,
        **changes,
    }
    return TexturedScene(**given)  # type: ignore[arg-type]


def draw(s: TexturedScene) -> Rendering:
    return render_textured(
        s.vertices,
        s.faces,
        s.normals,
        s.uv,
        s.faces_uv,
        s.pyramid,
        s.camera,
        light=s.light,
        gloss=s.gloss,
        openness=s.openness,
        texture_space=s.texture_space,
        colour_space=s.colour_space,
        antialias=s.antialias,
        near=s.near,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"openness": torch.linspace(0, 1, len(sphere()[0]))},
        {"gloss": None},
        {"light": None, "gloss": None},
        {"antialias": 1},
        {"antialias": 3},
        {"texture_space": "linear"},
        {"colour_space": "linear"},
        {"light": None, "colour_space": "linear"},
        {"pyramid": Pyramid.make(checks(1024))},
        {"pyramid": Pyramid.make(torch.rand(64, 64, 4))},
    ],
)
def test_kernel_is_the_reference(changes: dict[str, object]) -> None:
    s = scene(**changes)
    one, other = render_textured_reference(s), draw(s)
    torch.testing.assert_close(one.alpha, other.alpha, atol=5e-3, rtol=0)
    assert torch.equal(one.depth, other.depth)
    wrong = (one.rgb - other.rgb).abs().amax(-1)
    # at a few pixels the two differ in whether samples lie on one smooth surface
    assert wrong.mean() < 2e-4 and (wrong > 2e-3).float().mean() < 4e-3
    assert one.colour_space == other.colour_space == s.colour_space


def test_edges_are_fractional_in_alpha_and_not_dark_in_colour() -> None:
    white = torch.ones(16, 16, 3) * 0.8
    picture = draw(scene(light=None, gloss=None, pyramid=Pyramid.make(white)))
    inside, edge = picture.alpha == 1, (picture.alpha > 0) & (picture.alpha < 1)
    assert inside.any() and edge.any()
    assert set((picture.alpha[edge] * 4).tolist()) <= {1.0, 2.0, 3.0}
    torch.testing.assert_close(
        picture.rgb[inside | edge], torch.full_like(picture.rgb[inside | edge], 0.8), atol=1e-4, rtol=0
    )
    assert (picture.rgb[picture.alpha == 0] == 0).all() and (picture.depth[picture.alpha == 0] == 0).all()
    # coverage is the disc's area, in samples
    radius = 240 * 0.1 / (0.6**2 - 0.1**2) ** 0.5
    assert abs(float(picture.alpha.sum()) - torch.pi * radius**2) < 0.02 * torch.pi * radius**2


def test_light_acts_in_linear_colour() -> None:
    grey = torch.full((8, 8, 3), 0.5)
    picture = draw(scene(light=ambient(0.4), gloss=None, pyramid=Pyramid.make(grey)))
    expected = float(linear_to_srgb(0.4 * srgb_to_linear(torch.tensor(0.5))))
    torch.testing.assert_close(
        picture.rgb[picture.alpha > 0],
        torch.full((int((picture.alpha > 0).sum()), 3), expected),
        atol=2e-4,
        rtol=0,
    )


@pytest.mark.parametrize("angle", [0.0, 35.0])
def test_a_photo_survives_the_way_through_its_texture(angle: float) -> None:
    g = torch.Generator().manual_seed(0)
    noise = torch.rand(160, 160, 3, generator=g)
    spectrum = torch.fft.rfft2(noise.movedim(-1, 0))
    fy, fx = torch.fft.fftfreq(160)[:, None], torch.fft.rfftfreq(160)
    photo = torch.fft.irfft2(spectrum / (fy**2 + fx**2).sqrt().clamp(min=1 / 160)).movedim(
        0, -1
    )  # 1/f as in photos
    photo = (0.5 + 0.18 * (photo - photo.mean()) / photo.std()).clamp(0, 1)
    view = Camera.make(480, 160, 160)
    a = np.deg2rad(angle)
    side = torch.tensor([float(np.cos(a)), 0.0, float(np.sin(a))])

    def place(x: Tensor, y: Tensor) -> Tensor:
        return torch.tensor([0.0, 0, -2.0]) + x[..., None] * side - y[..., None] * torch.tensor([0.0, 1, 0])

    q = torch.tensor([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    texels = 480  # a metre is 240 pixels: twice the photo's resolution
    t = (torch.arange(texels) + 0.5) / texels - 0.5
    y, x = torch.meshgrid(t, t, indexing="ij")
    texture = sample_texture(photo, view.project(place(x, y)) / 160, mode="bicubic").clamp(0, 1)
    faces = torch.tensor([[0, 2, 1], [0, 3, 2]])
    picture = render_textured(place(*q.T), faces, torch.zeros(4, 3), q + 0.5, faces, texture, view)
    assert (picture.alpha == 1).all()
    error = ((picture.rgb - photo)[8:-8, 8:-8] ** 2).mean()
    assert -10 * torch.log10(error) > 40


def test_gradients_reach_texture_light_and_vertices() -> None:
    s = scene(camera=camera(24, 24, focal=60))
    v, texture, sh = (
        s.vertices.clone().requires_grad_(),
        checks(16).requires_grad_(),
        light().requires_grad_(),
    )
    picture = render_textured(
        v, s.faces, s.normals, s.uv, s.faces_uv, texture, s.camera, light=sh, gloss=s.gloss
    )
    (picture.rgb * torch.rand(24, 24, 3)).sum().backward()
    for x in (v, texture, sh):
        assert x.grad is not None and torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0


def test_regions_have_their_gloss() -> None:
    gloss = gloss_of(torch.tensor([0, 1, 2]), ("cornea", "face", "something"))
    assert gloss[0, 0] < gloss[1, 0] and gloss[2, 1] == 0


def test_golden_picture() -> None:
    from headcast.image import load_image, save_png

    picture = draw(scene())
    ours = ((picture.rgb * picture.alpha[..., None]).numpy() * 255).round().astype(np.uint8)
    if not GOLDEN.exists():
        save_png(GOLDEN, ours)
    golden = load_image(GOLDEN).rgb
    wrong = np.abs(golden.astype(int) - ours.astype(int))
    assert wrong.mean() < 0.1 and np.percentile(wrong, 99.5) <= 3
