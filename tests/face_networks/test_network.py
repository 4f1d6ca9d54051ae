"""Bundled networks: their card, what a damaged file says, that runs repeat."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from headcast.errors import HeadcastError
from headcast.face_networks import network
from headcast.face_networks.network import CARD, FOLDER, TfliteNetwork, checked_bytes, known_digests

NAMES = sorted(known_digests())


def test_the_card_names_every_file() -> None:
    card = json.loads(CARD.read_text())
    assert card["licence"] == "Apache-2.0"
    assert sorted(p.stem for p in FOLDER.glob("*.tflite")) == NAMES
    assert all(e["bytes"] == (FOLDER / f"{n}.tflite").stat().st_size for n, e in card["files"].items())


@pytest.mark.parametrize("name", NAMES)
def test_networks_run_and_repeat(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    net = TfliteNetwork(name)
    x = np.random.default_rng(0).uniform(0, 1, net.shape).astype(np.float32)
    first, again = net(x), net(x)
    assert all(np.isfinite(a).all() and np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], net(x[::-1])[0])
    assert capfd.readouterr().err == ""


def test_a_changed_or_missing_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(checked_bytes("face_blendshapes"))
    data[1000] ^= 1
    (tmp_path / "face_blendshapes.tflite").write_bytes(data)
    monkeypatch.setattr(network, "FOLDER", tmp_path)
    with pytest.raises(HeadcastError, match=r"face_blendshapes\.tflite: not the network that its card"):
        TfliteNetwork("face_blendshapes")
    with pytest.raises(HeadcastError, match=r"face_detector\.tflite: cannot be read \(No such file"):
        TfliteNetwork("face_detector")


def test_integers_are_scaled_as_the_network_wants_them() -> None:
    net = TfliteNetwork("face_detector", 1 / 127.5, -1.0)
    x = np.random.default_rng(1).integers(0, 256, net.shape, np.uint8)
    wanted = TfliteNetwork("face_detector")(x.astype(np.float32) / 127.5 - 1)
    assert np.abs(net(x)[0] - wanted[0]).max() < 1e-3
