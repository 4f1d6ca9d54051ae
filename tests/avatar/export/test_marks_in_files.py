"""Whoever opens a file that was made of an avatar finds the synthetic mark and the consent in it."""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.avatar.export.heads import INFO, of_gaussians, synthetic_avatar
from tests.avatar.export.read_splats import read_ply, read_spz

from headcast import api
from headcast.avatar.export.base import export_avatar
from headcast.image import save_png
from headcast.marks import SYNTHETIC, png_metadata

CONSENT = INFO["consent"]
ESCAPED = CONSENT.encode("ascii", "backslashreplace").decode()


def png(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        return json.dumps(picture.text, ensure_ascii=False)  # type: ignore[attr-defined]


def mp4(path: Path) -> str:
    import av

    with av.open(str(path)) as film:
        return film.metadata["comment"]


def glb(path: Path) -> str:
    data = path.read_bytes()
    length, kind = struct.unpack("<I4s", data[12:20])
    assert kind == b"JSON"
    return json.dumps(json.loads(data[20 : 20 + length])["asset"]["extras"], ensure_ascii=False)


def ply(path: Path) -> str:
    return "\n".join(read_ply(path)[1])


def spz(path: Path) -> str:
    """RFC 1952: ten bytes, then with flag 16 alone the comment up to a zero."""
    data = path.read_bytes()
    assert data[:2] == b"\x1f\x8b" and data[3] == 16 and len(read_spz(path)["position"])
    return data[10 : data.index(0, 10)].decode("ascii")


def html(path: Path) -> str:
    """Of the avatar in the page: the JSON in its safetensors."""
    found = re.search(r'id="avatar">([^<]+)<', path.read_text("utf-8"))
    assert found is not None
    data = gzip.decompress(base64.b64decode(found[1]))
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length])["__metadata__"]["viewer"]


@pytest.mark.parametrize(
    ("name", "to", "options", "read", "consent"),
    [
        ("a.glb", "glb", {"texture_size": 32}, glb, CONSENT),
        ("a.ply", "mesh-ply", {"subdivide": 0}, ply, ESCAPED),
        ("a.ply", "splat-ply", {}, ply, ESCAPED),
        ("a.ply", "splat-ply", {"rigged": True}, ply, ESCAPED),
        ("a.spz", "spz", {}, spz, ESCAPED),
        ("a.html", "html", {}, html, CONSENT),
    ],
)
def test_exports(
    name: str, to: str, options: dict, read: Callable[[Path], str], consent: str, tmp_path: Path
) -> None:
    mesh = synthetic_avatar(shells=False)
    avatar = of_gaussians(mesh) if "sp" in to else mesh
    words = [
        read(p)
        for p in export_avatar(avatar, tmp_path / name, to, **options)
        if p.suffix == Path(name).suffix
    ]
    assert words and all("synthetic" in w and consent in w for w in words)


def test_pictures_and_films(tmp_path: Path) -> None:
    avatar = synthetic_avatar(shells=False)
    save_png(tmp_path / "a.png", api.render(avatar, size=(32, 32)), png_metadata(avatar.info))
    api.animate(avatar, "turntable", tmp_path / "a.mp4", frames=2, size=(64, 64))
    for words in (png(tmp_path / "a.png"), mp4(tmp_path / "a.mp4")):
        assert SYNTHETIC in words and CONSENT in words
