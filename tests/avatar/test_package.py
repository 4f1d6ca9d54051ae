"""The avatar file: round trips, and every way in which a file can be wrong."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.avatar.base import load_avatar
from headcast.avatar.entries import VERSION
from headcast.avatar.package import Package, read_package, write_package
from headcast.avatar.png import encode_texture
from headcast.errors import HeadcastError


def package() -> Package:
    rng = np.random.default_rng(0)
    return Package(
        meta={"kind": "mesh", "method": "fit", "consent": "ja, gern: ü"},
        tensors={"a": torch.randn(3, 4), "b": torch.arange(5), "c": torch.zeros(2, dtype=torch.float16)},
        textures={
            "albedo": rng.integers(0, 256, (40, 60, 3), dtype=np.uint8),
            "roughness": rng.integers(0, 256, (16, 16), dtype=np.uint8),
            "mask": rng.integers(0, 256, (8, 9, 4), dtype=np.uint8),
        },
        thumbnail=rng.integers(0, 256, (16, 16, 4), dtype=np.uint8),
    )


def rewritten(path: Path, out: Path, changes: dict[str, bytes | None], **info: int) -> Path:
    """A copy of a package with entries exchanged, added or (None) left out."""
    with zipfile.ZipFile(path) as z:
        entries: dict[str, bytes | None] = {n: z.read(n) for n in z.namelist()}
    with zipfile.ZipFile(out, "w") as z:
        for name, data in {**entries, **changes}.items():
            if data is not None:
                entry = zipfile.ZipInfo(name)
                for key, value in info.items() if name in changes else ():
                    setattr(entry, key, value)
                z.writestr(entry, data)
    return out


@pytest.fixture
def good(tmp_path: Path) -> Path:
    write_package(tmp_path / "a.avatar", package())
    return tmp_path / "a.avatar"


def test_round_trip_is_exact_and_repeatable(good: Path, tmp_path: Path) -> None:
    a, b = package(), read_package(good)
    assert {k: b.meta[k] for k in a.meta} == a.meta and b.meta["version"] == VERSION
    for name in ("b", "c"):
        assert (
            torch.equal(a.tensors[name], b.tensors[name]) and a.tensors[name].dtype == b.tensors[name].dtype
        )
    for name, picture in a.textures.items():
        np.testing.assert_array_equal(picture, b.textures[name])
    assert a.thumbnail is not None and b.thumbnail is not None
    np.testing.assert_array_equal(a.thumbnail, b.thumbnail)
    write_package(tmp_path / "b.avatar", b)
    assert (tmp_path / "b.avatar").read_bytes() == good.read_bytes()


def test_nothing_half_written_remains(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = good.read_bytes()

    def broken(*a: object, **k: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "writestr", broken)
    with pytest.raises(KeyboardInterrupt):
        write_package(good, package())
    assert good.read_bytes() == before and [p.name for p in good.parent.iterdir()] == ["a.avatar"]


def png(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )


BAD: dict[str, dict[str, bytes | None]] = {
    "absolute": {"/etc/passwd": b"x"},
    "upwards": {"../x.png": b"x"},
    "unknown": {"code.pkl": b"x"},
    "unknown texture": {"textures/evil.png": b"x"},
    "no tensors": {"tensors.safetensors": None},
    "tensors are text": {"tensors.safetensors": b"hello"},
    "pickled tensors": {"tensors.safetensors": b"\x80\x04\x95" + bytes(50)},
    "no json": {"avatar.json": None},
    "json damaged": {"avatar.json": b"{"},
    "json list": {"avatar.json": b"[]"},
    "json deep": {"avatar.json": b"[" * 100000},
    "json not text": {"avatar.json": b"\xff\xfe"},
    "json nan": {"avatar.json": b'{"format": "headcast-avatar", "version": NaN}'},
    "version text": {"avatar.json": b'{"format": "headcast-avatar", "version": "1"}'},
    "other format": {"avatar.json": b'{"format": "other", "version": 1}'},
    "kind missing": {"avatar.json": b'{"format": "headcast-avatar", "version": 1}'},
    "kind unknown": {"avatar.json": b'{"format": "headcast-avatar", "version": 1, "kind": "ghost"}'},
    "png text": {"textures/albedo.png": b"no picture"},
    "png huge": {"textures/albedo.png": png(100000, 100000)},
    "png wide": {"textures/albedo.png": png(8193, 1)},
    "png empty": {"textures/albedo.png": png(0, 4)},
    "png 16 bit": {"textures/albedo.png": png(4, 4, 16)},
    "png palette": {"textures/albedo.png": png(4, 4, 8, 3)},
    "png short": {"textures/albedo.png": png(64, 64)},
    "thumbnail": {"thumbnail.png": b"\x89PNG\r\n\x1a\n"},
}


@pytest.mark.parametrize("name", BAD)
def test_bad_entries_are_refused_in_one_line(name: str, good: Path, tmp_path: Path) -> None:
    path = rewritten(good, tmp_path / "bad.avatar", BAD[name])
    with pytest.raises(HeadcastError, match=r"bad\.avatar") as e:
        load_avatar(path)
    assert "\n" not in str(e.value) and len(str(e.value)) < 400


def test_links_are_refused(good: Path, tmp_path: Path) -> None:
    path = rewritten(
        good, tmp_path / "x.avatar", {"thumbnail.png": b"/etc/passwd"}, external_attr=0o120777 << 16
    )
    with pytest.raises(HeadcastError, match="plain file"):
        read_package(path)


def test_bombs_are_refused(good: Path, tmp_path: Path) -> None:
    bomb = {"textures/ao.png": bytes(50_000_000)}
    path = rewritten(good, tmp_path / "x.avatar", bomb, compress_type=zipfile.ZIP_DEFLATED)
    with pytest.raises(HeadcastError, match="unpacks to"):
        read_package(path)
    many = {f"x{i}": b"" for i in range(100)}
    with pytest.raises(HeadcastError, match="entries"):
        read_package(rewritten(good, tmp_path / "y.avatar", many))


def test_doubled_entries_are_refused(good: Path) -> None:
    with pytest.warns(UserWarning), zipfile.ZipFile(good, "a") as z:
        z.writestr("thumbnail.png", b"")
    with pytest.raises(HeadcastError, match="twice"):
        read_package(good)


def test_newer_versions_say_so(good: Path, tmp_path: Path) -> None:
    newer = json.dumps({"format": "headcast-avatar", "version": VERSION + 1}).encode()
    path = rewritten(good, tmp_path / "x.avatar", {"avatar.json": newer, "unheard/of.bin": b"x"})
    with pytest.raises(HeadcastError, match=r"newer.*upgrade"):
        read_package(path)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_package_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.avatar"
    path.write_bytes(data)
    with pytest.raises(HeadcastError, match=r"x\.avatar"):
        read_package(path)
    with pytest.raises(HeadcastError, match="no such file"):
        read_package(tmp_path / "absent.avatar")


def test_truncation_is_refused(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    for n in range(0, len(data), 997):
        path = tmp_path / "x.avatar"
        path.write_bytes(data[:n])
        with pytest.raises(HeadcastError):
            read_package(path)


def test_textures_are_small_files() -> None:
    assert len(encode_texture(np.full((512, 512, 3), 90, np.uint8))) < 20000
