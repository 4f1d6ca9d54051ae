"""FaceImages of every kind in, sRGB out; files complete or absent."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from headcast.errors import HeadcastError
from headcast.image import (
    atomic_path,
    check_writable,
    linear_to_srgb,
    load_image,
    sample_bilinear,
    sample_lanczos,
    save_png,
    srgb_table,
    srgb_to_linear,
    to_network_input,
)


def colours(h: int = 80, w: int = 100) -> np.ndarray:
    """A smooth picture whose corners differ."""
    y, x = np.mgrid[0:h, 0:w]
    return np.dstack([255 * x // (w - 1), 255 * y // (h - 1), 128 + 0 * x]).astype(np.uint8)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_orientation(tmp_path: Path, turn: int, suffix: str) -> None:
    upright = Image.fromarray(colours())
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(undo[turn])) if turn > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / f"a.{suffix}"
    stored.save(path, exif=exif, **({"quality": 100} if suffix in ("jpg", "webp") else {}))
    got = load_image(path).rgb
    assert got.shape == (80, 100, 3)
    assert np.abs(got.astype(int) - colours()).mean() < 6


def test_focal_length(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 26
    Image.fromarray(colours()).save(tmp_path / "a.jpg", exif=exif)
    assert load_image(tmp_path / "a.jpg").exif_focal_35mm == 26
    Image.fromarray(colours()).save(tmp_path / "b.jpg")
    assert load_image(tmp_path / "b.jpg").exif_focal_35mm is None


def test_alpha_is_kept_apart_and_colour_is_not_multiplied(tmp_path: Path) -> None:
    rgba = np.dstack([colours(), np.full((80, 100), 7, np.uint8)])
    rgba[:40, :, 3] = 255
    save_png(tmp_path / "a.png", rgba)
    got = load_image(tmp_path / "a.png")
    assert np.array_equal(got.rgb, rgba[..., :3])
    assert got.alpha is not None
    assert np.array_equal(got.alpha, rgba[..., 3])
    rgba[..., 3] = 255
    save_png(tmp_path / "b.png", rgba)
    assert load_image(tmp_path / "b.png").alpha is None


def test_palette_with_transparency(tmp_path: Path) -> None:
    im = Image.fromarray(colours()).convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
    im.save(tmp_path / "a.png", transparency=im.getpixel((0, 0)))
    got = load_image(tmp_path / "a.png")
    assert got.alpha is not None
    assert got.alpha[0, 0] == 0
    assert got.alpha[-1, -1] == 255
    assert np.abs(got.rgb.astype(int) - colours())[got.alpha > 0].mean() < 12


@pytest.mark.parametrize("mode", ["L", "LA", "1", "CMYK", "YCbCr"])
def test_colour_models(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.png" if mode in ("L", "LA", "1") else "a.tif")
    Image.fromarray(colours()).convert(mode).save(path)
    got = load_image(path).rgb
    assert got.shape == (80, 100, 3)
    grey = np.repeat(np.asarray(Image.fromarray(colours()).convert("L"))[..., None], 3, 2)
    wanted = grey if mode in ("L", "LA", "1") else colours()
    assert abs(got.astype(float).mean() - wanted.mean()) < 12


@pytest.mark.parametrize("shape", [(), (3,), (4,)])
def test_16_bit_png(tmp_path: Path, shape: tuple[int, ...]) -> None:
    small = colours() if shape else colours()[..., 0]
    if shape == (4,):
        small = np.dstack([small, small[..., 0]])
    save_png(tmp_path / "a.png", small.astype(np.uint16) * 257)
    got = load_image(tmp_path / "a.png")
    wanted = small[..., :3] if shape else np.repeat(small[..., None], 3, 2)
    assert np.abs(got.rgb.astype(int) - wanted).max() <= 1
    if shape == (4,):
        assert got.alpha is not None
        assert np.abs(got.alpha.astype(int) - small[..., 3]).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deep_grey_tiff(tmp_path: Path, dtype: type) -> None:
    grey = colours()[..., 0].astype(np.float64)
    deep = (grey / 255 if dtype is np.float32 else grey * 257).astype(dtype)
    Image.fromarray(deep).save(tmp_path / "a.tif")
    assert np.abs(load_image(tmp_path / "a.tif").rgb[..., 0].astype(float) - grey).max() <= 1


def test_16_bit_colour_tiff(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", colours().astype(np.uint16) * 257, photometric="rgb")
    assert np.abs(load_image(tmp_path / "a.tif").rgb.astype(int) - colours()).max() <= 1


def wide_profile() -> bytes:
    """An ICC profile of Display P3's primaries and gamma 1.8, made of its nine necessary tags."""

    def s15(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"wide\0" + bytes(78)
    tags = {
        b"desc": text,
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + s15(0.9642, 1, 0.8249),
        b"rXYZ": b"XYZ \0\0\0\0" + s15(0.5151, 0.2412, -0.0011),
        b"gXYZ": b"XYZ \0\0\0\0" + s15(0.2919, 0.6922, 0.0419),
        b"bXYZ": b"XYZ \0\0\0\0" + s15(0.1571, 0.0666, 0.7841),
    }
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(1.8 * 256))
    tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", offset + len(body), b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + s15(0.9642, 1, 0.8249) + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + body


def test_icc_profile_becomes_srgb(tmp_path: Path) -> None:
    flat = np.full((70, 70, 3), (200, 100, 60), np.uint8)
    Image.fromarray(flat).save(tmp_path / "a.png", icc_profile=wide_profile())
    got = load_image(tmp_path / "a.png")
    linear = (np.array([200, 100, 60]) / 255) ** 1.8
    to_xyz = np.array([[0.5151, 0.2919, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])
    srgb_to_xyz = np.array(
        [[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7142]]
    )  # D50
    wanted = linear_to_srgb(np.clip(np.linalg.solve(srgb_to_xyz, to_xyz @ linear), 0, 1)) * 255
    assert np.abs(got.rgb[30, 30] - wanted).max() < 3
    assert not got.notes


@pytest.mark.parametrize("kind", ["garbage", "grey on colour"])
def test_broken_profile_is_ignored_and_said(tmp_path: Path, kind: str) -> None:
    profile = b"not a profile" * 20
    if kind != "garbage":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(colours()).save(tmp_path / "a.png", icc_profile=profile)
    got = load_image(tmp_path / "a.png")
    assert np.array_equal(got.rgb, colours())
    assert any("profile" in n for n in got.notes)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_first_frame_of_an_animation(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (90, 70), c) for c in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], duration=100)
    got = load_image(tmp_path / f"a.{suffix}")
    assert np.abs(got.rgb[30, 30].astype(int) - (250, 0, 0)).max() < 8
    assert any("first frame" in n for n in got.notes)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_large_pictures_are_reduced(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(colours(600, 900)).save(tmp_path / f"a.{suffix}")
    got = load_image(tmp_path / f"a.{suffix}", max_side=300)
    assert got.rgb.shape == (200, 300, 3)
    assert got.scale == pytest.approx(1 / 3)
    assert np.abs(got.rgb.astype(int) - colours(200, 300)).mean() < 4
    assert any("reduced" in n for n in got.notes)


def png_header(w: int, h: int) -> bytes:
    """The first bytes of a PNG of any size."""
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 100)
    out = b"\x89PNG\r\n\x1a\n"
    for c in (ihdr, data):
        out += struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c))
    return out


def make_bad(kind: str, folder: Path) -> Path:
    """A path that is not a usable picture."""
    path = folder / f"{kind.replace(' ', '_')}.jpg"
    good = folder / "good.jpg"
    Image.fromarray(colours(200, 300)).save(good, quality=95)
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("This is not a picture.\n" * 10)
    elif kind == "truncated":
        path.write_bytes(good.read_bytes()[:1500])
    elif kind == "bomb":
        path.write_bytes(png_header(30000, 30000))
    elif kind == "just too large":
        path.write_bytes(png_header(20001, 10000))
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(1000))
    elif kind == "small":
        Image.fromarray(colours(63, 200)).save(path)
    elif kind == "video":
        path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(100))
    return path


BAD = {
    "missing": "no such file",
    "folder": "is a folder",
    "empty": "is empty",
    "text": "is a text file",
    "truncated": "truncated",
    "bomb": "200 megapixels",
    "just too large": "200 megapixels",
    "noise": "no known format",
    "small": "at least 64",
    "video": "video",
}


@pytest.mark.parametrize(("kind", "words"), BAD.items())
def test_bad_pictures_are_refused_in_one_line(tmp_path: Path, kind: str, words: str) -> None:
    path = make_bad(kind, tmp_path)
    with pytest.raises(HeadcastError) as e:
        load_image(path)
    assert words in str(e.value)
    assert str(path) in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_locked(tmp_path: Path) -> None:
    path = make_bad("text", tmp_path)
    path.chmod(0)
    with pytest.raises(HeadcastError, match="cannot be read"):
        load_image(path)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(HeadcastError, match="cannot be written"):
            check_writable(tmp_path / "a.png")
    finally:
        tmp_path.chmod(0o700)


def test_pillow_settings_stay(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(HeadcastError):
        load_image(make_bad("bomb", tmp_path))
    assert before == Image.MAX_IMAGE_PIXELS


def test_png_text(tmp_path: Path) -> None:
    save_png(tmp_path / "a.png", colours(), {"Comment": "synthetic", "Name": "日本"})
    with Image.open(tmp_path / "a.png") as im:
        assert im.text == {"Comment": "synthetic", "Name": "日本"}  # type: ignore[attr-defined]
    assert np.array_equal(load_image(tmp_path / "a.png").rgb, colours())


def test_png_takes_only_integers(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        save_png(tmp_path / "a.png", np.zeros((70, 70, 3)))


@pytest.mark.parametrize("place", [".", "file/a.png"])
def test_unwritable_places(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HeadcastError, match=r"folder|written"):
        save_png(tmp_path / place, colours())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failed_writing_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"
    with atomic_path(path) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
    assert path.read_text() == "new"


@given(st.floats(0, 1))
def test_srgb_is_exact_and_the_same_in_torch(value: float) -> None:
    x = np.array([value])
    linear = srgb_to_linear(x)
    assert linear_to_srgb(linear)[0] == pytest.approx(value, abs=1e-7)
    t = torch.tensor([value], dtype=torch.float64)
    assert float(srgb_to_linear(t)) == pytest.approx(float(linear[0]), abs=1e-12)
    assert float(linear_to_srgb(t)) == pytest.approx(float(linear_to_srgb(x)[0]), abs=1e-12)


def test_srgb_known_values() -> None:
    x = np.array([0, 0.04045, 0.5, 1])
    assert srgb_to_linear(x) == pytest.approx([0, 0.0031308, 0.2140411, 1], abs=1e-6)


def test_srgb_gradients_are_finite() -> None:
    x = torch.tensor([0.0, 0.01, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(srgb_to_linear, x)
    (g,) = torch.autograd.grad(linear_to_srgb(x).sum(), x)
    assert torch.isfinite(g).all()


def test_the_table_is_the_function() -> None:
    table = srgb_table()
    assert table.dtype == np.float32 and table.shape == (256,) and table[0] == 0 and table[255] == 1
    rgb = colours()
    assert np.array_equal(table[rgb], srgb_to_linear(rgb.astype(np.float32) / 255).astype(np.float32))
    with pytest.raises(ValueError, match="read-only"):
        table[3] = 0.5


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_networks_see_images_between_minus_one_and_one(kind: str) -> None:
    rgb = colours()
    rgb.flags.writeable = False
    x = to_network_input(rgb if kind == "numpy" else torch.from_numpy(rgb.copy()))
    assert x.shape == (1, 3, 80, 100) and x.dtype == torch.float32
    assert float(x[0, 0, 0, 0]) == -1 and float(x[0, 0, 0, -1]) == 1
    back = ((x[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
    assert np.array_equal(back, rgb)


@pytest.mark.parametrize("sample", [sample_bilinear, sample_lanczos])
def test_samples_at_pixel_centres_are_the_pixels_and_edges_are_repeated(
    sample: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> None:
    image = np.random.default_rng(0).random((20, 30, 3)).astype(np.float32)
    y, x = np.mgrid[0:20, 0:30]
    centres = np.stack([x, y], -1).reshape(-1, 2).astype(np.float32) + 0.5
    assert np.allclose(sample(image, centres), image.reshape(-1, 3), atol=1e-5)
    assert np.allclose(sample(image, np.array([[-50.0, 0.5], [0.5, 900.0]])), image[[0, -1], 0], atol=1e-5)
    many = np.tile(centres, (8, 1))  # more than a row of samples
    assert sample(image[..., 0], many).shape == (len(many),)


def test_bilinear_samples_between_pixels_are_their_mean() -> None:
    image = np.array([[0.0, 1.0], [2.0, 5.0]], np.float32)
    assert sample_bilinear(image, np.array([[1.0, 1.0], [1.0, 0.5]])).tolist() == [2.0, 0.5]
