"""Damaged avatar files: whatever happens to the bytes, opening gives an avatar or one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headcast.avatar.base import load_avatar
from headcast.avatar.bound import bind_head
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.package import Package, read_package, write_package
from headcast.avatar.source import SourceView
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.head.skin import uv_key


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small package of the right structure."""
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, 0.0, -1.0]))
    source = SourceView(Camera.make(500.0, 64, 64), params, torch.ones(9, 3))
    meta = {
        "kind": "mesh",
        "method": "fit",
        "head": {"name": head.name, "hash": head.hash, "topology": uv_key(head)},
    }
    tensors = {**source.tensors(), "rest": head.shape(params.identity)}
    texture = np.full((32, 32, 3), 128, np.uint8)
    path = tmp_path_factory.mktemp("fuzz") / "good.avatar"
    write_package(path, Package(meta, tensors, {"albedo": texture}, texture))
    return path


@pytest.fixture(scope="module")
def data(good: Path) -> bytes:
    return good.read_bytes()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    edits=st.lists(
        st.tuples(st.sampled_from(["start", "end", "all"]), st.integers(0, 1 << 30), st.integers(0, 255)),
        min_size=1,
        max_size=6,
    ),
    cut=st.sampled_from([None, None, None, 0.5, 0.99]),
)
def test_mutated_files_never_crash(
    data: bytes, good: Path, edits: list[tuple[str, int, int]], cut: float | None
) -> None:
    changed = bytearray(data)
    for where, at, value in edits:
        span = {"start": (0, 3000), "end": (len(data) - 900, 900), "all": (0, len(data))}[where]
        changed[span[0] + at % span[1]] = value
    path = good.with_name("mutated.avatar")
    path.write_bytes(bytes(changed[: int(len(changed) * cut)] if cut else changed))
    try:
        assert isinstance(load_avatar(path), MeshAvatar)
    except HeadcastError as e:
        assert "mutated.avatar" in str(e) and "\n" not in str(e)


@settings(max_examples=60)
@given(
    data=st.binary(max_size=300), magic=st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06", b"PK\x01\x02"])
)
def test_noise_is_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, magic: bytes) -> None:
    path = tmp_path_factory.mktemp("noise") / "noise.avatar"
    path.write_bytes(magic + data)
    with pytest.raises(HeadcastError):
        read_package(path)


WRONG = {
    "rest missing": ("rest", None),
    "rest of another mesh": ("rest", torch.zeros(7, 3)),
    "rest not finite": ("rest", "nan"),
    "light of a wrong shape": ("light", torch.zeros(3, 9)),
    "camera without focal length": ("camera.K", torch.zeros(3, 3)),
    "camera of size 0": ("camera.size", torch.tensor([0, 4])),
    "huge numbers": ("params.translation", torch.full((3,), 1e30)),
    "too few identities": ("params.identity", torch.zeros(1)),
    "complex": ("params.jaw", torch.zeros(3, dtype=torch.complex64)),
    "landmarks outside": ("landmarks.triangle", torch.tensor([1 << 40])),
    "landmarks negative": ("landmarks.triangle", torch.tensor([-1])),
    "landmarks without weights": ("landmarks.triangle", torch.tensor([1])),
    "landmarks scalar": ("landmarks.triangle", torch.tensor(1)),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_tensors_are_refused(name: str, good: Path, tmp_path: Path) -> None:
    package = read_package(good)
    key, value = WRONG[name]
    tensors = dict(package.tensors)
    tensors.pop(key, None)
    if value is not None:
        tensors[key] = package.tensors[key] * float("nan") if isinstance(value, str) else value
    write_package(tmp_path / "x.avatar", Package(package.meta, tensors, package.textures))
    with pytest.raises(HeadcastError, match="damaged"):
        load_avatar(tmp_path / "x.avatar")


def test_another_head_is_named(good: Path, tmp_path: Path) -> None:
    package = read_package(good)
    other = {**package.meta, "head": {"name": "other", "hash": "0" * 16, "topology": "1" * 16}}
    write_package(tmp_path / "x.avatar", Package(other, package.tensors, package.textures))
    with pytest.raises(HeadcastError, match=r"'other'.*headcast doctor --convert"):
        load_avatar(tmp_path / "x.avatar")


def test_a_retrained_head_of_the_same_mesh_wears_the_avatar(good: Path, tmp_path: Path) -> None:
    package = read_package(good)
    head = HeadModel.load()
    meta = {**package.meta, "head": {**package.meta["head"], "hash": "0" * 16}}
    moved = {**package.tensors, "rest": package.tensors["rest"] + 0.01}
    write_package(tmp_path / "x.avatar", Package(meta, moved, package.textures))
    avatar = load_avatar(tmp_path / "x.avatar")
    shape = avatar.head.shape(avatar.source.params.identity)
    torch.testing.assert_close(shape, head.shape(avatar.source.params.identity) + 0.01)
    assert bind_head(head, torch.zeros_like(head.neutral)) is head
