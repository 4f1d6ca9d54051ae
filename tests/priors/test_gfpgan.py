"""The GFPGAN-compatible network against the published one's numbers, and its import from a checkpoint."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.priors.gfpgan import GFPGAN

TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def facts(shared: Path) -> Path:
    """The folder of facts about the published network."""
    path = shared / "reference" / "gfpgan"
    if not path.is_dir():
        pytest.skip("facts about the published network are not here")
    return path


def seeded(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The convention of the recorded numbers: normal values from a generator seeded by the name."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


def worst(name: str, mine: torch.Tensor, saved: dict[str, np.ndarray]) -> float:
    """Largest difference relative to the largest value, of what was recorded of a tensor."""
    x = mine.numpy().reshape(-1)
    if name in saved:
        assert mine.shape == saved[name].shape
        kept, truth = x, saved[name].reshape(-1)
    else:
        assert tuple(saved[f"{name}__shape"]) == tuple(mine.shape)
        truth = saved[f"{name}__sub"]
        n = len(truth)
        kept = x[np.floor(np.arange(n) * (x.size / n)).astype(np.int64)]
        mean, std, low, high, _ = saved[f"{name}__stats"]
        assert abs(x.mean(dtype=np.float64) - mean) <= TOLERANCE * std
        assert max(abs(x.min() - low), abs(x.max() - high)) <= TOLERANCE * max(abs(low), abs(high))
    return float(np.abs(kept - truth).max() / np.abs(truth).max())


def test_names_and_shapes_are_the_published_ones(facts: Path) -> None:
    with torch.device("meta"):
        own = {k: list(v.shape) for k, v in GFPGAN().state_dict().items()}
    assert own == {k: shape for k, (shape, _) in json.loads((facts / "state_dict.json").read_text()).items()}


@pytest.mark.slow
@torch.no_grad()
def test_every_recorded_tensor_agrees(facts: Path) -> None:
    fill = json.loads((facts / "fill.json").read_text())
    with torch.device("meta"):
        network = GFPGAN()
    values = {}
    for name, x in network.state_dict().items():
        assert fill[name]["mode"] == "randn"
        values[name] = seeded(name, tuple(x.shape)).mul_(fill[name]["std"]).add_(fill[name]["mean"])
    network.load_state_dict(values, assign=True)
    network.eval()
    saved = dict(np.load(facts / "parity.npz"))
    errors: dict[str, float] = {}

    def watch(name: str, module: torch.nn.Module) -> None:
        module.register_forward_hook(lambda _, __, out: errors.__setitem__(name, worst(name, out, saved)))

    g = network.stylegan_decoder
    for k in range(7):
        watch(f"mid_down{k}", network.conv_body_down[k])
        watch(f"mid_up{k}", network.conv_body_up[k])
        watch(f"mid_scale{k}", network.condition_scale[k])
        watch(f"mid_shift{k}", network.condition_shift[k])
    watch("style_code", network.final_linear)
    for k, conv in enumerate([g.style_conv1, *g.style_convs], 1):
        watch(f"mid_style_conv{k}", conv)
    for k, to_rgb in enumerate([g.to_rgb1, *g.to_rgbs], 1):
        watch(f"mid_to_rgb{k}", to_rgb)

    small = torch.from_numpy(saved["in_img_lowres"])
    assert torch.equal(small, seeded("input:img_lowres", (1, 3, 32, 32)))
    x = torch.nn.functional.interpolate(small, (512, 512), mode="bicubic", align_corners=False)
    out = network((0.7 * x).clamp(-1, 1))
    errors["out_image"] = worst("out_image", out.image, saved)
    for k, rgb in enumerate(out.smaller):
        errors[f"out_rgb{k}"] = worst(f"out_rgb{k}", rgb, saved)
    errors["style_mlp_out"] = worst(
        "style_mlp_out", g.style_mlp(torch.from_numpy(saved["style_mlp_in"])), saved
    )

    recorded = {n.removesuffix("__shape") for n in saved} - {"in_img_lowres", "style_mlp_in"}
    recorded = {n for n in recorded if not n.endswith(("__sub", "__stats"))}
    assert set(errors) == recorded
    assert max(errors.values()) <= TOLERANCE, {k: v for k, v in errors.items() if v > TOLERANCE}
