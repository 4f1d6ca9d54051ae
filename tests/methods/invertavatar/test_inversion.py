"""Incremental inversion: frames come in one after the other, the memory stays of one size."""

from __future__ import annotations

from functools import cache

import torch

from headcast.methods.invertavatar.paper.config import TINY
from headcast.methods.invertavatar.paper.data import clip_frames
from headcast.methods.invertavatar.paper.inversion import Inversion, PosedFrames


@cache
def clip() -> PosedFrames:
    """Three frames of a person."""
    return clip_frames(1, 3, TINY, 0, 5, torch.device("cpu"))


@cache
def network() -> Inversion:
    """A tiny network with random weights."""
    torch.manual_seed(0)
    return Inversion(TINY).eval().requires_grad_(False)


def test_every_frame_changes_the_head_and_the_memory_keeps_its_size() -> None:
    net, frames = network(), clip()
    coarse = net.coarse(frames.image[:, 0])
    state, seen, sizes = None, [], []
    for t in range(3):
        head, state = net.refine(coarse, frames[t : t + 1], state)
        seen.append(net.render(head, frames.condition[:, 0], frames.label[:, 0]))
        sizes.append(sum(h.numel() for h in (*state.texture, *state.triplane)))
    assert len(set(sizes)) == 1
    assert not torch.allclose(seen[0], seen[1], atol=1e-5) and not torch.allclose(seen[1], seen[2], atol=1e-5)


def test_latents_are_relative_to_the_mean_latent() -> None:
    net, image = network(), clip().image[:, 0]
    before = net.latents(image)
    net.get_buffer("latent_avg").add_(1)
    torch.testing.assert_close(net.latents(image), before + 1)
    net.get_buffer("latent_avg").sub_(1)


def test_residuals_are_the_image_less_the_rendering() -> None:
    net, frames = network(), clip()
    coarse = net.coarse(frames.image[:, 0])
    residual = net.residuals(coarse, frames)
    shown = net.render(coarse, frames.condition[:, 1], frames.label[:, 1])
    torch.testing.assert_close(residual[:, 1], frames.image[:, 1] - shown)


def test_encoders_that_give_nothing_leave_the_coarse_head() -> None:
    torch.manual_seed(1)
    net, frames = Inversion(TINY).eval().requires_grad_(False), clip()
    texture, triplane = net.unet_encoder.texture_unet, net.unet_encoder.triplane_unet
    for k in range(4):
        for p in texture.get_submodule(f"outconv{k}").parameters():
            p.zero_()
    for name, part in triplane.named_children():
        if name.startswith("condition_"):
            last = part.get_submodule("2")
            last.weight.zero_()
            last.bias.fill_(float("scale" in name))
    coarse = net.coarse(frames.image[:, 0])
    head, _ = net.refine(coarse, frames)
    for a, b in zip(head.textures, coarse.textures, strict=False):
        assert torch.equal(a, b)
    torch.testing.assert_close(head.static.image, coarse.static.image)


def test_fixed_parts_stay_in_evaluation_mode() -> None:
    net = Inversion(TINY)
    net.fix(net.generator, net.encoder, net.unet_encoder.texture_unet.body)
    net.train()
    assert net.training and not net.encoder.training and not net.unet_encoder.texture_unet.body.training
    assert net.unet_encoder.texture_unet.up1.training
    assert not any(p.requires_grad for p in net.encoder.parameters())
