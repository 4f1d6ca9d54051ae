"""The evaluator's networks: what is left out is said, what is given wrongly is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from headcast.errors import HeadcastError
from headcast.evaluate.networks import load_evaluation_networks

CPU = torch.device("cpu")


def test_what_is_missing_is_said() -> None:
    networks = load_evaluation_networks(CPU)
    words = "\n".join(networks.missing)
    for option in ("--lpips", "--sface FILE and --yunet FILE"):
        assert option in words
    assert networks.sface is None and "sface" not in networks.names()


def test_half_of_a_pair_and_files_that_are_not_there(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(HeadcastError, match="--sface and --yunet belong together"):
        load_evaluation_networks(CPU, sface=gone)
    with pytest.raises(HeadcastError, match="gone: no such file; give --sface FILE"):
        load_evaluation_networks(CPU, sface=gone, yunet=gone)
    with pytest.raises(HeadcastError, match=r"gone\.npz: no such file"):
        load_evaluation_networks(CPU, lpips=tmp_path / "gone.npz")
