"""The loaders that ``fuzz_loaders`` feeds, each with small valid inputs."""

from __future__ import annotations

import io
import json
import os
import pickle
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from fuzz_loaders import Folder, Target
from headcast.head.check import DIMENSIONS

__all__ = ["TARGETS"]

torch.set_num_threads(1)


def gradient(side: int = 72) -> np.ndarray:
    """A small colour image."""
    y, x = np.mgrid[0:side, 0:side]
    return np.dstack([x * 3, y * 3, x + y]).astype(np.uint8)


def encode(image: Image.Image, form: str, **options: Any) -> bytes:
    """Encode an image by Pillow."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


@cache
def images() -> list[Folder]:
    """Images of all kinds that are read."""
    im = Image.fromarray(gradient())
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0xA405] = 35
    grey = im.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 200)
    made = [
        encode(im, "JPEG", exif=exif),
        encode(im, "JPEG", progressive=True),
        encode(im, "PNG", exif=exif),
        encode(im.quantize(16), "PNG", transparency=3),
        encode(im, "PNG", save_all=True, append_images=[im.rotate(9)], duration=50),
        encode(im, "TIFF", exif=exif),
        encode(im, "TIFF", compression="tiff_adobe_deflate"),
        encode(im.convert("CMYK"), "TIFF", compression="tiff_lzw"),
        encode(grey.convert("F"), "TIFF"),
        encode(grey.convert("I"), "TIFF"),
        encode(deep, "TIFF"),
        encode(deep, "PNG"),
        *(encode(im, form) for form in ("WEBP", "BMP", "GIF", "PPM")),
    ]
    return [{"input.png": data} for data in made]


def read_image(path: Path) -> None:
    """Read an image as a photo."""
    from headcast.image import load_image

    got = load_image(path)
    assert got.rgb.dtype == np.uint8 and got.rgb.shape[2] == 3


def maps() -> list[Folder]:
    """Skin maps of 8 and 16 bits."""
    deep = Image.fromarray(gradient()[..., 0].astype(np.uint16) * 200)
    return [{"input.png": encode(i, "PNG")} for i in (Image.fromarray(gradient()), deep)]


def read_skin_map(path: Path) -> None:
    """Read a skin map."""
    from headcast.evaluate.texture import read_map

    read_map(path)


@cache
def avatars(kind: str) -> list[Folder]:
    """A mesh avatar with a shell and lids, or Gaussians on it."""
    from headcast.avatar.gaussian import GaussianAvatar
    from headcast.avatar.mesh import MeshAvatar
    from headcast.avatar.package import Package, read_package, write_package
    from headcast.avatar.source import SourceView
    from headcast.camera import Camera
    from headcast.head.model import HeadModel
    from headcast.head.params import HeadParams
    from headcast.head.skin import uv_key

    assert MeshAvatar.kind and GaussianAvatar.kind
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, 0.0, -1.0]))
    tensors = {
        **SourceView(Camera.make(500.0, 64, 64), params, torch.ones(9, 3)).tensors(),
        "rest": head.shape(params.identity),
        "lids.corner": torch.tensor([[2, 2], [12, 2]]).int(),
        "shell.hair.rest": torch.rand(4, 3),
        "shell.hair.faces": torch.tensor([[0, 1, 2], [1, 2, 3]]),
        "shell.hair.uv": torch.rand(4, 2),
        "shell.hair.faces_uv": torch.tensor([[0, 1, 2], [1, 2, 3]]),
        "shell.hair.skin_weights": torch.eye(6)[:4],
    }
    if kind == "gaussians":
        n = 5
        tensors["gaussian.triangle"] = torch.arange(n).int()
        tensors["gaussian.opacity"] = torch.rand(n)
        tensors |= {f"gaussian.{k}": torch.rand(n, 3) for k in ("position", "log_scale", "albedo")}
        tensors["gaussian.quaternion"] = torch.rand(n, 4) + 0.1
    textures = {
        "albedo": gradient(32),
        "lid-left": gradient(8),
        "lid-right": gradient(8),
        "shell-hair": np.dstack([gradient(8), gradient(8)[..., :1]]),
        "micronormal": gradient(8),
        "specular": gradient(8)[..., 0],
    }
    made = {"name": head.name, "hash": head.hash, "topology": uv_key(head)}
    meta = {"kind": kind, "method": "fit", "head": made, "consent": "yes", "weights": [{"name": "a"}]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.avatar"
        write_package(path, Package(meta, tensors, textures, gradient(16)))
        assert read_package(path).meta["kind"] == kind
        return [{"input.avatar": path.read_bytes()}]


def read_avatar(path: Path) -> None:
    """Open an avatar and show what it says."""
    from headcast.avatar.base import load_avatar

    json.dumps(load_avatar(path).info, ensure_ascii=False).encode()


def content() -> dict[str, Any]:
    """Tensors and facts as checkpoints hold them."""
    tensors = {"a.weight": torch.rand(3, 4), "a.bias": torch.rand(3), "n": torch.tensor(3)}
    return {"state_dict": OrderedDict(tensors), "epoch": 3, "betas": (0.9, 0.99), "names": ["x", None]}


@cache
def pickles() -> list[Folder]:
    """Plain pickles of all protocols."""
    value = {"a": np.eye(3), "b": [1, 2.5, "x", b"y"], "s": {1, 2}, "n": np.float32(3), "l": 1 << 70}
    return [{"input.pkl": pickle.dumps(value, protocol)} for protocol in range(6)]


@cache
def checkpoints(zipped: bool) -> list[Folder]:
    """Torch checkpoints of the newer or the older form."""
    out = io.BytesIO()
    torch.save(content(), out, _use_new_zipfile_serialization=zipped)
    return [{"input.pth": out.getvalue()}]


def read_restricted(path: Path) -> None:
    """Open a pickle or checkpoint, and what may be a network in it."""
    from headcast.pickles import load_restricted, state_dict_of

    state_dict_of(load_restricted(path, keep_unknown=True))
    load_restricted(path)


def read_by_doctor(path: Path) -> None:
    """Let the doctor look at a file."""
    from headcast.doctor.modelfiles import identify

    found = identify(path)
    assert "cannot be examined" not in found.problem, found.problem


def read_foreign_weights(path: Path) -> None:
    """Read weights for the evaluator."""
    from headcast.metrics.weightfile import read_weights

    read_weights(path)


def npz(**arrays: np.ndarray) -> bytes:
    """Write arrays as an npz file, packed."""
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


@cache
def flame_files() -> list[Folder]:
    """Zeros of FLAME's shapes, small numbers."""
    from headcast.head.flame import SHAPES, TRIANGLES, VERTICES

    shapes = {
        "v_template": (VERTICES, 3),
        "f": (TRIANGLES, 3),
        "shapedirs": (VERTICES, 3, SHAPES + 100),
        "posedirs": (VERTICES, 3, 36),
        "J_regressor": (5, VERTICES),
        "weights": (VERTICES, 5),
        "kintree_table": (2, 5),
    }
    arrays = {k: np.zeros(s, np.int8) for k, s in shapes.items()}
    return [{"input.npz": npz(**arrays)}]


def read_flame_head(path: Path) -> None:
    """Read FLAME's arrays."""
    from headcast.head.flame import read_flame

    read_flame(path)


@cache
def ict_files() -> list[Folder]:
    """Random small numbers of ICT-FaceKit's shapes."""
    from headcast.head.ict import POLYGONS, VERTICES, shape_keys
    from headcast.head.names import EXPRESSIONS

    rng = np.random.default_rng(0)
    names = sorted({k for n in EXPRESSIONS if n != "tongueOut" for k in shape_keys(n)})
    arrays = {
        "neutral": rng.integers(-9, 9, (VERTICES, 3), np.int8),
        "polys": rng.integers(0, 99, (POLYGONS, 4), np.int8),
        "identity_basis": np.zeros((2, VERTICES, 3), np.int8),
        "expression_basis": np.zeros((len(names), VERTICES, 3), np.int8),
        "expression_names": np.array(names),
    }
    return [{"input.npz": npz(**arrays)}]


def read_ict_head(path: Path) -> None:
    """Read ICT-FaceKit's arrays."""
    from headcast.head.ict import read_ict

    read_ict(path)


OBJ = b"""# mesh
v 0 0 0
v 1 0 0 1 1 1
v 0 1 0.5
v 1 1 0
vt 0 0
vt 1 0
vt 0 1
f 1/1 2/2 3/3
f -1 -2 -3 -4
"""


def read_mesh(path: Path) -> None:
    """Read a user's mesh, and the vertices of a capture's."""
    from headcast.methods.uhr_texture.geometry import read_obj
    from headcast.training.captures import read_points

    read_points(path)
    read_obj(path)


CAMERA = {"K": [[90, 0, 32], [0, 90, 32], [0, 0, 1]], "cam_from_world": np.eye(4).tolist(), "size": [64, 64]}


def read_camera_file(path: Path) -> None:
    """Read a camera."""
    from headcast.methods.uhr_texture.geometry import read_camera

    read_camera(path)


@cache
def live_link() -> list[Folder]:
    """A recording of Live Link Face."""
    from headcast.head.names import EXPRESSIONS

    names = ["Timecode", "BlendshapeCount", *(n[0].upper() + n[1:] for n in EXPRESSIONS), "HeadYaw"]
    rows = [[f"10:00:00:{i:02d}.000", "61", *["0.1"] * 52, "0.05"] for i in range(12)]
    return [{"input.csv": "\n".join(",".join(r) for r in [names, *rows]).encode()}]


def read_live_link(path: Path) -> None:
    """Read a CSV recording."""
    from headcast.motion.livelink import read_livelink

    read_livelink(path)


@cache
def arkit_files() -> list[Folder]:
    """JSON recordings of the forms that are read."""
    frames = [{"time": i / 30, "blendshapes": {"jawOpen": 0.1, "eyeBlinkLeft": 0.2}} for i in range(4)]
    stream = {"names": ["jawOpen"], "fps": 30, "frames": [{"weights": [0.5], "time": 0.1}]}
    return [{"input.json": json.dumps(x).encode()} for x in (frames, stream, {"jawOpen": [0.1, 0.2]})]


def read_arkit(path: Path) -> None:
    """Read a JSON recording."""
    from headcast.motion.arkit_json import read_arkit_json

    read_arkit_json(path)


def flame_motions() -> list[Folder]:
    """A sequence of FLAME parameters."""
    arrays = {"expr": np.zeros((5, 100)), "jaw_pose": np.zeros((5, 3)), "rotation": np.zeros((5, 3))}
    return [{"input.npz": npz(**arrays)}, {"a/0.npz": npz(**arrays), "a/1.npz": npz(**arrays)}]


def read_flame_motion(path: Path) -> None:
    """Read a sequence of FLAME parameters."""
    from headcast.motion.flame_npz import read_parameters

    read_parameters(path / "a" if path.is_dir() else path)


def read_expression(path: Path) -> None:
    """Read an expression."""
    from headcast.cli.expression import read_json

    read_json(path)


def tensor_files() -> list[Folder]:
    """A file of weights with its card."""
    tensors = {"a.weight": torch.rand(3, 4), "b": torch.arange(3), "c": torch.rand(2).half()}
    card = json.dumps({"name": "a", "licence": "MIT", "figures": [1, 2.5]}).encode()
    return [{"a.safetensors": save(tensors, {"what": "x"}), "a.json": card}]


def read_imported(path: Path) -> None:
    """Read the user's weights and their cards."""
    from headcast.weights.store import imported, load_imported

    os.environ["HEADCAST_WEIGHTS"] = str(path)
    if (path / "a.safetensors").is_file():
        load_imported("a")
    imported()


def training_states() -> list[Folder]:
    """A checkpoint of a training run."""
    place, tensors = "checkpoints/00000012", {"a": torch.rand(3)}
    parts = {f"{place}/{k}.safetensors": save(tensors) for k in ("networks", "averages", "optimizers")}
    return [{**parts, f"{place}/state.json": b'{"step": 12, "loss": [1.5], "facts": {"a": 1}}'}]


def read_training_state(path: Path) -> None:
    """Read a checkpoint of a training run."""
    from headcast.training.checkpoint import load_checkpoint

    load_checkpoint(path)


@cache
def head_files() -> list[Folder]:
    """A tiny head model."""
    sizes = {"v": 5, "i": 2, "f": 3, "u": 6, "j": 6, "l": 2, "r": 2}
    shapes = {
        k: [sizes.get(d, 0) or int(d) for d in s.removeprefix("2? ").split()] for k, s in DIMENSIONS.items()
    }
    whole = ("faces", "faces_uv", "part", "region", "mirror", "lid_index", "lid_rim")
    tensors = {
        k: torch.zeros(s, dtype=torch.int32 if k in whole or k.endswith("_faces") else torch.float32)
        for k, s in shapes.items()
    }
    facts = {"name": "head", "part_names": ["skin"], "region_names": ["face"], "licence": "MIT"}
    return [{"input.safetensors": save(tensors, {"head": json.dumps(facts)})}]


def read_head(path: Path) -> None:
    """Read a head model."""
    from headcast.head.model import HeadModel

    HeadModel.load(path)


@cache
def scenes() -> list[Folder]:
    """Two cameras of one moment, as GaussianAvatars folders have them."""
    image = np.dstack([gradient(64), gradient(64)[..., :1]])
    frame = {"file_path": "images/a.png", "transform_matrix": np.eye(4).tolist(), "timestep_index": 0}
    frames = [{**frame, "camera_index": k} for k in range(2)]
    top = {"w": 64, "h": 64, "fl_x": 90.0, "fl_y": 90.0, "cx": 32.0, "cy": 32.0, "frames": frames}
    png = encode(Image.fromarray(image), "PNG")
    return [{"transforms.json": json.dumps(top).encode(), "images/a.png": png}]


def read_person(path: Path) -> None:
    """Read a person's cameras for the evaluator and for training."""
    from headcast.evaluate.scenes import read_scene
    from headcast.training.captures import CaptureFolder

    read_scene(path)
    CaptureFolder(path)[0]


def tables() -> list[Folder]:
    """Tables and splits of a data set."""
    splits = json.dumps({"evaluation": ["a", "b"], "train": ["c"]}).encode()
    groups = b"id,hair,age_group\na,long,30\nb,short,40\n"
    people = b"person,split\na,validation\nb,train\n"
    return [{"splits.json": splits, "groups.csv": groups, "people.csv": people, "portraits/x": b"x"}]


def read_tables(path: Path) -> None:
    """Read tables and splits."""
    from headcast.evaluate.data import groups_of, photos_in
    from headcast.evaluate.people import validation_people

    if (path / "splits.json").is_file():
        photos_in(path)
    groups_of(path, ["a", "b"])
    validation_people(path / "people.csv", ["a", "b"])


def training_images() -> list[Folder]:
    """Images that priors train on."""
    arrays = {
        "rgb": np.zeros((2, 8, 8, 3), np.uint8),
        "alpha": np.zeros((2, 8, 8), np.uint8),
        "background": np.zeros((2, 8, 8, 3), np.uint8),
        "label": np.zeros((2, 8, 8), np.uint8),
        "box": np.zeros((2, 4), np.float32),
        "person": np.zeros(2, np.int64),
    }
    return [{"input.npz": npz(**arrays)}]


def read_training_images(path: Path) -> None:
    """Read images that priors train on."""
    from headcast.priors.images import read_images

    read_images(path)


@cache
def videos() -> list[Folder]:
    """A short clip."""
    from headcast.video_out import write_video

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        write_video(path, [np.roll(gradient(64), t, 0) for t in range(8)], 10)
        return [{"input.mp4": path.read_bytes()}]


def read_clip(path: Path) -> None:
    """Decode a clip."""
    from headcast.video import read_video

    read_video(path, max_frames=12)


def one(name: str, *contents: bytes) -> Callable[[], list[Folder]]:
    """Return what gives inputs of a single file."""
    return lambda: [{name: c} for c in contents]


TARGETS = {
    "image": Target(images, read_image),
    "skin_map": Target(maps, read_skin_map),
    "avatar_mesh": Target(lambda: avatars("mesh"), read_avatar),
    "avatar_gaussians": Target(lambda: avatars("gaussians"), read_avatar),
    "pickle": Target(pickles, read_restricted),
    "checkpoint": Target(lambda: checkpoints(True), read_restricted),
    "checkpoint_old": Target(lambda: checkpoints(False), read_restricted),
    "doctor": Target(lambda: [*checkpoints(True), *pickles(), *ict_files()], read_by_doctor),
    "evaluator_weights": Target(lambda: checkpoints(True), read_foreign_weights),
    "flame": Target(flame_files, read_flame_head),
    "ict": Target(ict_files, read_ict_head),
    "mesh_obj": Target(one("input.obj", OBJ), read_mesh),
    "camera_json": Target(one("input.json", json.dumps(CAMERA).encode()), read_camera_file),
    "live_link_csv": Target(live_link, read_live_link),
    "arkit_json": Target(arkit_files, read_arkit),
    "flame_motion": Target(flame_motions, read_flame_motion),
    "expression_json": Target(one("input.json", b'{"jawOpen": 0.5, "mouthSmileLeft": 1}'), read_expression),
    "weights": Target(tensor_files, read_imported),
    "training_state": Target(training_states, read_training_state),
    "head_model": Target(head_files, read_head),
    "scene_json": Target(scenes, read_person),
    "tables": Target(tables, read_tables),
    "training_images": Target(training_images, read_training_images),
    "video": Target(videos, read_clip),
}
