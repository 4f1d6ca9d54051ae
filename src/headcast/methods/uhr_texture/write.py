"""Maps as files: 16-bit PNG, and a GLB that wears them (notes on formats: docs/texture.md)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from headcast.avatar.export.glb import add_maps, build_gltf, sidecar
from headcast.avatar.mesh import MeshAvatar
from headcast.errors import HeadcastError
from headcast.files import atomic_path
from headcast.head.maps import SkinMaps
from headcast.image import save_png
from headcast.marks import png_metadata
from headcast.methods.uhr_texture.infer import Result
from headcast.methods.uhr_texture.ktx2 import MAGIC, encode_ktx2
from headcast.methods.uhr_texture.network import resize_maps

if TYPE_CHECKING:
    from pygltflib import GLTF2

__all__ = ["ImageFormat", "recode_images", "size_word", "wear_maps", "write_maps", "write_textured_glb"]

ImageFormat = Literal["png", "jpeg", "webp", "ktx2"]
MIME = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "ktx2": "image/ktx2"}
EXTENSIONS = {"webp": "EXT_texture_webp", "ktx2": "KHR_texture_basisu"}
"""The glTF extension that each image format needs."""
QUALITY = 92
TOP = 65535


def to_uint16(x: Float[Tensor, "c h w"]) -> Shaped[np.ndarray, "h w *c"]:
    """Convert 0..1 to 16-bit numbers, channels last; one channel becomes grey."""
    y = (x.clamp(0, 1) * TOP).round().to(torch.int32).permute(1, 2, 0).cpu().numpy().astype(np.uint16)
    return y[..., 0] if y.shape[-1] == 1 else y


def map_bytes(x: Float[Tensor, "c h w"]) -> UInt8[np.ndarray, "h w c"]:
    """Convert 0..1 to bytes, channels last."""
    return (x.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def size_word(size: int) -> str:
    """Name a size in texels: ``4k`` for 4096."""
    return f"{size // 1024}k" if size % 1024 == 0 else str(size)


def write_maps(result: Result, folder: Path, name: str, info: dict[str, Any]) -> tuple[Path, ...]:
    """Write image-space and UV maps as PNG: 16 bits, albedo sRGB, all others linear; return the files.

    ``seen`` and the photo's square that the image-space maps lie over have 8 bits.

    Raises:
        HeadcastError: the folder cannot be written.
    """
    text = png_metadata(info)
    word = size_word(result.texture.shape[-1])
    image, t = result.image, result.texture
    files = {
        f"{name}_image_albedo.png": image[:3],
        f"{name}_image_micronormal.png": image[3:6],
        f"{name}_image_specular.png": image[6:],
        f"{name}_image_uv.png": uv_image(result.prior[:2]),
        f"{name}_image_normal.png": result.prior[2:],
        f"{name}_basecolor_{word}.png": t[:3],
        f"{name}_micronormal_{word}.png": t[3:6],
        f"{name}_normal_{word}.png": t[3:6],
        f"{name}_specular_{word}.png": t[6:],
    }
    for file, maps in files.items():
        save_png(folder / file, to_uint16(maps), text)
    plain = {
        f"{name}_seen_{word}.png": map_bytes(result.visibility[None])[..., 0],
        f"{name}_image_photo.png": map_bytes(result.crop),
    }
    for file, pixels in plain.items():
        save_png(folder / file, pixels, text)
    return tuple(folder / f for f in (*files, *plain))


def uv_image(uv: Float[Tensor, "2 h w"]) -> Float[Tensor, "3 h w"]:
    """Show two channels as red and green."""
    return torch.cat([uv, torch.zeros_like(uv[:1])])


def wear_maps(avatar: MeshAvatar, result: Result) -> MeshAvatar:
    """Return the avatar with the skin's albedo for a texture, and the other maps, at the maps' size."""
    from dataclasses import replace

    t = result.texture
    made = avatar.provenance
    made = replace(made, extra={**made.extra, "texture_size": t.shape[-1]})
    bound = replace(avatar.bound, provenance=made)
    return replace(avatar, bound=bound, texture=map_bytes(t[:3]), skin_maps=skin_maps(t))


def skin_maps(texture: Float[Tensor, "7 h w"]) -> SkinMaps:
    """Return what is not colour, with the 8 bits of files."""
    return SkinMaps.from_bytes(map_bytes(texture[3:6]), map_bytes(texture[6:])[..., 0])


def encode_image(image: UInt8[np.ndarray, "h w *c"], kind: ImageFormat, linear: bool = False) -> bytes:
    """Encode an image file; what has coverage is stored without loss (JPEG has none: PNG).

    Args:
        linear: numbers instead of sRGB colours (KTX2 says which).
    """
    from PIL import Image

    out = io.BytesIO()
    plain = image.shape[-1] == 3
    if kind == "ktx2" and not any(x % 4 for x in image.shape[:2]):
        return encode_ktx2(image, linear)
    if kind == "jpeg" and plain:
        Image.fromarray(image).save(out, "JPEG", quality=QUALITY, subsampling=0)
    elif kind == "webp":
        Image.fromarray(image).save(out, "WEBP", quality=QUALITY, lossless=not plain, method=2)
    else:
        Image.fromarray(image).save(out, "PNG", compress_level=6)
    return out.getvalue()


def detect_image_format(data: bytes) -> ImageFormat:
    """Detect the format of an encoded image."""
    if data.startswith(MAGIC):
        return "ktx2"
    return "png" if data[:4] == b"\x89PNG" else "webp" if data[8:12] == b"WEBP" else "jpeg"


def write_textured_glb(
    avatar: MeshAvatar,
    result: Result,
    path: Path,
    texture_size: int | None = None,
    kind: ImageFormat = "png",
) -> tuple[Path, ...]:
    """Write a GLB whose skin wears all maps, and its ``.arkit.json``.

    Albedo is the base colour (sRGB), the micronormal the normal map (OpenGL, +Y up), specular the alpha of
    KHR_materials_specular's texture with factor 1: F0 = 0.04 · alpha. Maps are stored at ``texture_size``.
    """
    import json

    size = min(texture_size or result.texture.shape[-1], result.texture.shape[-1])
    gltf = build_gltf(wear_maps(avatar, result), "lit", size)
    recode_images(gltf, kind)
    beside = path.with_suffix(".arkit.json")
    with atomic_path(path) as temporary, atomic_path(beside) as aside:
        temporary.write_bytes(b"".join(gltf.save_to_bytes()))
        aside.write_text(json.dumps(sidecar(avatar, path.name), indent=1, ensure_ascii=False) + "\n")
    return path, beside


def recode_images(gltf: GLTF2, kind: ImageFormat) -> None:
    """Re-encode a glTF's images as ``kind``, in place.

    Raises:
        HeadcastError: an unknown kind.
    """
    if kind not in MIME:
        raise HeadcastError(f"--format {kind}: give png, jpeg, webp or ktx2")
    if kind == "png":
        return
    names = [str(i.name) for i in gltf.images]
    pairs = zip(images_in(gltf), names, strict=True)
    replace_images(gltf, [encode_image(p, kind, linear=n in ("normal", "specular")) for p, n in pairs], names)


def images_in(gltf: GLTF2) -> list[UInt8[np.ndarray, "h w c"]]:
    """Return the images inside of a glTF's buffer."""
    from PIL import Image

    blob = bytes(gltf.binary_blob() or b"")
    out = []
    for image in gltf.images:
        view = gltf.bufferViews[image.bufferView]
        out.append(np.array(Image.open(io.BytesIO(blob[view.byteOffset or 0 :][: view.byteLength]))))
    return out


def replace_images(gltf: GLTF2, images: list[bytes], names: list[str]) -> None:
    """Replace a glTF's images; views of old ones are overwritten, those of new ones added."""
    import pygltflib as g

    blob = bytes(gltf.binary_blob() or b"")
    views = gltf.bufferViews
    starts = [v.byteOffset or 0 for v in views]
    data = [blob[a : a + v.byteLength] for a, v in zip(starts, views, strict=True)]
    for k, image in enumerate(images):
        if k < len(gltf.images):
            data[gltf.images[k].bufferView] = image
        else:
            views.append(g.BufferView(buffer=0))
            data.append(image)
            gltf.images.append(g.Image(bufferView=len(views) - 1))
            gltf.textures.append(g.Texture(source=k, sampler=0))
        kind = detect_image_format(image)
        gltf.images[k].name, gltf.images[k].mimeType = names[k], MIME[kind]
        if kind in EXTENSIONS:
            gltf.textures[k].source = None
            gltf.textures[k].extensions = {EXTENSIONS[kind]: {"source": k}}
    for word in sorted({EXTENSIONS[k] for k in map(detect_image_format, images) if k in EXTENSIONS}):
        gltf.extensionsUsed = [*(gltf.extensionsUsed or []), word]
        gltf.extensionsRequired = [*(gltf.extensionsRequired or []), word]
    out = bytearray()
    for view, piece in zip(views, data, strict=True):
        out.extend(b"\0" * (-len(out) % 4))
        view.byteOffset, view.byteLength = len(out), len(piece)
        out.extend(piece)
    gltf.buffers = [g.Buffer(byteLength=len(out))]
    gltf.set_binary_blob(bytes(out))


def _skin_primitive(data: Any, mesh: Any) -> Any:
    """Append a mesh's arrays to a glTF's data; return the primitive that uses them."""
    import pygltflib as g

    from headcast.avatar.export.pieces import split

    piece = split("skin", mesh.faces, mesh.uv, mesh.faces_uv)
    return g.Primitive(
        attributes=g.Attributes(
            POSITION=data.array(mesh.vertices[piece.rows].numpy(), bounds=True),
            NORMAL=data.array(mesh.normals[piece.rows].numpy()),
            TEXCOORD_0=data.array(piece.uv.numpy()),
        ),
        indices=data.triangles(piece.faces.numpy(), len(piece.rows)),
        material=0,
    )


def write_plain_glb(result: Result, mesh: Any, path: Path, size: int, kind: ImageFormat) -> None:
    """Write a GLB of a foreign mesh, unposed as given before the camera, with the three maps."""
    import pygltflib as g

    from headcast.avatar.export.gltf_data import GltfData
    from headcast.marks import GENERATOR

    data = GltfData()
    primitive = _skin_primitive(data, mesh)
    maps = resize_maps(result.texture[None], size, size)[0]
    view = data.view(encode_image(map_bytes(maps[:3]), "png"))
    base = g.PbrMetallicRoughness(
        baseColorTexture=g.TextureInfo(index=0), metallicFactor=0.0, roughnessFactor=0.5
    )
    gltf = g.GLTF2(
        scene=0,
        scenes=[g.Scene(nodes=[0])],
        nodes=[g.Node(mesh=0)],
        meshes=[g.Mesh(primitives=[primitive])],
        materials=[g.Material(name="skin", doubleSided=True, pbrMetallicRoughness=base)],
        images=[g.Image(name="basecolor", mimeType="image/png", bufferView=view)],
        samplers=[g.Sampler(magFilter=9729, minFilter=9987)],
        textures=[g.Texture(source=0, sampler=0)],
        extensionsUsed=["KHR_materials_specular"],
    )
    add_maps(gltf, data, skin_maps(maps), None)
    gltf.accessors, gltf.bufferViews = data.accessors, data.views
    gltf.buffers = [g.Buffer(byteLength=len(data.blob))]
    gltf.asset = g.Asset(version="2.0", generator=GENERATOR)
    gltf.set_binary_blob(bytes(data.blob))
    recode_images(gltf, kind)
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"".join(gltf.save_to_bytes()))
