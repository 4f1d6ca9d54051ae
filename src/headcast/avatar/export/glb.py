"""GLB (glTF 2.0): a skinned head with 52 named shapes, its hair and body, and textures; one file.

Frame: the head at rest, upright, in the head frame: metres, +Y up, +Z out of the face, as in glTF.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from headcast.avatar.base import Avatar
from headcast.avatar.export.base import mesh_of
from headcast.avatar.export.gltf_data import GltfData
from headcast.avatar.export.linear import linear_shapes
from headcast.avatar.export.look import (
    MOUTH_OPEN,
    check_shading,
    check_texture_size,
    limit_texture_size,
    textures,
)
from headcast.avatar.export.pieces import Piece, head_pieces, split
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.png import encode_texture
from headcast.files import atomic_path
from headcast.head.maps import SkinMaps
from headcast.head.model import JOINTS, PARENTS
from headcast.head.names import EXPRESSIONS
from headcast.head.params import GAZE_LIMITS
from headcast.marks import GENERATOR, facts, licences
from headcast.render.geometry import vertex_normals

if TYPE_CHECKING:
    from pygltflib import GLTF2, Material

__all__ = ["add_maps", "build_gltf", "sidecar", "write_glb"]

SURFACES = {
    "skin": (0.5, 0.7),
    "eyes": (0.12, 1.0),
    "teeth": (0.25, 0.9),
    "tongue": (0.4, 0.8),
    "mouth": (0.45, 0.5),
    "hair": (0.6, 0.4),
    "body": (0.9, 0.4),
}
"""Roughness, and specular strength as a fraction of glTF's 4 %, by material."""
CUTOFF = 0.5
CLAMP, LINEAR, MIPMAPS = 33071, 9729, 9987


def write_glb(
    avatar: Avatar, path: Path, *, shading: str = "lit", texture_size: int | None = None
) -> tuple[Path, ...]:
    """Write the GLB, and next to it ``<name>.arkit.json`` with names and meaning of the blendshapes.

    Args:
        shading: ``lit``: albedo under a physically based material; ``baked``: the photo's light in the
            colours, rendered unlit (KHR_materials_unlit).
        texture_size: longest side of the textures, pixels; None: unchanged.
    """
    check_shading(shading)
    check_texture_size(texture_size)
    mesh = mesh_of(avatar)
    gltf = build_gltf(mesh, shading, texture_size)
    sidecar_path = path.with_suffix(".arkit.json")
    with atomic_path(path) as temporary, atomic_path(sidecar_path) as sidecar_temporary:
        temporary.write_bytes(b"".join(gltf.save_to_bytes()))
        sidecar_temporary.write_text(
            json.dumps(sidecar(mesh, path.name), indent=1, ensure_ascii=False) + "\n"
        )
    return path, sidecar_path


def build_gltf(avatar: MeshAvatar, shading: str, texture_size: int | None) -> GLTF2:
    """Build the complete glTF document with its binary buffer."""
    import pygltflib as g

    data = GltfData()
    gltf = g.GLTF2(scene=0)
    gltf.asset = g.Asset(
        version="2.0",
        generator=GENERATOR,
        extras=facts(avatar.info),
        copyright="; ".join(f"{k}: {v}" for k, v in licences(avatar.info).items()) or None,
    )
    add_textures(gltf, data, textures(avatar, shading, texture_size))
    add_joints(gltf, data, avatar.head.joints(avatar.identity).double().numpy())
    add_head_mesh(gltf, data, avatar, shading)
    for i, shell in enumerate(avatar.shells):
        piece = split(shell.name, shell.faces, shell.uv, shell.faces_uv)
        normals = vertex_normals(shell.rest, shell.faces)
        primitive = surface(data, piece, shell.rest, normals, shell.skin_weights)
        primitive.material = len(gltf.materials)
        gltf.materials.append(material(shell.name, 1 + i, shading, masked=not shell.opaque))
        add_mesh(gltf, g.Mesh(name=shell.name, primitives=[primitive]))
    if avatar.skin_maps is not None and shading == "lit":
        add_maps(gltf, data, avatar.skin_maps, texture_size)
    gltf.scenes = [g.Scene(name="avatar", nodes=[0, *range(len(JOINTS), len(gltf.nodes))])]
    gltf.extensionsUsed = ["KHR_materials_unlit" if shading == "baked" else "KHR_materials_specular"]
    gltf.accessors, gltf.bufferViews = data.accessors, data.views
    gltf.buffers = [g.Buffer(byteLength=len(data.blob))]
    gltf.set_binary_blob(bytes(data.blob))
    return gltf


def add_textures(gltf: GLTF2, data: GltfData, images: list[np.ndarray]) -> None:
    """Add PNG textures to the file; those of base colours are sRGB by glTF's rules."""
    import pygltflib as g

    gltf.samplers = [g.Sampler(magFilter=LINEAR, minFilter=MIPMAPS, wrapS=CLAMP, wrapT=CLAMP)]
    for i, image in enumerate(images):
        view = data.view(encode_texture(image))
        gltf.images.append(g.Image(name=f"basecolor{i}", mimeType="image/png", bufferView=view))
        gltf.textures.append(g.Texture(source=i, sampler=0))


def add_maps(gltf: GLTF2, data: GltfData, maps: SkinMaps, size: int | None) -> None:
    """Add normal and specular map of the skin; linear data. F0 is .04 times the alpha of the latter."""
    import pygltflib as g

    normal_bytes, specular_bytes = maps.micronormal_bytes(), maps.specular_bytes()
    assert normal_bytes is not None and specular_bytes is not None
    specular = limit_texture_size(specular_bytes, size)[..., None]
    white = np.full((*specular.shape[:2], 3), 255, np.uint8)
    images = {
        "normal": limit_texture_size(normal_bytes, size),
        "specular": np.concatenate([white, specular], -1),
    }
    first = len(gltf.textures)
    for i, (name, image) in enumerate(images.items()):
        view = data.view(encode_texture(image))
        gltf.images.append(g.Image(name=name, mimeType="image/png", bufferView=view))
        gltf.textures.append(g.Texture(source=first + i, sampler=0))
    skin = next(m for m in gltf.materials if m.name == "skin")
    skin.normalTexture = g.NormalMaterialTexture(index=first)
    skin.extensions = {
        "KHR_materials_specular": {"specularFactor": 1.0, "specularTexture": {"index": first + 1}}
    }


def add_joints(gltf: GLTF2, data: GltfData, positions: Float[np.ndarray, "j 3"]) -> None:
    """Add the joints as the first nodes, unrotated at rest, and the skin that all meshes share."""
    import pygltflib as g

    for j, name in enumerate(JOINTS):
        offset = positions[j] - (positions[PARENTS[j]] if PARENTS[j] >= 0 else 0)
        children = [k for k, parent in enumerate(PARENTS) if parent == j]
        gltf.nodes.append(g.Node(name=name, translation=offset.tolist(), children=children))
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(JOINTS), 1, 1))
    inverse[:, 3, :3] = -positions  # by columns
    gltf.skins = [
        g.Skin(
            name="head", joints=list(range(len(JOINTS))), skeleton=0, inverseBindMatrices=data.array(inverse)
        )
    ]


def add_head_mesh(gltf: GLTF2, data: GltfData, avatar: MeshAvatar, shading: str) -> None:
    """Add the head as one mesh: skin, eyes, teeth, tongue and mouth are primitives with all 52 shapes."""
    import pygltflib as g

    head = avatar.head
    neutral, deltas = linear_shapes(head, avatar.identity)
    normals = head.vertex_normals(neutral)
    primitives = []
    for piece in head_pieces(head):
        primitive = surface(data, piece, neutral, normals, head.skin_weights)
        shape_deltas = deltas[:, piece.rows].numpy()
        primitive.targets = [{"POSITION": data.sparse(delta)} for delta in shape_deltas]
        primitive.material = len(gltf.materials)
        gltf.materials.append(material(piece.name, 0, shading))
        primitives.append(primitive)
    names = {"targetNames": list(EXPRESSIONS)}
    add_mesh(gltf, g.Mesh(name="head", primitives=primitives, weights=[0.0] * len(EXPRESSIONS), extras=names))


def add_mesh(gltf: GLTF2, mesh: Any) -> None:
    """Add a mesh on a node of its own, skinned to the joints."""
    import pygltflib as g

    gltf.nodes.append(g.Node(name=f"{mesh.name} mesh", mesh=len(gltf.meshes), skin=0))
    gltf.meshes.append(mesh)


def surface(
    data: GltfData,
    piece: Piece,
    rest: Float[Tensor, "v 3"],
    normals: Float[Tensor, "v 3"],
    skin_weights: Float[Tensor, "v j"],
) -> Any:
    """Make a primitive with positions, normals, uv and joints."""
    import pygltflib as g

    joints, weights = strongest_joints(skin_weights[piece.rows].numpy())
    return g.Primitive(
        attributes=g.Attributes(
            POSITION=data.array(rest[piece.rows].numpy(), bounds=True),
            NORMAL=data.array(normals[piece.rows].numpy()),
            TEXCOORD_0=data.array(piece.uv.numpy()),
            JOINTS_0=data.array(joints),
            WEIGHTS_0=data.array(weights),
        ),
        indices=data.triangles(piece.faces.numpy(), len(piece.rows)),
    )


def strongest_joints(weights: Float[np.ndarray, "n j"]) -> tuple[np.ndarray, np.ndarray]:
    """Return the four strongest joints of each vertex (n, 4) and their weights, which sum to 1."""
    order = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    strengths = np.take_along_axis(weights, order, 1).clip(min=0).astype(np.float64)
    strengths /= strengths.sum(1, keepdims=True)
    strengths = strengths.astype(np.float32)
    return np.where(strengths > 0, order, 0).astype(np.uint8), strengths


def material(name: str, texture: int, shading: str, *, masked: bool = False) -> Material:
    """Make the material of a piece; double-sided, as in our own renderer."""
    import pygltflib as g

    roughness, specular = SURFACES.get(name, (0.8, 0.4))
    extension = (
        {"KHR_materials_unlit": {}}
        if shading == "baked"
        else {"KHR_materials_specular": {"specularFactor": specular}}
    )
    return g.Material(
        name=name,
        doubleSided=True,
        alphaMode="MASK" if masked else "OPAQUE",
        alphaCutoff=CUTOFF if masked else None,
        extensions=extension,
        pbrMetallicRoughness=g.PbrMetallicRoughness(
            baseColorTexture=g.TextureInfo(index=texture), metallicFactor=0.0, roughnessFactor=roughness
        ),
    )


def sidecar(avatar: MeshAvatar, name: str) -> dict[str, Any]:
    """Describe blendshapes and joints, for programs that drop ``extras``."""
    return {
        "file": name,
        **facts(avatar.info),
        "units": "metres",
        "up": "+Y",
        "forward": "+Z",
        "side": "+X is the subject's left",
        "targets": list(EXPRESSIONS),
        "joints": {j: (JOINTS[p] if p >= 0 else None) for j, p in zip(JOINTS, PARENTS, strict=True)},
        "gaze": {
            "eyeLook at weight 1, radians": GAZE_LIMITS,
            "note": "eyeLook shapes turn the eyeballs; use them or the eye joints, not both",
        },
        "neck": "a head rotation is split equally between the joints neck and head",
        "rules": [
            "mouthClose only as far as jawOpen",
            "tongueOut opens the jaw by itself",
            "while eyeBlink closes a lid, fade out the eye's other shapes",
        ],
        "mouth": f"the mouth interior is shaded as at jawOpen {MOUTH_OPEN}",
        "light": avatar.source.light.tolist(),
    }
