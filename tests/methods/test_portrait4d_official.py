"""Imported official weights make avatars: PD-FGC reads faces, an actor performs expression weights."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.command import Run
from tests.methods.test_portrait4d_importing import Persistent

from headcast import api
from headcast.drive import drive_from
from headcast.image import load_image
from headcast.methods.portrait4d import importing, weights
from headcast.methods.portrait4d.avatar import TriplaneAvatar
from headcast.methods.portrait4d.network import TINY, Synthesizer
from headcast.methods.portrait4d.pdfgc import MOTION, PDFGC
from headcast.video import read_video, write_video

LITTLE = replace(TINY, motion_dim=MOTION, mean_planes=False, style_dim=12)
"""The official network's kind, with fewer numbers."""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A published pickle of Ψ and a checkpoint of PD-FGC, as their authors keep them; random weights."""
    monkeypatch.setenv("HEADCAST_WEIGHTS", str(tmp_path / "weights"))
    for module in (importing, weights):
        monkeypatch.setattr(module, "OFFICIAL", LITTLE)
    torch.manual_seed(3)
    psi = Synthesizer(LITTLE)
    with torch.no_grad():
        psi.decoder.out_sigma.bias.fill_(3.0)  # something solid
        for name, p in psi.named_parameters():
            if "attn2.proj" in name or "conv_last" in name:
                p.mul_(4)
    one, two = tmp_path / "portrait4d-v2-vfhq512.pkl", tmp_path / "motion_model.pth"
    one.write_bytes(pickle.dumps({"G": None, "G_ema": Persistent(psi)}))
    torch.save(PDFGC().state_dict(), two)
    return one, two


def test_from_checkpoints_to_a_driven_avatar(
    files: tuple[Path, Path], demo_photo: Path, run: Run, tmp_path: Path
) -> None:
    me, asked = tmp_path / "me.avatar", ["create", demo_photo, "--method", "portrait4d", "-o"]
    assert run("weights", "import", "portrait4d", files[0])[0] == 0
    code, _, err = run(*asked, me)
    assert code == 2 and "headcast weights import pdfgc" in err and len(err.strip().splitlines()) == 1
    assert run("weights", "import", "pdfgc", files[1])[0] == 0
    code, _, err = run(*asked, me)
    assert code == 0, err
    told = json.loads(run("info", me, "--json")[1])
    assert not any("preview" in w for w in told["warnings"])
    assert any("FLAME" in w["licence"] for w in told["weights"])

    avatar = api.load(me)
    assert isinstance(avatar, TriplaneAvatar) and avatar.networks.expression_to_motion is None
    assert avatar.motion is not None and avatar.motion.shape == (MOTION,)
    rest = avatar.source.params
    # the photo's own weights give the photo's own embedding, others another
    assert torch.allclose(avatar.embed_expression(rest), avatar.motion, atol=1e-4)
    open_wide = avatar.embed_expression(rest.with_expression({"jawOpen": 0.9}))
    assert (open_wide - avatar.motion).abs().max() > 1e-3
    planes = [avatar.posed(rest, v).planes for v in (avatar.motion, open_wide)]
    assert not torch.equal(planes[0], planes[1])

    code, _, err = run(
        "animate", me, "--preset", "speech", "--frames", "2", "--size", "64", "-o", tmp_path / "a.mp4"
    )
    assert code == 0 and len(read_video(tmp_path / "a.mp4").frames) == 2, err
    rgb = load_image(demo_photo).rgb[:400, :400]
    write_video(tmp_path / "talk.mp4", iter([rgb, np.roll(rgb, 4, 1)]), 10.0)
    drive = drive_from(avatar, tmp_path / "talk.mp4")
    assert drive.signal is not None and drive.signal.shape == (2, MOTION)
    code, _, err = run(
        "animate", me, "--drive", tmp_path / "talk.mp4", "--size", "64", "-o", tmp_path / "d.mp4"
    )
    assert code == 0 and len(read_video(tmp_path / "d.mp4").frames) == 2, err


def test_another_encoder_makes_another_avatar(
    files: tuple[Path, Path], demo_photo: Path, run: Run, tmp_path: Path
) -> None:
    me = tmp_path / "me.avatar"
    for name, file in zip(("portrait4d", "pdfgc"), files, strict=True):
        assert run("weights", "import", name, file)[0] == 0
    assert run("create", demo_photo, "--method", "portrait4d", "-o", me)[0] == 0
    torch.manual_seed(9)
    torch.save(PDFGC().state_dict(), files[1])
    assert run("weights", "import", "pdfgc", files[1])[0] == 0
    weights.read_networks.cache_clear()
    code, _, err = run("render", me, "-o", tmp_path / "a.png")
    assert code == 2 and "other weights of portrait4d" in err
