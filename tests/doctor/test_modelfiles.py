"""Model files are told by their content."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.head.synthetic_flame import synthetic
from tests.pickles.foreign_files import dump

from headcast.doctor.modelfiles import checkpoints, find, identify
from headcast.errors import HeadcastError
from headcast.registry import OfficialCheckpoint


def state_of(network: OfficialCheckpoint) -> dict[str, torch.Tensor]:
    """The tensors that tell a network, all views of one number."""
    one = torch.zeros(1)
    return {k: one.expand(shape) for k, shape in network.shapes.items()} | {"other.weight": torch.zeros(2)}


@pytest.mark.parametrize("network", checkpoints(), ids=lambda n: n.name)
def test_official_checkpoints_are_recognised(network: OfficialCheckpoint, tmp_path: Path) -> None:
    for key in network.within:
        path = tmp_path / "model.pth"
        torch.save({key: state_of(network), "epoch": 3} if key else state_of(network), path)
        found = identify(path)
        assert found.name == network.name and found.licence == network.licence and not found.problem


class Pickled:
    """StyleGAN's way: attributes beside source code."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        root: dict = {"_parameters": {}, "_buffers": {}, "_modules": {}}
        for name, tensor in tensors.items():
            *folders, leaf = name.split(".")
            at = root
            for f in folders:
                inner = at["_modules"].setdefault(
                    f, Attributes({"_parameters": {}, "_buffers": {}, "_modules": {}})
                )
                at = inner.state
            at["_parameters"][leaf] = tensor.clone()
        self.meta = {"module_src": "raise SystemExit", "state": root}

    def __reduce__(self) -> tuple:
        return sys.exit, (self.meta,)


class Attributes:
    """A module within."""

    def __init__(self, state: dict) -> None:
        self.state = state

    def __reduce__(self) -> tuple:
        return sys.exit, ({"state": self.state},)


def test_a_network_pickled_with_its_source_is_recognised(tmp_path: Path) -> None:
    network = next(n for n in checkpoints() if n.name == "Portrait4D")
    path = tmp_path / "portrait4d-v2-vfhq512.pkl"
    path.write_bytes(pickle.dumps({"G": None, "G_ema": Pickled(state_of(network))}))
    assert identify(path).name == "Portrait4D"


def test_shapes_must_fit(tmp_path: Path) -> None:
    network = checkpoints()[0]
    wrong = {k: torch.zeros(3) for k in network.shapes}
    torch.save({"params": wrong}, tmp_path / "x.pth")
    assert identify(tmp_path / "x.pth").name == ""


def test_heads_are_recognised(tmp_path: Path) -> None:
    flame = identify(synthetic().write(tmp_path / "flame2023_Open.pkl"))
    assert flame.name == "FLAME 2023 Open" and flame.kind == "flame" and "--flame" in flame.use
    np.savez(tmp_path / "flame2020.npz", **synthetic().arrays)
    assert identify(tmp_path / "flame2020.npz").name == "FLAME 2020"
    np.savez(
        tmp_path / "ict.npz",
        **{k: np.zeros(1) for k in ("neutral", "polys", "identity_basis", "expression_names")},
    )
    assert identify(tmp_path / "ict.npz").kind == "ict"
    (tmp_path / "FaceXModel").mkdir()
    (tmp_path / "FaceXModel" / "generic_neutral_mesh.obj").write_text("v 0 0 0\n")
    assert identify(tmp_path / "FaceXModel").kind == "ict"


def test_odd_files_are_reported_and_run_nothing(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    (tmp_path / "evil.pkl").write_bytes(b"cos\nmkdir\n(S'" + str(witness).encode() + b"'\ntR.")
    assert identify(tmp_path / "evil.pkl").name == "" and not witness.exists()
    (tmp_path / "broken.pth").write_bytes(b"PK\x03\x04 no zip")
    assert identify(tmp_path / "broken.pth").problem
    (tmp_path / "flame.pkl").write_bytes(dump({**synthetic().arrays, "f": np.zeros((2, 3))}))
    assert "'f' has the shape" in identify(tmp_path / "flame.pkl").problem


def test_folders_are_searched_to_a_depth(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c" / "d" / "e"
    deep.mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "a", deep):
        (folder / "x.pth").touch()
    (tmp_path / ".hidden.pth").touch()
    (tmp_path / "photo.jpg").touch()
    assert len(find([tmp_path])) == 2 and len(find([tmp_path], 6)) == 3
    with pytest.raises(HeadcastError, match="no such file or folder"):
        find([tmp_path / "nowhere"])
