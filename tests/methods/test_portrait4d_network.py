"""Ψ: the published network's numbers at the official sizes; cache and static case at the small ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.parity import TOLERANCE, filled, seeded, shapes, worst

from headcast.camera import Camera
from headcast.methods.portrait4d.encoders import append_coordinates
from headcast.methods.portrait4d.network import OFFICIAL, SMALL, Synthesizer
from headcast.methods.portrait4d.pdfgc import ANCHORS, PDFGC, align_face
from headcast.nets.skip_synthesis import fir
from headcast.nets.triplane import sample_planes
from headcast.render.volume import rays_of

FACTS = Path(__file__).resolve().parent / "portrait4d_parity"


def camera_of(label: np.ndarray, side: int) -> Camera:
    """A label of 16 + 9 numbers: world from an OpenGL camera, intrinsics in picture sizes."""
    world_from_cam = torch.from_numpy(label[:16].reshape(4, 4)).float()
    world_from_cam[:3, 1:3] *= -1
    K = torch.from_numpy(label[16:].reshape(3, 3)).float().clone()
    K[:2] *= side
    return Camera(K, torch.linalg.inv(world_from_cam), side, side)


def test_names_and_shapes_are_the_published_ones() -> None:
    with torch.device("meta"):
        own = {k: list(v.shape) for k, v in Synthesizer(OFFICIAL).state_dict().items()}
        motion = {k: list(v.shape) for k, v in PDFGC().state_dict().items()}
    assert own == shapes(FACTS / "state_dict.json.gz")
    assert motion == shapes(FACTS / "pdfgc_state_dict.json.gz")


@pytest.mark.slow
@torch.no_grad()
def test_every_recorded_tensor_agrees() -> None:
    with torch.device("meta"):
        network = Synthesizer(OFFICIAL)
    network = network.to_empty(device="cpu")
    for name, buffer in network.named_buffers():
        if "resample_filter" in name:
            buffer.copy_(fir())
    network = filled(network, FACTS / "fill.json.gz")
    assert isinstance(network, Synthesizer)
    saved = dict(np.load(FACTS / "parity.npz"))
    found: dict[str, float] = {}

    def check(name: str, mine: torch.Tensor) -> torch.Tensor:
        found[name] = worst(name, mine, saved)
        return mine

    image = torch.nn.functional.interpolate(
        seeded("input:img_lowres", (1, 3, 32, 32)), (512, 512), mode="bicubic", align_corners=False
    )
    image = (0.7 * image).clamp(-1, 1)
    driver, source = (seeded(f"input:{name}", (1, 548)) for name in ("motion", "motion_app"))

    x = check("resnet_stage0", append_coordinates(image))
    check("features_global", network.encoder_global(x))
    seen = network.appearance(image, source)
    check("mid_neutral3", seen.tokens)
    check("features_detail", seen.detail)
    check("background_sigmoid512", seen.background)
    canonical = network.encoder_canonical
    check("canonical_sr", canonical.reenacted(seen.tokens, driver, seen.columns))
    static = canonical.neutral(network.encoder_global(x), None)
    check("static_canonical_sr_scale0", canonical.reenacted(static, None, seen.columns))
    head = network.head(seen, driver)
    check("planes", head.planes)

    points = torch.from_numpy(saved["in_points"])
    check("points_triplane_feature", sample_planes(head.planes, points, OFFICIAL.cube_side))
    density, colour = network.radiance(head.planes, points)
    check("points_sigma", density)
    check("points_rgb", colour)

    rays = rays_of([camera_of(saved["in_c"][0], 512)], 128, OFFICIAL.cube_side / 2)
    check("ray_dirs", rays.direction)
    drawn = network.render(head, rays)
    check("out_image", drawn.image_raw)
    check("out_image_feature", drawn.feature)
    check("out_image_sr", drawn.image)
    check("out_image_depth", drawn.depth)
    check("out_T_bg", 1 - drawn.alpha)
    check("out_interval", drawn.march.depths)
    check("out_all_weights", drawn.march.weights)
    feature = seeded("input:sr_feat", (1, 32, 128, 128))
    style = network.get_buffer("w_avg")[None]
    for noise in ("none", "const"):
        made = network.superresolution(feature[:, :3], feature, style, noise)
        check(f"sr_standalone_noise_{noise}", made)
    assert max(found.values()) <= TOLERANCE, found


@torch.no_grad()
def test_the_motion_encoder_agrees() -> None:
    network = filled(PDFGC(), FACTS / "pdfgc_fill.json.gz")
    assert isinstance(network, PDFGC)
    saved = dict(np.load(FACTS / "pdfgc_parity.npz"))
    face = 0.5 * seeded("input:pdfgc_img", (1, 3, 224, 224)).clamp(-1, 1)
    feature = network.model(face)
    assert worst("fan_feature", feature, saved) < TOLERANCE
    assert worst("headpose6", network.headpose_embed(network.to_headpose(feature)), saved) < TOLERANCE
    assert worst("motion548", network(face), saved) < TOLERANCE


def test_faces_are_aligned_by_eyes_and_mouth() -> None:
    # a picture whose colours are its own coordinates shows where every point went
    h, w = 300, 400
    y, x = torch.meshgrid(torch.arange(float(h)), torch.arange(float(w)), indexing="ij")
    image = torch.stack([x / w * 2 - 1, y / h * 2 - 1, torch.zeros(h, w)])
    points = torch.zeros(68, 2)
    points[36:42], points[42:48] = torch.tensor([150.0, 120.0]), torch.tensor([230.0, 130.0])
    # the third anchor where the similarity of the first two puts it
    (ax, ay), (bx, by), (cx, cy) = ANCHORS
    a, b = complex(80, 10) / complex(bx - ax, by - ay), complex(150, 120)
    mouth = b + a * complex(cx - ax, cy - ay)
    points[60:68] = torch.tensor([mouth.real, mouth.imag])
    face = align_face(image, points)
    # the picture is cut to rows 0..192 and columns 16..208, then brought back to 224
    for (u, v), (px, py) in zip(ANCHORS, ((150, 120), (230, 130), (mouth.real, mouth.imag)), strict=True):
        column, row = round((u + 0.5 - 16) * 224 / 192 - 0.5), round((v + 0.5) * 224 / 192 - 0.5)
        found = (face[:2, row, column] + 1) / 2 * torch.tensor([w, h])
        assert torch.allclose(found, torch.tensor([float(px), float(py)]), atol=1.5)


@pytest.fixture(scope="module")
def small() -> Synthesizer:
    """The small network with random weights."""
    torch.manual_seed(0)
    return Synthesizer(SMALL).eval()


@torch.no_grad()
def test_small_network_renders_from_any_camera(small: Synthesizer) -> None:
    image = torch.rand(1, 3, SMALL.side, SMALL.side) * 2 - 1
    seen = small.appearance(image, torch.randn(1, SMALL.motion_dim))
    one = small.head(seen, torch.randn(1, SMALL.motion_dim))
    two = small.head(seen, torch.randn(1, SMALL.motion_dim))
    assert one.planes.shape == (1, 3, SMALL.plane_channels, SMALL.side // 2, SMALL.side // 2)
    assert not torch.allclose(one.planes, two.planes)
    cameras = [Camera.orbit(torch.zeros(3), 1.4, yaw, focal=1200, width=256, height=256) for yaw in (0.0, 30)]
    drawn = [small.render(one, small.rays([c], 32)) for c in cameras]
    assert drawn[0].image.shape == (1, 3, 128, 128) and drawn[0].alpha.shape == (1, 1, 32, 32)
    assert not torch.allclose(drawn[0].image_raw, drawn[1].image_raw)
    assert all(bool((d.alpha >= -1e-5).all() and (d.alpha <= 1 + 1e-5).all()) for d in drawn)


@torch.no_grad()
def test_static_network_ignores_motion_layers(small: Synthesizer) -> None:
    image = torch.rand(1, 3, SMALL.side, SMALL.side) * 2 - 1
    before = small.head(small.appearance(image)).planes
    changed = Synthesizer(SMALL).eval()
    state = small.state_dict()
    motion = ("attn2", "norm2", "maps", "proj_y")
    kept = {k: v for k, v in state.items() if not ("encoder_canonical" in k and any(m in k for m in motion))}
    assert len(kept) < len(state)
    changed.load_state_dict(kept, strict=False)
    assert torch.equal(before, changed.head(changed.appearance(image)).planes)


@torch.no_grad()
def test_what_runs_away_in_the_encoders_does_not_silence_the_canonicalization() -> None:
    # so it was once: features grew ten-thousandfold, every ReLU behind the tokens died, motion did nothing
    torch.manual_seed(2)
    network = Synthesizer(SMALL).eval()
    for p in network.encoder_global.parameters():
        p.mul_(3)
    for name, p in network.encoder_canonical.convs.named_parameters():
        if name.endswith("bias"):
            p.fill_(-30.0)
    images = torch.rand(2, 3, SMALL.side, SMALL.side) * 2 - 1
    seen = network.appearance(images, torch.randn(2, SMALL.motion_dim))
    drivers = torch.randn(2, 2, SMALL.motion_dim)
    one, two = (network.encoder_canonical.reenacted(seen.tokens, d, seen.columns) for d in drivers)
    assert (one - two).abs().max() > 1e-3 and (one[0] - one[1]).abs().max() > 1e-3
    assert torch.allclose(seen.detail.square().mean((1, 2, 3)), torch.ones(2), atol=1e-3)
