"""A reader of GLB files that knows the standard and nothing of the writer: morphs, skins, textures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pygltflib import GLTF2

from headcast.avatar.shell import pack_textures
from headcast.avatar.surface import over
from headcast.camera import Camera
from headcast.render.geometry import vertex_normals
from headcast.render.shaded import render_textured
from headcast.render.types import Rendering

DTYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Scene:
    """A GLB file."""

    def __init__(self, path: Path) -> None:
        self.gltf = GLTF2().load(str(path))
        self.blob = self.gltf.binary_blob()

    def view(self, index: int) -> bytes:
        v = self.gltf.bufferViews[index]
        return self.blob[v.byteOffset or 0 : (v.byteOffset or 0) + v.byteLength]

    def array(self, index: int) -> np.ndarray:
        """An accessor's values (n, c), sparse or not."""
        a = self.gltf.accessors[index]
        width = WIDTH[a.type]
        out = np.zeros((a.count, width), DTYPES[a.componentType])
        if a.bufferView is not None:
            out[:] = np.frombuffer(self.view(a.bufferView), out.dtype, a.count * width).reshape(out.shape)
        if a.sparse is not None:
            s = a.sparse
            rows = np.frombuffer(self.view(s.indices.bufferView), DTYPES[s.indices.componentType], s.count)
            out[rows] = np.frombuffer(self.view(s.values.bufferView), out.dtype).reshape(s.count, width)
        return out

    def mesh(self, name: str) -> object:
        return next(m for m in self.gltf.meshes if m.name == name)

    def joint_matrices(self, turns: dict[str, np.ndarray]) -> np.ndarray:
        """What each joint does to points at rest; ``turns``: 3x3 rotations by joint name."""
        (skin,) = self.gltf.skins
        inverse = self.array(skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1).astype(np.float64)
        world: dict[int, np.ndarray] = {}

        def visit(index: int, parent: np.ndarray) -> None:
            node = self.gltf.nodes[index]
            local = np.eye(4)
            local[:3, 3] = node.translation or [0, 0, 0]
            local[:3, :3] = turns.get(node.name, np.eye(3))
            world[index] = parent @ local
            for child in node.children or []:
                visit(child, world[index])

        visit(skin.joints[0], np.eye(4))
        return np.stack([world[j] @ b for j, b in zip(skin.joints, inverse, strict=True)])

    def posed(self, primitive: object, weights: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Vertices (n, 3) after morphs (52 weights) and skin."""
        v = self.array(primitive.attributes.POSITION).astype(np.float64)
        for w, target in zip(weights, primitive.targets or [], strict=False):
            if w:
                v = v + w * self.array(target["POSITION"])
        index, share = self.array(primitive.attributes.JOINTS_0), self.array(primitive.attributes.WEIGHTS_0)
        M = (joints[index] * share[..., None, None]).sum(1)
        return (M[:, :3, :3] @ v[..., None])[..., 0] + M[:, :3, 3]

    def render(
        self,
        camera: Camera,
        light: torch.Tensor | None,
        weights: np.ndarray | None = None,
        turns: dict[str, np.ndarray] | None = None,
    ) -> torch.Tensor:
        """A picture (H, W, 4); ``light`` falls on materials that are not unlit."""
        weights = np.zeros(52) if weights is None else weights
        joints = self.joint_matrices(turns or {})
        every = [p for m in self.gltf.meshes for p in m.primitives]
        solid = [p for p in every if self.gltf.materials[p.material].alphaMode == "OPAQUE"]
        moved = bool(weights.any()) or bool(turns)
        out = self.drawn(every, camera, light, weights, joints, moved)
        if len(solid) < len(every):
            out = over(out, self.drawn(solid, camera, light, weights, joints, moved))
        return torch.cat([out.rgb, out.alpha[..., None]], -1)

    def picture(self, material: object) -> np.ndarray:
        """A material's base colour (H, W, 4)."""
        texture = self.gltf.textures[material.pbrMetallicRoughness.baseColorTexture.index]
        image = self.gltf.images[texture.source]
        pixels = np.array(Image.open(io.BytesIO(self.view(image.bufferView))).convert("RGBA"))
        if material.alphaMode == "OPAQUE":
            pixels[..., 3] = 255
        return pixels

    def drawn(
        self,
        primitives: list,
        camera: Camera,
        light: torch.Tensor | None,
        weights: np.ndarray,
        joints: np.ndarray,
        moved: bool,
    ) -> Rendering:
        """Some primitives as one mesh; normals are the file's at rest, else new ones."""
        materials = [self.gltf.materials[p.material] for p in primitives]
        textures = [m.pbrMetallicRoughness.baseColorTexture.index for m in materials]
        numbers = sorted(set(textures))
        whole, places = pack_textures([self.picture(materials[textures.index(n)]) for n in numbers])
        v = [torch.from_numpy(self.posed(p, weights, joints)).float() for p in primitives]
        starts = np.cumsum([0, *(len(x) for x in v)])
        indices = [self.array(p.indices).reshape(-1, 3).astype(np.int64) for p in primitives]
        faces = torch.from_numpy(np.concatenate([i + s for i, s in zip(indices, starts, strict=False)]))
        uv = [torch.from_numpy(self.array(p.attributes.TEXCOORD_0)) for p in primitives]
        place = [places[numbers.index(t)] for t in textures]
        joined = torch.cat([x * p[:2] + p[2:] for x, p in zip(uv, place, strict=True)])
        normals = torch.from_numpy(np.concatenate([self.array(p.attributes.NORMAL) for p in primitives]))
        if moved:
            normals = vertex_normals(torch.cat(v), faces)
        (unlit,) = {"KHR_materials_unlit" in (m.extensions or {}) for m in materials}
        return render_textured(
            torch.cat(v),
            faces,
            normals,
            joined,
            faces,
            torch.from_numpy(whole).float() / 255,
            camera,
            light=None if unlit else light,
        )
