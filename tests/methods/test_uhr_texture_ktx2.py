"""KTX2 textures: what the program is told, how glTF names them, and mistakes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pygltflib as g
import pytest

from headcast.cli.main import main
from headcast.errors import HeadcastError
from headcast.methods.uhr_texture.ktx2 import MAGIC, encode_ktx2
from headcast.methods.uhr_texture.write import detect_image_format, encode_image, recode_images

WRITES = r"""#!/bin/sh
echo "$@" >> "$LOG"
for word; do last=$word; done
printf '\253KTX 20\273\r\n\032\n' > "$last"
"""
FAILS = "#!/bin/sh\necho 'ERROR: no such thing'\nexit 1\n"


def program(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for basisu on the PATH; gives where it notes what it was told."""
    file = folder / "basisu"
    file.write_text(text)
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(folder / "log"))
    return folder / "log"


def test_gltf_wears_ktx2_and_numbers_are_linear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = program(tmp_path, WRITES, monkeypatch)
    data, pictures = bytearray(), []
    for channels in (3, 3, 4):
        pictures.append(encode_image(np.full((8, 8, channels), 90, np.uint8), "png"))
    views = []
    for picture in pictures:
        views.append(g.BufferView(buffer=0, byteOffset=len(data), byteLength=len(picture)))
        data += picture
    gltf = g.GLTF2(
        materials=[g.Material(name="skin")],
        images=[
            g.Image(name=n, mimeType="image/png", bufferView=k)
            for k, n in enumerate(("basecolor0", "normal", "specular"))
        ],
        samplers=[g.Sampler()],
        textures=[g.Texture(source=k, sampler=0) for k in range(3)],
        bufferViews=views,
        buffers=[g.Buffer(byteLength=len(data))],
    )
    gltf.set_binary_blob(bytes(data))
    recode_images(gltf, "ktx2")
    assert [i.mimeType for i in gltf.images] == ["image/ktx2"] * 3
    assert [(t.extensions or {})["KHR_texture_basisu"]["source"] for t in gltf.textures] == [0, 1, 2]
    assert gltf.extensionsRequired == ["KHR_texture_basisu"]
    told = log.read_text().splitlines()
    assert ["-linear" in x for x in told] == [False, True, True]
    assert all("-uastc" in x and "-mipmap" in x for x in told)


def test_sides_that_are_no_blocks_stay_png(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, WRITES, monkeypatch)
    assert detect_image_format(encode_image(np.zeros((6, 8, 3), np.uint8), "ktx2")) == "png"
    assert encode_image(np.zeros((8, 8, 3), np.uint8), "ktx2").startswith(MAGIC)


def test_a_program_that_fails_or_is_missing_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo_photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(tmp_path, FAILS, monkeypatch)
    with pytest.raises(HeadcastError, match="no such thing"):
        encode_ktx2(np.zeros((8, 8, 3), np.uint8), False)
    monkeypatch.setenv("PATH", "")
    code = main(["texture", str(demo_photo), "--format", "ktx2", "-o", str(tmp_path / "maps")])
    said = [x for x in capsys.readouterr().err.splitlines() if x.startswith("headcast")]
    assert code == 2 and len(said) == 1 and "basisu" in said[0]
    assert not (tmp_path / "maps").exists()
