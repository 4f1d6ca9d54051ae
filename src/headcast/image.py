"""Read and write images: 8-bit sRGB in, PNG out, written atomically."""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from headcast.errors import HeadcastError
from headcast.files import atomic_path, check_readable, check_writable, quiet_stderr, what_is
from headcast.parsing import parsing

if TYPE_CHECKING:
    import torch
    from PIL import Image

__all__ = [
    "MAX_PIXELS",
    "LoadedImage",
    "atomic_path",
    "check_writable",
    "linear_to_srgb",
    "load_image",
    "sample_bilinear",
    "sample_lanczos",
    "save_png",
    "srgb_table",
    "srgb_to_linear",
    "to_network_input",
]

MAX_PIXELS = 200_000_000
MAX_FILE_BYTES = 1 << 31  # 200 million pixels of three 16-bit channels, with room
MAX_DECODED_BYTES = 1 << 30  # of one image in Pillow's memory: at most 4 bytes a pixel
CONVERTED_ROWS = 256
MIN_SIDE = 64
BACKDROP = 128.0  # grey level behind transparent images
SAMPLES_A_ROW = 4096  # OpenCV remaps images of at most 32767 a side: samples are laid out in rows
SAMPLING_MARGIN = 8  # pixels outside the image to which positions are clipped: more than any kernel reaches
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "AVIF", "JPEG2000")
ORIENTATION, EXIF_IFD, FOCAL_35MM = 0x0112, 0x8769, 0xA405

# What Pillow's decoders raise on damaged bytes, apart from its own classes (which are OSErrors).
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
)

_pillow_settings = threading.Lock()


@dataclass(frozen=True)
class LoadedImage:
    """A decoded image, upright, in 8-bit sRGB.

    Attributes:
        rgb: (H, W, 3) sRGB display values, upright, not premultiplied.
        alpha: (H, W) coverage as stored, or None when the file has none or it is opaque everywhere.
        name: the file, for messages.
        exif_focal_35mm: the lens in 35 mm terms (of the uncropped frame), None when not recorded.
        scale: size of ``rgb`` divided by the size stored in the file.
        notes: what the user should know, one sentence each.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    alpha: UInt8[np.ndarray, "h w"] | None
    name: str
    exif_focal_35mm: float | None = None
    scale: float = 1.0
    notes: tuple[str, ...] = ()

    def over_grey(self) -> UInt8[np.ndarray, "h w 3"]:
        """Return what is visible of the image, over plain grey; colours under alpha 0 leave no trace."""
        if self.alpha is None:
            return self.rgb
        cover = self.coverage()[..., None]
        return np.round(self.rgb * cover + BACKDROP * (1 - cover)).astype(np.uint8)

    def filled(self) -> UInt8[np.ndarray, "h w 3"]:
        """Return the image with the visible colours continued smoothly into what is transparent."""
        if self.alpha is None:
            return self.rgb
        colour = _fill_by_pyramid(self.rgb * self.coverage()[..., None], self.coverage())
        return np.round(colour.clip(0, 255)).astype(np.uint8)

    def coverage(self) -> Float[np.ndarray, "h w"]:
        """Return alpha in 0..1, relative to the least transparent pixel; 1 where there is none."""
        if self.alpha is None:
            return np.ones(self.rgb.shape[:2], np.float32)
        return self.alpha.astype(np.float32) / max(1, int(self.alpha.max()))


def _fill_by_pyramid(
    colour: Float[np.ndarray, "h w 3"], weight: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """Complete premultiplied colours where their weight is under 1 by those of coarser levels (pull-push)."""
    import cv2

    h, w = weight.shape
    if min(h, w) < 2:
        mean = colour.sum((0, 1)) / max(float(weight.sum()), 1e-6)
        return colour + (1 - weight[..., None]) * mean
    coarse, coarse_weight = cv2.pyrDown(colour), cv2.pyrDown(weight)
    strength = np.minimum(1, 4 * coarse_weight) / np.maximum(coarse_weight, 1e-6)
    below = _fill_by_pyramid(coarse * strength[..., None], coarse_weight * strength)
    return colour + (1 - weight[..., None]) * cv2.pyrUp(below, dstsize=(w, h))


class ClampedReader(io.BufferedReader):
    """A file that allocates no more for a read than it holds: damaged headers ask for 4 GB."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.length = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most ``size`` bytes; -1 or None: all that is left."""
        left = max(self.length - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))


def load_image(path: str | Path, max_side: int = 4096) -> LoadedImage:
    """Read an image file; of an animation, the first frame.

    EXIF orientation is applied; any colour model, depth and ICC profile becomes 8-bit sRGB; images larger
    than ``max_side`` pixels are reduced while reading.

    Raises:
        HeadcastError: missing, not an image, damaged, under 64 pixels, over 200 million pixels.
    """
    path = Path(path)
    check_readable(path, "image")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise HeadcastError(f"{path}: larger than {MAX_FILE_BYTES >> 30} GB; reduce the image first")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warnings about sizes and metadata; both are checked here
        im, stored, frames = read_pixels(path, max_side)
        focal, im = orientation_and_focal(im)
        notes: list[str] = []
        alpha = split_alpha(im)
        rgb = np.array(to_srgb(im, notes))
    if frames > 1:
        notes.append("an animation; its first frame is used")
    scale = max(im.size) / max(stored)
    if scale < 1:
        notes.append(f"{stored[0]}x{stored[1]} pixels, read reduced to {im.width}x{im.height}")
    return LoadedImage(
        rgb=rgb, alpha=alpha, name=str(path), exif_focal_35mm=focal, scale=scale, notes=tuple(notes)
    )


class DecodedPixels(NamedTuple):
    """The first frame of a file, the size stored there, and how many frames it has."""

    image: Image.Image
    stored_size: tuple[int, int]
    frames: int


def read_pixels(path: Path, max_side: int) -> DecodedPixels:
    """Decode the first frame, longer side at most ``max_side``; return also stored size and frame count."""
    from PIL import Image, UnidentifiedImageError

    with _pillow_settings:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow refuses at twice this
        try:
            Image.init()
            formats = [f for f in FORMATS if f in Image.OPEN]
            with ClampedReader(path) as file, Image.open(file, formats=formats) as im:
                size = im.size
                check_size(path, size)
                check_depth(path, im)
                frames = 2 if im.format != "MPO" and getattr(im, "is_animated", False) else 1
                im.draft(None, (max_side, max_side))
                with quiet_stderr():  # libtiff reports damage there, beside the exception
                    im.load()
                return DecodedPixels(shrink(im, max_side), size, frames)
        except Image.DecompressionBombError as e:
            raise HeadcastError(f"{path}: more than {MAX_PIXELS // 10**6} megapixels; reduce it first") from e
        except UnidentifiedImageError as e:
            raise HeadcastError(f"{path}: {what_is(path)}; use a JPEG, PNG, WebP or TIFF image") from e
        except MemoryError as e:
            raise HeadcastError(f"{path}: too large for the available memory; reduce the image first") from e
        except DAMAGE as e:
            state = "truncated" if "truncated" in str(e).lower() else "damaged"
            raise HeadcastError(f"{path}: the image is {state}; save or download it again") from e
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def check_size(path: Path, size: tuple[int, int]) -> None:
    """Raise HeadcastError if the image is too large or too small, from the header alone."""
    if size[0] * size[1] > MAX_PIXELS:
        raise HeadcastError(
            f"{path}: {size[0]}x{size[1]} is more than {MAX_PIXELS // 10**6} megapixels; reduce it first"
        )
    if min(size) < MIN_SIDE:
        raise HeadcastError(f"{path}: only {size[0]}x{size[1]} pixels; at least {MIN_SIDE} a side are needed")


def check_dimensions(path: Path, form: str | None = None) -> None:
    """Check an image's size by its header, for decoders without limits of their own.

    Args:
        form: the only format that is taken; None: any.

    Raises:
        HeadcastError: not a regular file, no image, too small or too large.
    """
    from PIL import Image

    check_readable(path, form or "image")
    with (
        warnings.catch_warnings(),
        parsing(path, f"not a readable {form or 'image'}", "get or make it again"),
    ):
        warnings.simplefilter("ignore")
        Image.init()
        with Image.open(path, formats=[form] if form else [f for f in FORMATS if f in Image.OPEN]) as im:
            if im.size[0] * im.size[1] > MAX_PIXELS:
                raise ValueError(f"{im.size[0]}x{im.size[1]} pixels")


def check_depth(path: Path, im: Image.Image) -> None:
    """Raise HeadcastError if the decoded image takes more than ``MAX_DECODED_BYTES``."""
    channels = 1 if im.mode in ("1", "L", "P") else 2 if im.mode.startswith("I;16") else 4
    if im.size[0] * im.size[1] * channels > MAX_DECODED_BYTES:
        raise HeadcastError(
            f"{path}: takes more than {MAX_DECODED_BYTES >> 20} MB when decoded; reduce it first"
        )


def shrink(im: Image.Image, max_side: int) -> Image.Image:
    """Downsample to a longer side of at most ``max_side``; integer and float modes become 8 bit first."""
    from PIL import Image

    if im.mode in ("I", "F") or im.mode.startswith("I;16"):
        im = keep_info(Image.fromarray(to_8_bit(im)), im)
    factor = max_side / max(im.size)
    if factor >= 1:
        return im.copy()
    if im.mode in ("P", "1", "PA"):
        has_alpha = im.mode == "PA" or "transparency" in im.info
        im = keep_info(im.convert("RGBA" if has_alpha else "RGB"), im)
    size = (max(1, round(im.width * factor)), max(1, round(im.height * factor)))
    return keep_info(im.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0), im)


def keep_info(new: Image.Image, old: Image.Image) -> Image.Image:
    """Copy profile, transparency and EXIF to a converted image."""
    new.info = dict(old.info)
    exif = read_exif(old)
    new.info.pop("exif", None)
    if exif is not None:
        new.info["exif"] = exif
    return new


def read_exif(im: Image.Image) -> bytes | None:
    """Return the EXIF block as bytes, None when there is none or it is broken."""
    if "exif" in im.info and isinstance(im.info["exif"], bytes):
        return im.info["exif"]
    try:
        exif = im.getexif()
        return exif.tobytes() if len(exif) else None
    except DAMAGE:
        return None


def to_8_bit(im: Image.Image) -> UInt8[np.ndarray, "h w"]:
    """Convert grey of 16 or 32 bits or floats to 8 bits; the white level is guessed from the values.

    Rows are converted by strips: the memory is that of the image and of the result.
    """
    out = np.empty((im.height, im.width), np.uint8)
    strips = [(y, min(y + CONVERTED_ROWS, im.height)) for y in range(0, im.height, CONVERTED_ROWS)]

    def rows(top: int, bottom: int) -> np.ndarray:
        return np.asarray(im.crop((0, top, im.width, bottom)))

    if im.mode.startswith("I;16"):
        for top, bottom in strips:
            out[top:bottom] = (rows(top, bottom).astype(np.uint32) * 255 + 32767) // 65535
        return out

    def finite(top: int, bottom: int) -> np.ndarray:
        return np.nan_to_num(rows(top, bottom).astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)

    top_value = max((float(finite(*s).max(initial=0.0)) for s in strips), default=0.0)
    whites = (w for w in (1.0, 255.0, 65535.0) if top_value <= w and (im.mode == "F" or w > 1))
    white = next(whites, max(top_value, 1.0))
    for top, bottom in strips:
        out[top:bottom] = np.clip(finite(top, bottom) * (255.0 / white) + 0.5, 0, 255)
    return out


def orientation_and_focal(im: Image.Image) -> tuple[float | None, Image.Image]:
    """Return the 35 mm focal length of the EXIF block and the upright image; broken EXIF counts as none."""
    from PIL import Image

    exif, orientation, focal = Image.Exif(), 1, 0.0
    try:
        exif.load(im.info.get("exif") or b"")
        orientation = exif.get(ORIENTATION, 1)
        focal = float(exif.get_ifd(EXIF_IFD).get(FOCAL_35MM, 0))
    except DAMAGE:
        pass  # what was read before the damage counts
    upright = {
        2: (0,),
        3: (3,),
        4: (1,),
        5: (5,),
        6: (4,),
        7: (6,),
        8: (2,),
    }.get(orientation if isinstance(orientation, int) else 1, ())
    for method in upright:
        im = keep_info(im.transpose(Image.Transpose(method)), im)
    return (focal if 5 < focal < 2000 else None), im


def split_alpha(im: Image.Image) -> UInt8[np.ndarray, "h w"] | None:
    """Return the alpha channel, None if the image is opaque everywhere."""
    keyed = "transparency" in im.info and im.mode in ("P", "L", "RGB", "1")
    if not keyed and im.mode not in ("RGBA", "LA", "PA", "RGBa", "La"):
        return None
    a = np.array(im.convert("RGBA").getchannel("A"))
    return None if bool((a == 255).all()) else a


def to_srgb(im: Image.Image, notes: list[str]) -> Image.Image:
    """Convert to 8-bit sRGB by the embedded profile (perceptual intent); without one assume sRGB."""
    from PIL import Image, ImageCms

    profile = im.info.get("icc_profile")
    if im.mode == "RGBa":
        im = im.convert("RGBA")
    if im.mode in ("RGBA", "P", "PA", "YCbCr", "HSV", "RGBX"):
        im = im.convert("RGB")
    if im.mode in ("LA", "La", "1"):
        im = im.convert("L")
    if not profile:
        return im.convert("RGB")
    try:
        source: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space == "RGB" and "sRGB" in (source.profile.profile_description or ""):
            return im.convert("RGB")
        required_mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}.get(space)
        if required_mode == "RGB" and im.mode == "L":
            im = im.convert("RGB")
        if required_mode != im.mode:
            raise ValueError(f"a {space} profile on a {im.mode} image")
        out = ImageCms.profileToProfile(
            im, source, ImageCms.createProfile("sRGB"), ImageCms.Intent.PERCEPTUAL, outputMode="RGB"
        )
        if isinstance(out, Image.Image):
            return out
    except (ImageCms.PyCMSError, *DAMAGE):
        notes.append("its colour profile is broken and ignored; colours are taken as sRGB")
    return im.convert("RGB")


def save_png(
    path: str | Path, array: Shaped[np.ndarray, "h w *c"], metadata: dict[str, str] | None = None
) -> None:
    """Write a grey (H, W), RGB or RGBA image of 8 or 16 bits as PNG, with text entries, atomically.

    Raises:
        HeadcastError: the place cannot be written.
    """
    if array.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"save_png takes uint8 or uint16, not {array.dtype}")
    data = encode_png(array, metadata or {})
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def encode_png(array: Shaped[np.ndarray, "h w *c"], metadata: dict[str, str]) -> bytes:
    """Encode a PNG file as bytes. Every row is stored as its difference to the row above (filter 2)."""
    x = array[..., None] if array.ndim == 2 else array
    h, w, c = x.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[c]
    big = x.astype(x.dtype.newbyteorder(">"))
    rows = np.ascontiguousarray(big).view(np.uint8).reshape(h, -1)
    filtered = np.empty((h, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2
    filtered[:, 1:] = rows
    filtered[1:, 1:] -= rows[:-1]
    header = struct.pack(">IIBBBBB", w, h, 8 * x.itemsize, colour, 0, 0, 0)
    out = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"sRGB", b"\0")]
    out += [text_chunk(key, value) for key, value in metadata.items()]
    out += [chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6)), chunk(b"IEND", b"")]
    return b"".join(out)


def chunk(kind: bytes, data: bytes) -> bytes:
    """Pack one PNG chunk: length, kind, data, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def text_chunk(key: str, value: str) -> bytes:
    """Pack a tEXt chunk, or iTXt for XMP and where Latin-1 cannot hold the text."""
    name = key.encode("latin-1", "replace")[:79]
    if not key.startswith("XML:") and all(ord(c) < 256 for c in value):
        return chunk(b"tEXt", name + b"\0" + value.encode("latin-1"))
    return chunk(b"iTXt", name + b"\0\0\0\0\0" + value.encode("utf-8"))


@overload
def srgb_to_linear(x: np.ndarray) -> np.ndarray: ...
@overload
def srgb_to_linear(x: torch.Tensor) -> torch.Tensor: ...
def srgb_to_linear(x: Any) -> Any:
    """Convert sRGB display values in 0..1 to linear light (IEC 61966-2-1, piecewise); numpy or torch."""
    if isinstance(x, np.ndarray):
        return np.where(x <= 0.04045, x / 12.92, ((np.maximum(x, 0.04045) + 0.055) / 1.055) ** 2.4)
    import torch

    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


@overload
def linear_to_srgb(x: np.ndarray) -> np.ndarray: ...
@overload
def linear_to_srgb(x: torch.Tensor) -> torch.Tensor: ...
def linear_to_srgb(x: Any) -> Any:
    """Convert linear light in 0..1 to sRGB display values (IEC 61966-2-1, piecewise); numpy or torch."""
    if isinstance(x, np.ndarray):
        return np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 0.0031308) ** (1 / 2.4) - 0.055)
    import torch

    return torch.where(x <= 0.0031308, x * 12.92, 1.055 * x.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


@cache
def srgb_table() -> Float[np.ndarray, "256"]:
    """Tabulate linear light (float32, read-only) of the 256 sRGB display values: ``srgb_table()[rgb]``."""
    table = srgb_to_linear(np.arange(256, dtype=np.float32) / 255).astype(np.float32)
    table.flags.writeable = False
    return table


def to_network_input(rgb: Any, device: Any = "cpu") -> Any:
    """Turn an 8-bit image (h, w, 3), numpy or torch, into network input: (1, 3, h, w) float32 in -1..1.

    Args:
        device: a torch device, where the result lies.
    """
    import torch

    x = torch.from_numpy(np.array(rgb)) if isinstance(rgb, np.ndarray) else rgb
    return x.to(device).permute(2, 0, 1)[None].float() / 127.5 - 1


def sample_bilinear(
    image: Shaped[np.ndarray, "h w *c"], pixels: Float[np.ndarray, "n 2"]
) -> Shaped[np.ndarray, "n *c"]:
    """Interpolate an image linearly at pixel positions (x, y; centres at +0.5); edges are repeated."""
    import cv2

    return _sample(image, pixels, cv2.INTER_LINEAR)


def sample_lanczos(
    image: Shaped[np.ndarray, "h w *c"], pixels: Float[np.ndarray, "n 2"]
) -> Shaped[np.ndarray, "n *c"]:
    """:func:`sample_bilinear` with Lanczos' kernel of 8 x 8 pixels: keeps fine detail, may overshoot."""
    import cv2

    return _sample(image, pixels, cv2.INTER_LANCZOS4)


def _sample(image: np.ndarray, pixels: np.ndarray, interpolation: int) -> np.ndarray:
    import cv2

    n = len(pixels)
    rows = -(-n // SAMPLES_A_ROW)
    positions = np.zeros((rows * SAMPLES_A_ROW, 2), np.float32)
    positions[:n] = np.clip(pixels - 0.5, -SAMPLING_MARGIN, max(image.shape[:2]) + SAMPLING_MARGIN)
    positions = positions.reshape(rows, SAMPLES_A_ROW, 2)
    out = cv2.remap(
        image, positions[..., 0], positions[..., 1], interpolation, borderMode=cv2.BORDER_REPLICATE
    )
    return out.reshape(rows * SAMPLES_A_ROW, *out.shape[2:])[:n]
