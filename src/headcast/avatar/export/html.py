"""One HTML file with the avatar and the viewer in it: opens offline in a browser, needs nothing else."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from headcast.avatar.export.base import mesh_of
from headcast.avatar.export.viewer_data import viewer_arrays, viewer_facts
from headcast.files import atomic_path

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar

__all__ = ["VIEWER", "write_html"]

VIEWER = Path(__file__).parent / "viewer"
"""Page, program (built from ``web/``) and its licences."""
JPEG_QUALITY = 93


def write_html(avatar: Avatar, path: str | Path) -> None:
    """Write the viewer with the avatar in it, atomically; the same avatar gives the same bytes.

    Raises:
        HeadcastError: the place cannot be written.
    """
    page = (VIEWER / "page.html").read_text(encoding="utf-8")
    title = str(avatar.info.get("name") or Path(path).stem)
    parts = {
        "TITLE": html.escape(title),
        "LICENSES": html.escape((VIEWER / "LICENSES.txt").read_text("utf-8")),
        "PROGRAM": to_base64((VIEWER / "viewer.js.gz").read_bytes()),
        "AVATAR": to_base64(pack_avatar(avatar, title)),
    }
    page = re.sub(f"%({'|'.join(parts)})%", lambda match: parts[match[1]], page)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def pack_avatar(avatar: Avatar, title: str) -> bytes:
    """Pack the avatar as gzipped safetensors: arrays, images as bytes, and JSON in the metadata."""
    from safetensors.numpy import save

    tensors = viewer_arrays(avatar)
    mesh = mesh_of(avatar)
    textures = {"head": mesh.texture, **{f"shell.{s.name}": s.texture for s in mesh.shells}}
    if mesh.lids is not None:
        textures |= {f"lid.{side}": p.texture for side, p in enumerate(mesh.lids.patches)}
    for name, image in textures.items():
        tensors[f"picture.{name}"] = np.frombuffer(encode_jpeg(image[..., :3]), np.uint8)
        if image.shape[2] == 4 and not bool((image[..., 3] == 255).all()):
            tensors[f"picture.{name}.alpha"] = np.frombuffer(encode_channel(image[..., 3]), np.uint8)
    data = save(tensors, {"viewer": json.dumps({**viewer_facts(avatar), "title": title}, ensure_ascii=False)})
    return gzip.compress(data, 9, mtime=0)


def encode_jpeg(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """Encode as JPEG without chroma subsampling."""
    from PIL import Image

    out = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return out.getvalue()


def encode_channel(image: UInt8[np.ndarray, "h w"]) -> bytes:
    """Encode one channel losslessly as PNG."""
    from PIL import Image

    out = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(out, "PNG", optimize=True)
    return out.getvalue()


def to_base64(data: bytes) -> str:
    """Encode bytes as base64 text."""
    return base64.b64encode(data).decode("ascii")
