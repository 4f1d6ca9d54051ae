"""One moment of a person from several cameras: folders of ``headcast synth`` and of GaussianAvatars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.image import check_dimensions, load_image
from headcast.parsing import load_json, parsing
from headcast.synth.config import LABELS

__all__ = ["Scene", "Shot", "read_scene", "scene_folders"]

HAIR = ("hair",)
MAX_NAME = 512  # characters of an image's path
MARKERS = ("f*_v*.json", "transforms*.json")


@dataclass(frozen=True)
class Shot:
    """One camera's image of a scene.

    Attributes:
        path: of the image, for methods that read files. alpha: coverage by the person.
        regions: masks known beside the alpha's.
    """

    name: str
    path: Path
    rgb: UInt8[np.ndarray, "h w 3"]
    alpha: Float[np.ndarray, "h w"]
    camera: Camera
    regions: dict[str, Bool[np.ndarray, "h w"]]


@dataclass(frozen=True)
class Scene:
    """All shots of a moment; ``points``: (68, 3) landmarks in the cameras' world, metres; None: unknown."""

    name: str
    shots: tuple[Shot, ...]
    points: Float[np.ndarray, "68 3"] | None


def scene_folders(data: Path) -> list[Path]:
    """List folders of people in ``data``.

    Raises:
        HeadcastError: there is none of either kind.
    """
    from headcast.evaluate.data import people_in

    for marker in MARKERS:
        try:
            return people_in(data, marker)
        except HeadcastError:
            continue
    raise HeadcastError(
        f"{data}: neither folders of headcast synth (--views 2 or more) nor GaussianAvatars folders"
    )


def read_scene(folder: Path) -> Scene:
    """Read the first moment of a folder.

    Raises:
        HeadcastError: a missing or damaged file, or fewer than two cameras.
    """
    with parsing(folder, "its camera files are damaged", "make the folder again"):
        scene = _synth(folder) if next(folder.glob(MARKERS[0]), None) else _gaussian_avatars(folder)
    if len(scene.shots) < 2:
        raise HeadcastError(f"{folder}: {len(scene.shots)} camera; two are needed (headcast synth --views 4)")
    return scene


def _synth(folder: Path) -> Scene:
    files = sorted(folder.glob(MARKERS[0]))
    moment = files[0].name.split("_")[0]
    shots, points = [], None
    for path in (p for p in files if p.name.startswith(moment + "_")):
        facts = load_json(path, "make the folder again")
        stem = path.with_suffix("")
        alpha = _grey(Path(f"{stem}_alpha.png")) / np.float32(255)
        label = _grey(Path(f"{stem}_label.png"))
        hair = np.isin(label, [LABELS.index(n) for n in HAIR])
        rgb_path = Path(f"{stem}_rgb.png")
        c = facts["camera"]
        camera = Camera(
            torch.tensor(c["K"]), torch.tensor(c["cam_from_world"]), int(c["width"]), int(c["height"])
        )
        regions = {"foreground": alpha > 0.5, "hair": hair & (alpha > 0.5)}
        name = path.stem.split("_")[1]
        shots.append(
            Shot(
                name=name,
                path=rgb_path,
                rgb=load_image(rgb_path).rgb,
                alpha=alpha,
                camera=camera,
                regions=regions,
            )
        )
        points = np.array(facts["landmarks68_world"], np.float64)
    return Scene(folder.name, tuple(shots), points)


def _grey(path: Path) -> UInt8[np.ndarray, "h w"]:
    """Read a one-channel 8-bit PNG."""
    from PIL import Image

    check_dimensions(path, "PNG")
    with (
        parsing(path, "not a readable PNG", "make the folder again"),
        Image.open(path, formats=("PNG",)) as im,
    ):
        return np.array(im if im.mode == "L" else im.convert("L"))


def _gaussian_avatars(folder: Path) -> Scene:
    """Read the first timestep; ``transform_matrix``: camera to world, OpenGL axes; mask ``fg_mask_path``."""
    frames: dict[Any, tuple[dict, dict]] = {}
    for name in ("transforms.json", "transforms_train.json", "transforms_val.json"):
        path = folder / name
        if path.is_file():
            top = load_json(path, "export the folder again")
            for f in top["frames"]:
                frames.setdefault(
                    (f.get("timestep_index", 0), f.get("camera_index", f["file_path"])), (top, f)
                )
    first = min(t for t, _ in frames)
    shots = [_shot(folder, top, f) for (t, _), (top, f) in frames.items() if t == first]
    return Scene(folder.name, tuple(shots), None)


def image_name(name: Any) -> str:
    """Return the path of an image that a file names; raise ValueError if it is none."""
    if not isinstance(name, str) or "\0" in name or len(name) > MAX_NAME:
        raise ValueError("an image of an impossible name")
    return name


def _shot(folder: Path, top: dict[str, Any], f: dict[str, Any]) -> Shot:
    path = folder / image_name(f["file_path"])
    image = load_image(path)
    height, width = image.rgb.shape[:2]
    facts = {**top, **f}
    scale = width / float(facts["w"])
    K = (
        torch.tensor(
            [
                [facts["fl_x"], 0.0, facts["cx"]],
                [0.0, facts["fl_y"], facts["cy"]],
                [0.0, 0.0, 1.0 / scale],
            ]
        )
        * scale
    )
    world_from_gl = torch.tensor(f["transform_matrix"], dtype=torch.float64)
    world_from_cam = world_from_gl @ torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
    camera = Camera(K, torch.linalg.inv(world_from_cam).float(), width, height)
    if f.get("fg_mask_path"):
        alpha = _grey(folder / image_name(f["fg_mask_path"])) / np.float32(255)
    elif image.alpha is not None:
        alpha = image.alpha / np.float32(255)
    else:
        raise HeadcastError(f"{path}: neither a mask (fg_mask_path) nor transparency")
    name = f"camera {f.get('camera_index', Path(f['file_path']).stem)}"
    return Shot(
        name=name, path=path, rgb=image.rgb, alpha=alpha, camera=camera, regions={"foreground": alpha > 0.5}
    )
