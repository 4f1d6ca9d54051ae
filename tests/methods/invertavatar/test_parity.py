"""The published network's numbers: all of them with the reference folder, ours of a tiny network without.

``tiny.npz`` holds numbers that this code computed when it agreed with the reference; no published number is
in it. ``python -m tests.methods.invertavatar.test_parity`` writes it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.parity import TOLERANCE, filled, seeded, shapes, worst
from torch import Tensor, nn

from headcast.methods.invertavatar.paper.conditions import fill_holes, rasterize_textures
from headcast.methods.invertavatar.paper.config import PAPER, TINY, InvertConfig
from headcast.methods.invertavatar.paper.generator import rays_of_labels
from headcast.methods.invertavatar.paper.inversion import Inversion
from headcast.nets.skip_synthesis import fir

TINY_FACTS = Path(__file__).resolve().parent / "tiny.npz"
SAMPLES = 48
"""Values kept of each tensor of the tiny network."""


@pytest.fixture
def reference(shared: Path) -> Path:
    """The folder with the published network's numbers."""
    return shared / "reference" / "invertavatar"


def lowres(name: str, shape: tuple[int, ...], side: int) -> Tensor:
    """Smooth images, enlarged from seeded ones."""
    small = seeded(f"input:{name}", shape)
    large = torch.nn.functional.interpolate(small, (side, side), mode="bicubic", align_corners=False)
    return (0.7 * large).clamp(-1, 1)


def condition(side: int) -> Tensor:
    """An ellipse of mesh with a mouth."""
    at = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(at, at, indexing="ij")
    mouth = (x.abs() < 0.2) & ((y - 0.45).abs() < 0.1)
    alpha = (((x / 0.7) ** 2 + (y / 0.85) ** 2 < 1) & ~mouth).float()
    return torch.stack([0.9 * x * alpha, 0.9 * y * alpha, alpha], -1)[None]


def empty_parts(config: InvertConfig) -> Inversion:
    """The network without memory: its parts are allocated when they are filled."""
    with torch.device("meta"):
        return Inversion(config)


def allocated(network: nn.Module) -> nn.Module:
    """The network with memory, and the buffers that no rule fills."""
    network = network.to_empty(device="cpu")
    for name, buffer in network.named_buffers():
        if "resample_filter" in name:
            buffer.copy_(fir())
        elif "num_batches" in name:
            buffer.zero_()
    return network


def test_names_and_shapes_are_the_published_ones(reference: Path) -> None:
    own = {k: list(v.shape) for k, v in empty_parts(PAPER).state_dict().items()}
    assert own == shapes(reference / "state_dict.json")


@pytest.mark.slow
@torch.no_grad()
def test_the_generator_agrees(reference: Path) -> None:
    network, rules = empty_parts(PAPER), reference / "fill.json"
    saved = dict(np.load(reference / "parity.npz"))
    generator = filled(allocated(network.generator), rules, "generator.")
    unet = filled(allocated(network.unet_encoder.triplane_unet), rules, "unet_encoder.triplane_unet.")
    found: dict[str, float] = {}

    def check(name: str, mine: Tensor) -> None:
        found[name] = worst(name, mine, saved)

    label = torch.from_numpy(saved["in_c"])
    ws = generator.map(torch.from_numpy(saved["in_z"]), label)
    check("ws", ws[:, :1])
    ws = ws + 0.3 * seeded("input:ws_delta", (1, 14, 512))
    check("ws_used", ws)
    head, mesh = generator.canonical(ws), condition(256)
    textures = generator.texture_backbone.synthesis(ws, "const").levels  # also those that nothing reads
    levels = rasterize_textures(textures, head.static.levels, mesh)
    assert all(torch.equal(a, b) for a, b in zip(head.textures, textures, strict=False))
    for k in range(6):
        check(f"texture_feat{k}", textures[k])
        check(f"static_feat{k}", head.static.levels[k])
        check(f"raster_cond{k}", levels[k])
    mask = mesh[..., 2][:, None]
    assert float(fill_holes(mask).sum()) == saved["full_alpha_sum"].item()
    assert float((fill_holes(mask) - mask).sum()) == saved["mouth_mask_sum"].item()
    check("rendering_stitch", generator.face_backbone.synthesis(ws, "const", blends=levels[:4]).image)
    planes = generator.planes(head, mesh)
    check("out_triplane", planes)
    rays = rays_of_labels(label, 128, PAPER)
    check("ray_dirs", rays.direction)
    check("ray_origin", rays.origin[:, :1])
    made = generator.render(planes, rays, ws)
    check("out_feature_image", made.feature)
    check("out_image_depth", made.depth)
    check("out_image", made.image)

    image = lowres("img_lowres", (2, 3, 32, 32), 512)
    modulation, hidden = unet(torch.cat([image, 0.5 * image.flip(0)], 1)[None])
    for side, pair in modulation.items():
        check(f"E_tri_T2_sft{side}", torch.stack(pair))
    for k, state in enumerate(hidden):
        check(f"E_tri_T2_hidden{k}", state)
    for k, x in enumerate(generator.backbone.synthesis(ws, "const", modulation).levels):
        check(f"static_sft_feat{k}", x)
    assert max(found.values()) <= TOLERANCE, found


@pytest.mark.slow
@torch.no_grad()
def test_e_latent_e_tex_and_the_gru_agree(reference: Path) -> None:
    network, rules = empty_parts(PAPER), reference / "fill.json"
    saved = dict(np.load(reference / "parity.npz"))
    encoder = filled(allocated(network.encoder), rules, "encoder.")
    mean = 0.1 * seeded("latent_avg", (1, 512))
    image = lowres("img_lowres", (2, 3, 32, 32), 512)[:1]
    assert worst("E_latent_ws", encoder(image) + mean, saved) <= TOLERANCE
    unet = filled(allocated(network.unet_encoder.texture_unet), rules, "unet_encoder.texture_unet.")
    uv = lowres("uv_lowres", (2, 7, 32, 32), 256)[None]
    found, (offsets, hidden) = {}, unet(uv)
    again, _ = unet(uv.flip(1), hidden)  # the carried state
    for k in range(4):
        found[k] = worst(f"E_tex_T2_out{k}", offsets[k], saved)
        found[f"h{k}"] = worst(f"E_tex_T2_hidden{k}", hidden[k], saved)
        found[f"again{k}"] = worst(f"E_tex_T2_second_out{k}", again[k], saved)
    x, h = seeded("input:gru_x", (1, 2, 96, 16, 16)), 0.3 * seeded("input:gru_h", (1, 96, 16, 16))
    found["gru"] = worst("gru_out", unet.up4.conv_gru(x, h), saved)
    assert max(found.values()) <= TOLERANCE, found


def fill_tiny(network: Inversion) -> Inversion:
    """Give every tensor values that its name alone decides, of a size that keeps activations in range."""
    synthesis = (network.generator, *(s.linear for s in network.encoder.styles))
    equalized = {id(p) for part in synthesis for p in part.parameters()}
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    gains = {id(m.weight) for m in norms}
    gates = {id(m.weight) for m in network.modules() if isinstance(m, nn.PReLU)}
    for name, p in network.named_parameters():
        noise = seeded(name, p.shape)
        if p.dim() > 1:
            gain = 100 if ".mapping.fc" in name else 1 if id(p) in equalized else (2 / p[0].numel()) ** 0.5
            p.copy_(noise * gain)
        elif name.endswith("affine.bias") or id(p) in gains:
            p.copy_(1 + 0.1 * noise)
        elif id(p) in gates:
            p.copy_(0.25 + 0.05 * noise)
        else:
            p.copy_(noise * (10 if ".mapping.fc" in name else 0.1))
    for name, b in network.named_buffers():
        if "noise_const" in name:
            b.copy_(seeded(name, b.shape))
        elif name.endswith(("w_avg", "latent_avg")):
            b.copy_(0.1 * seeded(name, b.shape))
    return network.eval()


@torch.no_grad()
def compute_tiny() -> dict[str, Tensor]:
    """Everything from codes to a head refined by two calls, in the tiny sizes."""
    net = fill_tiny(Inversion(TINY))
    generator, side = net.generator, TINY.side
    K = torch.tensor([4.2647, 0, 0.5, 0, 4.2647, 0.5, 0, 0, 1])
    pose = torch.tensor([1.0, 0, 0, 0.1, 0, -1, 0, 0.05, 0, 0, -1, 2.7, 0, 0, 0, 1])
    label = torch.cat([pose, K])[None]
    ws = generator.map(seeded("input:z", (1, TINY.code)), label)
    head = generator.canonical(ws + 0.3 * seeded("input:ws_delta", (1, TINY.latents, TINY.style)))
    made = generator(head, condition(side), label)
    uv = lowres("uv_lowres", (2, 7, 16, 16), side)[None]
    image = lowres("img_lowres", (2, 6, 16, 16), side)[None]
    _, h_texture = net.unet_encoder.texture_unet(uv)
    offsets, h_texture = net.unet_encoder.texture_unet(uv.flip(1), h_texture)
    _, h_plane = net.unet_encoder.triplane_unet(image)
    modulation, h_plane = net.unet_encoder.triplane_unet(image.flip(1), h_plane)
    out = {"ws": ws, "planes": generator.planes(head, condition(side)), "image": made.image}
    out |= {"feature": made.feature, "depth": made.depth, "latents": net.latents(image[0, :, :3])}
    out |= {f"offset{k}": x for k, x in enumerate(offsets)}
    out |= {f"h_texture{k}": x for k, x in enumerate(h_texture)}
    out |= {f"h_plane{k}": x for k, x in enumerate(h_plane)}
    return out | {f"sft{k}": torch.stack(v) for k, v in modulation.items()}


def thin(x: Tensor) -> np.ndarray:
    """Some values of a tensor, spread over it."""
    flat = x.reshape(-1).numpy()
    return flat[np.linspace(0, len(flat) - 1, SAMPLES).astype(np.int64)]


def test_the_tiny_network_computes_what_it_did_when_the_large_one_agreed() -> None:
    recorded = dict(np.load(TINY_FACTS))
    computed = compute_tiny()
    assert computed.keys() == recorded.keys()
    for name, x in computed.items():
        scale = float(np.abs(recorded[name]).max())
        assert scale > 0
        error = float(np.abs(thin(x) - recorded[name]).max()) / scale
        assert error <= TOLERANCE, (name, error)


if __name__ == "__main__":
    np.savez_compressed(TINY_FACTS, **{k: thin(x) for k, x in compute_tiny().items()})
