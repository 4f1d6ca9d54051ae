"""GSGAN's generator computes what the published one does, and its checkpoints are imported."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.methods.test_portrait4d_importing import Persistent
from tests.parity import filled, seeded, shapes, worst

from headcast.errors import HeadcastError
from headcast.methods.superhead.gsgan.importing import convert_gsgan
from headcast.methods.superhead.gsgan.network import GSGAN, camera_direction
from headcast.pickles.importing import import_weights
from headcast.weights import load_tensors

FOLDER = Path(__file__).parent / "gsgan_parity"
TOLERANCE = 1e-5
"""The reference's own float32 and float64 differ by up to 1e-5; largest values are of order 1 to 10."""


@pytest.mark.parametrize("resolution", [256, 512])
def test_the_published_numbers_come_out(resolution: int) -> None:
    saved = dict(np.load(FOLDER / f"parity{resolution}.npz"))
    network = GSGAN(resolution)
    mine = {k: list(v.shape) for k, v in network.state_dict().items()}
    assert mine == shapes(FOLDER / f"state_dict{resolution}.json.gz")
    filled(network, FOLDER / f"fill{resolution}.json.gz")
    z, c = seeded("input:z", (1, 512)), torch.from_numpy(saved["in_c"])
    with torch.no_grad():
        ws = network.mapping_network(z, c)
        truncated = network.mapping_network(z, c, 0.7)
        direction = camera_direction(c)
        front, back = network(ws + 0.3 * seeded("input:ws_delta", (1, 17, 512)), direction)
    assert worst("ws", ws[:, :1], saved) < TOLERANCE
    assert worst("ws_trunc07_cut14_idx0", truncated[:, 0], saved) < TOLERANCE
    assert worst("ws_trunc07_cut14_idx14", truncated[:, 14], saved) < TOLERANCE
    assert worst("camera_cond", direction, saved) < TOLERANCE
    for group, points in (("fg", front), ("bg", back)):
        for kind in ("xyz", "scale", "rotation", "color", "opacity"):
            assert worst(f"{group}_{kind}", getattr(points, kind), saved) < TOLERANCE, (group, kind)


def test_a_published_pickle_is_imported_without_running_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADCAST_WEIGHTS", str(tmp_path / "weights"))
    torch.manual_seed(0)
    network = GSGAN(256)
    wanted = {k: v.clone() for k, v in network.state_dict().items()}
    network.register_buffer("dataset_label_std", torch.ones(25))
    path = tmp_path / "network-snapshot-000001.pkl"
    path.write_bytes(pickle.dumps({"G": None, "D": None, "G_ema": Persistent(network)}))
    tensors, _, _ = load_tensors(import_weights("gsgan", path))
    assert tensors.keys() == wanted.keys()
    assert all(torch.equal(tensors[k], v) for k, v in wanted.items())


def test_another_network_is_refused() -> None:
    with pytest.raises(HeadcastError, match="no checkpoint of GSGAN"):
        convert_gsgan({"G_ema": {"some.weight": torch.zeros(3)}})
