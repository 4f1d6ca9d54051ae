"""Files that headcast writes, read without headcast: whatever the format, arrays and values come out."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from outputs.store import Item, flat

__all__ = ["fingerprint", "read", "read_folder"]

TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
    "BOOL": "?",
}
"""Of safetensors; BF16 is widened to float32."""
COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
PLY_TYPES = {
    "float": "<f4",
    "double": "<f8",
    "uchar": "u1",
    "char": "i1",
    "int": "<i4",
    "uint": "<u4",
    "short": "<i2",
    "ushort": "<u2",
    "float32": "<f4",
    "uint8": "u1",
    "int32": "<i4",
}
SAMPLES = 512
"""Numbers of each tensor of a weights file that are kept, beside its sum and its length."""
BASE64 = re.compile(r"[A-Za-z0-9+/]{256,}={0,2}")


def read(path: Path) -> Item:
    """One file, by its ending."""
    reader = READERS.get(path.suffix.lower())
    return text(path.read_bytes()) if reader is None else reader(path.read_bytes())


def read_folder(folder: Path, skip: Callable[[Path], bool] = lambda path: False) -> Item:
    """All files below a folder, named by their path in it."""
    found = Item()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not skip(p)):
        found |= read(path).under(path.relative_to(folder).as_posix())
    return found


def text(data: bytes) -> Item:
    """Words, or bytes by their hash."""
    try:
        return Item({}, {"text": flat(data.decode())[""]})
    except UnicodeDecodeError:
        return Item({}, {"sha256": hashlib.sha256(data).hexdigest()})


def json_file(data: bytes) -> Item:
    """Leaves of a JSON file."""
    content = json.loads(data)
    if isinstance(content, dict) and {"versions", "weights", "finished"} <= set(content):  # a run.json
        content = {k: v for k, v in content.items() if k != "weights"}
    return Item({}, flat(content))


def json_lines(data: bytes) -> Item:
    """A log."""
    return Item({}, flat([json.loads(line) for line in data.splitlines() if line.strip()]))


def picture(data: bytes) -> Item:
    """Pixels as stored (8 or 16 bits, channels as OpenCV orders them), and the words in a PNG."""
    import cv2
    from PIL import Image

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        return text(data)
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(BytesIO(data)) as opened:
        words = {k: v for k, v in opened.info.items() if isinstance(v, str)}
    return Item({"pixels": pixels}, flat(words, "words") if words else {})


def safetensors(data: bytes) -> Item:
    """Tensors and metadata."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    body, item = memoryview(data)[8 + length :], Item()
    for name, entry in header.items():
        if name == "__metadata__":
            item.values.update(flat({k: decoded(v) for k, v in entry.items()}, "metadata"))
            continue
        raw = body[slice(*entry["data_offsets"])]
        if entry["dtype"] == "BF16":
            array = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            array = np.frombuffer(raw, TYPES[entry["dtype"]])
        item.arrays[name] = array.reshape(entry["shape"])
        item.values[f"{name}.dtype"] = entry["dtype"]
    return item


def decoded(value: str) -> Any:
    """JSON inside of JSON, where it is that."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def fingerprint(path: Path) -> Item:
    """A weights file: of each tensor the shape, the sum, the length and evenly spread numbers."""
    whole, item = safetensors(path.read_bytes()), Item()
    for name, array in whole.arrays.items():
        numbers = array.astype(np.float64).reshape(-1)
        some = numbers[:: max(1, len(numbers) // SAMPLES)]
        item.arrays[name] = np.concatenate([[numbers.sum(), np.linalg.norm(numbers)], some])
        item.values[f"{name}.shape"] = str(array.shape)
    item.values.update(whole.values)
    return item


def avatar(data: bytes) -> Item:
    """The zip of an ``.avatar``."""
    found = Item()
    with zipfile.ZipFile(BytesIO(data)) as z:
        for name in z.namelist():
            found |= READERS[Path(name).suffix](z.read(name)).under(name)
    return found


def glb(data: bytes) -> Item:
    """JSON, accessors by index and images of a binary glTF; how its bytes are laid out is left out."""
    (length,) = struct.unpack("<I", data[12:16])
    gltf, start = json.loads(data[20 : 20 + length]), 20 + length + 8
    views = [
        data[start + v.get("byteOffset", 0) : start + v.get("byteOffset", 0) + v["byteLength"]]
        for v in gltf["bufferViews"]
    ]
    leaves = flat({k: v for k, v in gltf.items() if k not in ("bufferViews", "buffers")})
    item = Item(
        {}, {k: v for k, v in leaves.items() if k.rpartition(".")[2] not in ("bufferView", "byteOffset")}
    )
    for i, accessor in enumerate(gltf.get("accessors", [])):
        item.arrays[f"accessor{i}"] = accessed(gltf["bufferViews"], views, accessor)
    for i, image in enumerate(gltf.get("images", [])):
        item = item | picture(views[image["bufferView"]]).under(f"image{i}")
    return item


def accessed(layout: list[dict[str, Any]], views: list[bytes], accessor: dict[str, Any]) -> np.ndarray:
    """Numbers of an accessor, (count, width), sparse ones filled in."""
    kind, width = accessor["componentType"], WIDTHS[accessor["type"]]

    def column(place: dict[str, Any], count: int, kind: int, width: int) -> np.ndarray:
        view, of = place["bufferView"], np.dtype(COMPONENTS[kind])
        step = layout[view].get("byteStride", of.itemsize * width)
        shape, steps = (count, width), (step, of.itemsize)
        return np.ndarray(shape, of, views[view], place.get("byteOffset", 0), steps).copy()

    if "bufferView" in accessor:
        numbers = column(accessor, accessor["count"], kind, width)
    else:
        numbers = np.zeros((accessor["count"], width), COMPONENTS[kind])
    if sparse := accessor.get("sparse"):
        rows = column(sparse["indices"], sparse["count"], sparse["indices"]["componentType"], 1)[:, 0]
        numbers[rows] = column(sparse["values"], sparse["count"], kind, width)
    return numbers


def ply(data: bytes) -> Item:
    """Columns of a binary PLY; lists of three indices as an array."""
    head, _, body = data.partition(b"end_header\n")
    item, elements = Item(), []
    for line in head.decode().splitlines():
        words = line.split()
        if words[0] == "element":
            elements.append((words[1], int(words[2]), []))
        elif words[0] == "property":
            elements[-1][2].append(words[1:])
        elif words[0] in ("comment", "format"):
            item.values[f"{words[0]}{len(item.values)}"] = flat(" ".join(words[1:]))[""]
    offset = 0
    for name, count, properties in elements:
        fields = []
        for p in properties:
            if p[0] == "list":  # faces: always triangles
                fields += [(f"{p[-1]}.n", PLY_TYPES[p[1]]), (p[-1], PLY_TYPES[p[2]], (3,))]
            else:
                fields.append((p[1], PLY_TYPES[p[0]]))
        table = np.frombuffer(body, np.dtype(fields), count, offset)
        offset += table.nbytes
        item.arrays.update({f"{name}/{f}": table[f].copy() for f in table.dtype.names or ()})
    item.values["rest"] = len(body) - offset
    return item


def spz(data: bytes) -> Item:
    """Columns of an SPZ as quantized integers, and the comment of the gzip header."""
    raw = gzip.decompress(data)
    (magic, version, n), flags = struct.unpack("<III", raw[:12]), raw[12:16]
    item, at = Item({}, {"header": f"{magic:x} {version} {n} {flags.hex()}"}), 16
    for name, width in (("position", 9), ("alpha", 1), ("colour", 3), ("scale", 3), ("rotation", 4)):
        item.arrays[name] = np.frombuffer(raw, np.uint8, n * width, at).reshape(n, width)
        at += n * width
    p = item.arrays["position"].reshape(n, 3, 3).astype(np.int32)
    item.arrays["position"] = ((p[..., 0] | p[..., 1] << 8 | p[..., 2] << 16) ^ 1 << 23) - (1 << 23)
    if data[3] & 16:
        item.values["comment"] = flat(data[10 : data.index(0, 10)].decode("latin-1"))[""]
    return item


def page(data: bytes) -> Item:
    """An HTML page: packed blocks are opened where they hold tensors, the rest is hashed."""
    words, found = data.decode(), Item()
    for i, block in enumerate(BASE64.findall(words)):
        raw = base64.b64decode(block)
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        try:
            inner = safetensors(raw)
        except (ValueError, KeyError, struct.error, UnicodeDecodeError):
            inner = Item({}, {"sha256": hashlib.sha256(raw).hexdigest()})
        pictures = [n for n in inner.arrays if n.startswith("picture.")]
        for name in pictures:
            inner |= picture(inner.arrays.pop(name).tobytes()).under(name)
        found |= inner.under(f"block{i}")
    rest = flat(BASE64.sub("%", words))[""]
    return found | Item({}, {"rest": hashlib.sha256(rest.encode()).hexdigest()})


def clip(data: bytes) -> Item:
    """Frames of a video as pixels."""
    import av

    with av.open(BytesIO(data)) as opened:
        stream = opened.streams.video[0]
        values = flat(
            {"rate": str(stream.average_rate), "sound": len(opened.streams.audio), **opened.metadata}
        )
        frames = [f.to_ndarray(format="rgb24") for f in opened.decode(stream)]
    return Item({"frames": np.stack(frames)}, values)


def archive(data: bytes) -> Item:
    """An ``.npz``."""
    with np.load(BytesIO(data)) as z:
        return Item({k: z[k] for k in z.files})


READERS: dict[str, Callable[[bytes], Item]] = {
    ".avatar": avatar,
    ".png": picture,
    ".jpg": picture,
    ".webp": picture,
    ".json": json_file,
    ".jsonl": json_lines,
    ".safetensors": safetensors,
    ".glb": glb,
    ".ply": ply,
    ".spz": spz,
    ".html": page,
    ".mp4": clip,
    ".npz": archive,
}
