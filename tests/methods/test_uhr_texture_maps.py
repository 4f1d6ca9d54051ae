"""Patches, seams, unwrapping, filling, files and the plug-in of ultra-high-resolution skin."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.uhr_texture import fill, infer
from headcast.methods.uhr_texture.data import make_looks
from headcast.methods.uhr_texture.geometry import (
    fitted_geometry,
    foreign_geometry,
    geometry_prior,
    rasterize_geometry,
    read_camera,
    read_obj,
)
from headcast.methods.uhr_texture.infer import Result, image_maps, unwrap_maps
from headcast.methods.uhr_texture.network import CONFIGS, GDE, HFDR, Predictor
from headcast.methods.uhr_texture.patches import refine_in_patches
from headcast.methods.uhr_texture.protocols.skin_rows import map_row
from headcast.methods.uhr_texture.run import side_of
from headcast.methods.uhr_texture.unwrap import (
    Pixels,
    pixels_to_unwrap,
    rotate_micronormals,
    solve_by_gradient,
    solve_texture,
)
from headcast.methods.uhr_texture.weights import SkinNetworks, load_skin_networks, untrained_networks
from headcast.methods.uhr_texture.write import write_maps, write_plain_glb

TINY = CONFIGS["tiny"]


@pytest.fixture(scope="module")
def networks() -> SkinNetworks:
    """Of random weights."""
    torch.manual_seed(3)
    hfdr = HFDR(TINY)
    torch.nn.init.normal_(hfdr.body.out.weight, 0, 0.1)
    return SkinNetworks(TINY, Predictor(TINY).eval(), GDE(TINY).eval(), hfdr.eval())


@pytest.fixture(scope="module")
def posed() -> tuple[HeadModel, HeadParams, Camera]:
    """The neutral head before a camera of 160 pixels."""
    head = HeadModel.load()
    pose = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    pose[:3, 3] = torch.tensor([0.0, 0.0, 0.9])
    K = torch.tensor([[520.0, 0, 80], [0, 520.0, 80], [0, 0, 1]])
    return head, HeadParams.neutral(head.identities), Camera(K, pose, 160, 160)


@pytest.mark.parametrize("n", [64, 100, 130])
def test_patches_equal_the_whole_picture(networks: SkinNetworks, n: int) -> None:
    rgb, coarse = torch.rand(3, n, n), torch.rand(15, 32, 32)
    coarse[12:] += 0.5
    # more context than the network sees: 2 · (1 + 2 + 4 + 8) + what the bottom adds
    parts = refine_in_patches(networks.hfdr, rgb, coarse, 64, context=64)
    wide = refine_in_patches(networks.hfdr, rgb, coarse, 192, context=64)
    assert parts.shape == (7, n, n)
    torch.testing.assert_close(parts, wide, atol=2e-3, rtol=0)


def energies(x: Tensor, seam: int) -> tuple[float, float]:
    """Step across a border relative to steps elsewhere, and fine energy near it relative to elsewhere."""
    step = (x[:, 1:] - x[:, :-1]).abs().mean((0, 2))
    fine = (x[:, 1:-1] * 2 - x[:, 2:] - x[:, :-2]).abs().mean((0, 2))
    away = torch.ones(len(fine), dtype=torch.bool)
    away[seam - 20 : seam + 20] = False
    near = fine[seam - 5 : seam + 3].mean()
    return float(step[seam - 1] / step[1:][away].mean()), float(near / fine[away].mean())


class Uneven(HFDR):
    """Gives its picture back, each patch a step brighter than the one before."""

    def __init__(self, step: float) -> None:
        super().__init__(TINY)
        self.step, self.given = step, 0

    def forward(self, rgb: Tensor, coarse: Tensor) -> Tensor:
        """As the class says."""
        level = self.step * torch.arange(self.given, self.given + len(rgb)).view(-1, 1, 1, 1)
        self.given += len(rgb)
        return torch.cat([rgb, rgb, rgb[:, :1]], 1) + level


def test_seams_vanish_and_pores_stay() -> None:
    noise = torch.randn(3, 512, 512, generator=torch.Generator().manual_seed(0)) * 0.02
    x = 0.3 + torch.nn.functional.avg_pool2d(noise[None], 3, 1, 1)[0]
    coarse = torch.ones(15, 32, 32)
    hard = refine_in_patches(Uneven(0.006), x, coarse, 256, context=0)[:3]
    assert min(energies(hard, 256)[0], energies(hard.transpose(1, 2), 256)[0]) > 1.2
    out = refine_in_patches(Uneven(0.006), x, coarse, 256)[:3]
    for found, plain in ((out, x), (out.transpose(1, 2), x.transpose(1, 2))):
        ratios = [a / b for a, b in zip(energies(found, 256), energies(plain, 256), strict=True)]
        assert min(ratios) > 0.95 and max(ratios) < 1.05, ratios
    far = torch.ones(512, dtype=torch.bool)
    far[248:264] = False
    torch.testing.assert_close(out[:, far][:, :, far], hard[:, far][:, :, far], atol=1e-6, rtol=0)
    # nothing happens to patches that agree: neither to pores nor to gradients of the skin's own
    even = x + torch.linspace(0, 0.4, 512)[:, None]
    torch.testing.assert_close(refine_in_patches(Uneven(0.0), even, coarse, 200)[:3], even, atol=1e-6, rtol=0)


def test_least_squares_equal_the_differentiable_rasterizer(
    posed: tuple[HeadModel, HeadParams, Camera],
) -> None:
    head, params, camera = posed
    mesh, small = fitted_geometry(head, params, camera), camera.scaled(0.4)
    triangle, bary = rasterize_geometry(mesh, small)
    trust = torch.ones(64, 64)
    pixels = pixels_to_unwrap(
        triangle, bary, mesh.vertices, mesh.faces, mesh.uv, mesh.faces_uv, mesh.normals, trust
    )
    values = torch.rand(len(pixels.index), 2, generator=torch.Generator().manual_seed(1))
    start = torch.full((2, 24, 24), 0.5)
    solved = solve_texture(values, pixels, 24, start, tile=64, rounds=60, tie=0.1)
    followed = solve_by_gradient(values, pixels, 24, start, steps=400, rate=0.05, tie=0.1)
    known = solved.visibility > 0.5
    assert known.float().mean() > 0.1
    torch.testing.assert_close(solved.texture[:, known], followed[:, known], atol=0.01, rtol=0)
    tiled = solve_texture(values, pixels, 24, start, tile=12, rounds=60, tie=0.1)
    assert (tiled.texture - solved.texture)[:, known].abs().mean() < 0.01


def test_a_texture_is_found_again(posed: tuple[HeadModel, HeadParams, Camera]) -> None:
    head, params, camera = posed
    mesh = fitted_geometry(head, params, camera)
    prior = geometry_prior(mesh, camera, 160)
    # a picture whose albedo is a smooth function of uv, micronormals leaning along the layout's u
    triangle, bary = rasterize_geometry(mesh, camera)
    pixels = pixels_to_unwrap(
        triangle, bary, mesh.vertices, mesh.faces, mesh.uv, mesh.faces_uv, mesh.normals, torch.ones(160, 160)
    )
    image = torch.zeros(7, 160 * 160)
    u, v = pixels.uv.unbind(-1)
    image[:3, pixels.index] = torch.stack([u, v, u * v])
    c, s = pixels.spin.unbind(-1)
    image[3:6, pixels.index] = (torch.stack([0.6 * c, 0.6 * s, torch.full_like(c, 0.8)]) + 1) / 2
    image[6] = 0.4
    texture, seen = unwrap_maps(image.view(7, 160, 160), pixels, 512)
    known = seen > 0.6
    x = (torch.arange(512) + 0.5) / 512
    assert known.float().mean() > 0.1
    assert (texture[0] - x[None])[known].abs().mean() < 0.01
    assert (texture[1] - x[:, None])[known].abs().mean() < 0.01
    assert (texture[3] - 0.8)[known].abs().mean() < 0.02 and (texture[4] - 0.5)[known].abs().mean() < 0.02
    assert prior.shape == (5, 160, 160) and prior[:2].max() <= 1
    back = rotate_micronormals(torch.tensor([[1.0, 0, 0]]), torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(back, torch.tensor([[0.0, -1, 0]]))


def test_mirror_images_lie_on_the_other_side() -> None:
    head = HeadModel.load()
    grid = fill.mirror_grid(head, 128)
    known = grid[..., 0] >= 0
    assert known.float().mean() > 0.4
    twice = torch.nn.functional.grid_sample(
        grid.permute(2, 0, 1)[None], (grid * 2 - 1)[None], align_corners=False
    )[0].permute(1, 2, 0)
    y, x = torch.meshgrid(*(((torch.arange(128) + 0.5) / 128,) * 2), indexing="ij")
    off = (twice - torch.stack([x, y], -1)).abs().amax(-1)[known]
    assert off.median() < 0.01
    maps, seen = torch.rand(7, 128, 128), torch.zeros(128, 128)
    seen[:, :64] = 1
    out, both = fill.complete_by_symmetry(maps, seen, head)
    assert torch.equal(out[:, :, :60], maps[:, :, :60])
    assert both[:, 64:].mean() > 0.3


def test_what_was_not_seen_takes_the_faces_colour() -> None:
    maps = torch.full((7, 64, 64), 0.6)
    maps[3:5], maps[5] = 0.5, 1.0
    seen = torch.zeros(64, 64)
    seen[20:44, 20:44] = 1
    base = torch.full((7, 64, 64), 0.3)
    base[3:5], base[5] = 0.5, 1.0
    out = fill.blend_over(maps, seen, base, torch.ones(64, 64))
    assert (out[:3] - 0.6).abs().max() < 0.01  # one gain brings all of it to what was seen
    assert torch.equal(out[3:6], maps[3:6])
    nothing = fill.blend_over(maps, torch.zeros(64, 64), base, torch.ones(64, 64))
    assert (nothing[6] - 0.3).abs().max() < 1e-5
    pulled = fill.pull_push(maps * seen, seen)
    assert (pulled[:3] - 0.6).abs().max() < 0.02


def test_any_size_and_both_priors(networks: SkinNetworks) -> None:
    for n in (70, 129):
        maps, prior, guide = image_maps(torch.rand(3, n, n), networks)
        assert maps.shape == (7, n, n) and prior.shape == (5, 32, 32) and guide.shape == (7, 32, 32)
        length = (maps[3:6] * 2 - 1).norm(dim=0)
        assert (length - 1).abs().max() < 1e-4
    given = torch.rand(5, 32, 32)
    assert torch.equal(image_maps(torch.rand(3, 70, 70), networks, given)[1], given)


def plane(folder: Path) -> Path:
    """A square of two triangles with texture coordinates."""
    path = folder / "plane.obj"
    v = "v -.1 -.1 0\nv .1 -.1 0\nv .1 .1 0\nv -.1 .1 0\n"
    path.write_text(v + "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3 4/4\n")
    return path


def result_of(size: int) -> Result:
    """Any maps."""
    camera = Camera(torch.eye(3), torch.eye(4), 8, 8)
    maps = torch.rand(7, size, size)
    n = torch.nn.functional.normalize(maps[3:6] * 2 - 1, dim=0)
    maps[3:6] = (n + 1) / 2
    image = torch.rand(7, 8, 8)
    return Result(
        crop=image[:3],
        camera=camera,
        image=image,
        prior=torch.rand(5, 4, 4),
        guide=torch.rand(7, 4, 4),
        texture=maps,
        visibility=torch.rand(size, size),
    )


def test_a_foreign_mesh_and_its_mistakes(tmp_path: Path, posed: tuple[HeadModel, HeadParams, Camera]) -> None:
    _, params, camera = posed
    mesh = foreign_geometry(plane(tmp_path), None, camera, params)
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]] and not mesh.own
    triangle, bary = rasterize_geometry(mesh, camera)
    pixels = pixels_to_unwrap(
        triangle, bary, mesh.vertices, mesh.faces, mesh.uv, mesh.faces_uv, mesh.normals, torch.ones(160, 160)
    )
    torch.testing.assert_close(pixels.spin, torch.tensor([[1.0, 0]]).expand(len(pixels.spin), 2))
    assert (pixels.weight > 0.99).all()
    rows = pixels.index // 160
    assert float(pixels.uv[rows.argmin(), 1]) < 0.02  # OBJ's v points up, ours down
    path = tmp_path / "plane.glb"
    write_plain_glb(result_of(64), mesh, path, 32, "webp")
    assert path.read_bytes()[:4] == b"glTF"
    bad = tmp_path / "bad.obj"
    bad.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(HeadcastError, match="no texture coordinates"):
        foreign_geometry(bad, None, camera, params)
    bad.write_text("hello")
    with pytest.raises(HeadcastError, match="OBJ"):
        read_obj(bad)
    other = tmp_path / "camera.json"
    other.write_text(json.dumps({"K": [[1, 0], [0, 1]]}))
    with pytest.raises(HeadcastError, match="not a camera"):
        read_camera(other)
    other.write_text(
        json.dumps({"K": np.eye(3).tolist(), "cam_from_world": np.eye(4).tolist(), "size": [4, 5]})
    )
    assert read_camera(other).height == 5


def test_files_are_sixteen_bit(tmp_path: Path) -> None:
    result = result_of(64)
    files = write_maps(result, tmp_path, "me", {"method": "uhr_texture"})
    names = {f.name for f in files}
    assert {"me_basecolor_64.png", "me_normal_64.png", "me_micronormal_64.png", "me_specular_64.png"} <= names
    read = cv2.imread(str(tmp_path / "me_basecolor_64.png"), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint16
    back = torch.from_numpy(read[..., ::-1].astype(np.float32) / 65535).permute(2, 0, 1)
    assert (back - result.texture[:3]).abs().max() < 1e-4
    assert cv2.imread(str(tmp_path / "me_specular_64.png"), cv2.IMREAD_UNCHANGED).shape == (64, 64)
    normal = result.maps().micronormal
    assert normal is not None and abs(float(np.linalg.norm(normal, axis=-1).mean()) - 1) < 1e-4


def test_off_the_skin_the_photo_stays() -> None:
    image, rgb = torch.rand(7, 8, 8), torch.rand(3, 8, 8)
    before, trust = image.clone(), torch.zeros(8, 8)
    trust[:, 4:] = 1
    infer.keep_skin(image, rgb, trust)
    assert torch.allclose(image[:, :, 4:], before[:, :, 4:], atol=1e-6)
    assert torch.allclose(image[:3, :, :4], rgb[:, :, :4], atol=1e-6)
    assert torch.allclose(
        image[3:6, :, :4], torch.tensor([0.5, 0.5, 1.0])[:, None, None].expand(3, 8, 4), atol=1e-6
    )


def test_sizes_by_word() -> None:
    assert side_of("4k") == 4096 and side_of("512") == 512
    with pytest.raises(HeadcastError, match="1k, 2k"):
        side_of("huge")


def test_pixels_at_a_slant_weigh_nothing() -> None:
    v = torch.tensor([[-0.1, -0.1, -1.0], [0.1, -0.1, -1.0], [0.0, 0.1, -1.0]])
    f, uv = torch.tensor([[0, 1, 2]]), torch.tensor([[0.0, 1], [1, 1], [0.5, 0]])
    triangle, bary = torch.zeros(1, 1, dtype=torch.int32), torch.full((1, 1, 3), 1 / 3)
    for normal, wanted in (((0.0, 0, 1), 1.0), ((1.0, 0, 0.05), 0.0)):
        n = torch.nn.functional.normalize(torch.tensor([normal]), dim=-1).expand(3, 3)
        p = pixels_to_unwrap(triangle, bary, v, f, uv, f, n, torch.ones(1, 1))
        assert isinstance(p, Pixels) and float(p.weight) == pytest.approx(wanted, abs=0.01)


def test_no_ripples_where_texels_are_finer_than_pixels(
    posed: tuple[HeadModel, HeadParams, Camera],
) -> None:
    head, params, camera = posed
    mesh = fitted_geometry(head, params, camera)
    topology = mesh.vertices, mesh.faces, mesh.uv, mesh.faces_uv, mesh.normals
    triangle, bary = rasterize_geometry(mesh, camera)
    triangle = torch.where(mesh.skin[triangle.clamp(min=0).long()], triangle, -1)
    pixels = pixels_to_unwrap(triangle, bary, *topology, torch.ones(160, 160))
    image = torch.full((7, 160, 160), 0.5)
    image[:3] = torch.rand(3, 160, 160, generator=torch.Generator().manual_seed(2))
    texture, seen = unwrap_maps(image, pixels, 1024)
    rough = (texture[:3, :, 1:] - texture[:3, :, :-1]).abs().mean(0)[seen[:, 1:] > 0.9]
    # noise of single pixels over finer texels: neighbours differ by a fraction of what pixels do (1/3)
    assert rough.mean() < 0.12, rough.mean()
    assert 0.1 < (seen > 0.9).float().mean() < 0.6
    # the inside of the mouth and the eyeballs lie in charts of their own, which no pixel of the skin shows
    other = torch.zeros(1024, 1024, dtype=torch.bool)
    for corner in head.uv[head.faces_uv[head.part != head.part_names.index("skin")]].mean(1):
        other[int(corner[1] * 1023), int(corner[0] * 1023)] = True
    assert seen[other].mean() < 0.02


def leads(networks: SkinNetworks, looks: torch.Tensor) -> np.ndarray:
    """By how much maps are better than those of untrained networks: (n, 2) dB of gloss, slope correlation."""
    rows = []
    for x in looks:
        trust = (x[15] > 0.99).float()
        both = networks, untrained_networks(networks)
        each = (image_maps(x[:3], n, x[3:8], trust=trust)[0] for n in both)
        mine, plain = (map_row(m, x[8:15], x[15], None) for m in each)
        rows.append([mine[k] - plain[k] for k in ("specular_psnr", "slopes")])
    return np.array(rows)


def beyond_the_spread(lead: np.ndarray) -> bool:
    """Whether every mean is positive by more than two standard errors."""
    return bool((lead.mean(0) > 2 * lead.std(0, ddof=1) / len(lead) ** 0.5).all())


def test_bundled_weights_are_better_than_untrained_networks() -> None:
    """On held-out heads; albedo is not claimed: what training adds to it is less than its spread."""
    looks = make_looks("test", 99, np.arange(900, 908), 128, 256, torch.device("cpu"), windows=0).whole
    networks = load_skin_networks()
    found = leads(networks, looks)
    assert beyond_the_spread(found) and found[:, 0].mean() > 3, found
    assert not beyond_the_spread(leads(untrained_networks(networks), looks[:3]))


def test_texels_far_finer_than_the_photo_are_enlarged(
    posed: tuple[HeadModel, HeadParams, Camera], monkeypatch: pytest.MonkeyPatch
) -> None:
    head, params, camera = posed
    mesh = fitted_geometry(head, params, camera)
    triangle, bary = rasterize_geometry(mesh, camera)
    parts = (mesh.vertices, mesh.faces, mesh.uv, mesh.faces_uv, mesh.normals)
    pixels = pixels_to_unwrap(triangle, bary, *parts, torch.ones(160, 160))
    image = torch.rand(1, 7, 20, 20, generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.interpolate(image, (160, 160), mode="bilinear")[0]
    short, seen = unwrap_maps(image, pixels, 1024)
    monkeypatch.setattr(infer, "FINEST", 1e9)
    whole, seen_whole = unwrap_maps(image, pixels, 1024)
    on = (seen > 0.5) & (seen_whole > 0.5)
    assert on.float().mean() > 0.1
    assert (short - whole).abs()[:, on].mean() < 0.004
    assert 0 < (seen - seen_whole).abs().mean() < 0.05  # another way, and nearly the same
