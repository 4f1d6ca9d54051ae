"""The GFPGAN-compatible network against the published one's numbers, and its import from a checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.parity import TOLERANCE, read_facts, seeded, shapes, worst

from headcast.priors.gfpgan import GFPGAN

FACTS = Path(__file__).resolve().parent / "gfpgan_parity"


def test_names_and_shapes_are_the_published_ones() -> None:
    with torch.device("meta"):
        own = {k: list(v.shape) for k, v in GFPGAN().state_dict().items()}
    assert own == shapes(FACTS / "state_dict.json.gz")


@pytest.mark.slow
@torch.no_grad()
def test_every_recorded_tensor_agrees() -> None:
    fill = read_facts(FACTS / "fill.json.gz")
    with torch.device("meta"):
        network = GFPGAN()
    values = {}
    for name, x in network.state_dict().items():
        assert fill[name]["mode"] == "randn"
        values[name] = seeded(name, tuple(x.shape)).mul_(fill[name]["std"]).add_(fill[name]["mean"])
    network.load_state_dict(values, assign=True)
    network.eval()
    saved = dict(np.load(FACTS / "parity.npz"))
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

    small = seeded("input:img_lowres", (1, 3, 32, 32))
    x = torch.nn.functional.interpolate(small, (512, 512), mode="bicubic", align_corners=False)
    out = network((0.7 * x).clamp(-1, 1))
    errors["out_image"] = worst("out_image", out.image, saved)
    for k, rgb in enumerate(out.smaller):
        errors[f"out_rgb{k}"] = worst(f"out_rgb{k}", rgb, saved)
    errors["style_mlp_out"] = worst(
        "style_mlp_out", g.style_mlp(torch.from_numpy(saved["style_mlp_in"])), saved
    )

    recorded = {n.removesuffix("__shape") for n in saved} - {"style_mlp_in"}
    recorded = {n for n in recorded if not n.endswith(("__sub", "__stats"))}
    assert set(errors) == recorded
    assert max(errors.values()) <= TOLERANCE, {k: v for k, v in errors.items() if v > TOLERANCE}
