"""Captures of a person with cameras: folders with ``transforms.json``, of GaussianAvatars or of INSTA.

GaussianAvatars' folders, those that VHAP exports from NeRSemble among them, hold OpenGL cameras, camera to
world. INSTA's hold OpenCV cameras under the same names: projecting the mesh onto the mask detects the axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.image import load_image
from headcast.parsing import load_json, parsing, read_text, short_reason
from headcast.training.folders import first_reason
from headcast.training.order import item_of

__all__ = ["Axes", "CaptureFolder", "CaptureView"]

MAX_CAMERA_BYTES = 1 << 28  # one camera for each frame
MAX_NUMBER = 1e9
MAX_PATH = 512  # characters

Axes = Literal["opengl", "opencv"]
AXES_FRAMES = 5
"""Frames with a mesh that are read to choose the axes."""
MIN_ON_MASK = 0.5
"""Fraction of the mesh's points in the image that must lie on the mask."""


@dataclass(frozen=True)
class CaptureView:
    """One image of a capture.

    Attributes:
        image: sRGB, as stored (not composited).
        mask: coverage of the person, None where the capture has none.
        camera: in the capture's world, which is the head's frame up to a rigid motion.
        time, camera_index: of the capture.
        files: other files of the frame by their key, for example ``flame_param``, ``mesh``, ``exp``.
    """

    image: UInt8[np.ndarray, "h w 3"]
    mask: UInt8[np.ndarray, "h w"] | None
    camera: Camera
    time: int
    camera_index: int
    files: dict[str, Path]


class CaptureFolder:
    """The views of a capture, in an endless order.

    Attributes:
        axes: of the cameras in the file: ``opengl`` (y up, looking along -z) or ``opencv``.
        frames: the file's entries that can be used.
        skipped: path to reason, for images that are missing or damaged.
    """

    def __init__(
        self,
        root: Path,
        split: Literal["all", "train", "val", "test"] = "all",
        seed: int = 0,
        axes: Axes | None = None,
    ) -> None:
        """Read the list of cameras; ``axes`` overrides detection by the mesh or the scene.

        Raises:
            HeadcastError: no transforms.json, damaged, without images, or its mesh fits neither axes.
        """
        self.root, self.seed = Path(root), seed
        self.skipped: dict[Path, str] = {}
        name = "transforms.json" if split == "all" else f"transforms_{split}.json"
        self.file = self.root / name
        self.top = read_json_object(self.file)
        entries = self.top.get("frames")
        if not isinstance(entries, list) or not entries:
            raise HeadcastError(f"{self.file}: lists no frames; is this a capture?")
        self.frames: list[dict[str, Any]] = []
        for frame in entries:
            check_entry(frame, self.file)
            path = self._path(str(frame.get("file_path", "")))
            if path.is_file() and read_pose(frame, self.file).shape == (4, 4):
                self.frames.append(frame)
            else:
                self.skipped[path] = f"{path}: no such image"
        if not self.frames:
            raise HeadcastError(f"{self.file}: none of its images exists{first_reason(self.skipped)}")
        self.axes: Axes = axes or self._choose_axes()

    def __len__(self) -> int:
        """Return the number of views."""
        return len(self.frames)

    def __getitem__(self, index: int) -> CaptureView:
        """Read the view at position ``index`` of the endless order."""
        first = item_of(index, len(self), self.seed)
        for k in range(len(self)):
            frame = self.frames[(first + k) % len(self)]
            try:
                return self.view(frame)
            except HeadcastError as e:
                self.skipped[self._path(frame["file_path"])] = str(e)
        raise HeadcastError(f"{self.root}: no view can be read{first_reason(self.skipped)}")

    def view(self, frame: dict[str, Any]) -> CaptureView:
        """Read the view of one entry of the file.

        Raises:
            HeadcastError: its image is missing or damaged.
        """
        image = load_image(self._path(frame["file_path"]))
        mask = image.alpha
        if mask is None and frame.get("fg_mask_path"):
            mask = load_image(self._path(frame["fg_mask_path"])).rgb[..., 0]
        files = {
            k.removesuffix("_path"): self._path(v)
            for k, v in frame.items()
            if k.endswith("_path") and k not in ("file_path", "fg_mask_path")
        }
        camera = self.camera(frame, self.axes, image.rgb.shape[1], image.rgb.shape[0])
        time = read_number(frame, "timestep_index", self.file, self.frames.index(frame))
        index = read_number(frame, "camera_index", self.file, 0)
        return CaptureView(
            image=image.rgb,
            mask=mask,
            camera=camera,
            time=int(time or 0),
            camera_index=int(index or 0),
            files=files,
        )

    def camera(self, frame: dict[str, Any], axes: Axes, width: int, height: int) -> Camera:
        """Create the camera of an entry, for an image of that size in pixels."""

        def number(key: str) -> float | None:
            return read_number(frame, key, self.file, self.top.get(key))

        w, h = number("w") or width, number("h") or height
        angle = number("camera_angle_x")
        fx = number("fl_x") or (w / (2 * math.tan(angle / 2)) if angle else None)
        if fx is None:
            raise HeadcastError(f"{self.file}: has neither fl_x nor camera_angle_x")
        cx, cy = number("cx"), number("cy")
        K = torch.tensor(
            [
                [fx, 0.0, w / 2 if cx is None else cx],
                [0.0, number("fl_y") or fx, h / 2 if cy is None else cy],
                [0, 0, 1],
            ]
        )
        K[0] *= width / w
        K[1] *= height / h
        world_from_cam = read_pose(frame, self.file)
        if axes == "opengl":
            world_from_cam[:3, 1:3] *= -1
        return Camera(K, torch.from_numpy(np.linalg.inv(world_from_cam)).float(), width, height)

    def _path(self, name: str) -> Path:
        path = self.root / name
        return path if path.suffix else path.with_suffix(".png")  # some write names without an ending

    def _choose_axes(self) -> Axes:
        """Detect the axes by the mesh on the mask; without meshes by what lies in front of the cameras."""
        fractions: dict[Axes, list[float]] = {"opengl": [], "opencv": []}
        for frame in [f for f in self.frames if f.get("mesh_path")][:AXES_FRAMES]:
            mesh = self._path(frame["mesh_path"])
            if not mesh.is_file():
                continue
            view = self.view_with(frame, "opengl")
            if view.mask is None:
                continue
            points = read_points(mesh)
            for axes, found in fractions.items():
                found.append(fraction_on_mask(points, self.view_with(frame, axes)))
        if fractions["opengl"]:
            best: Axes = max(fractions, key=lambda a: float(np.mean(fractions[a])))
            if np.mean(fractions[best]) < MIN_ON_MASK:
                measured = ", ".join(f"{a} {np.mean(s):.0%}" for a, s in fractions.items())
                raise HeadcastError(
                    f"{self.file}: its meshes lie on its masks under no axes ({measured} of points)"
                )
            return best
        poses = np.stack([read_pose(f, self.file) for f in self.frames])
        forward = np.einsum("nk,nk->n", poses[:, :3, 2], nearest_to_axes(poses) - poses[:, :3, 3])
        return "opencv" if float(np.mean(np.sign(forward))) > 0 else "opengl"

    def view_with(self, frame: dict[str, Any], axes: Axes) -> CaptureView:
        """Read a view whose camera has the given axes."""
        self.axes = axes
        return self.view(frame)


def fraction_on_mask(points: Float[np.ndarray, "n 3"], view: CaptureView) -> float:
    """Compute the fraction of points in the image that lie on the mask; points behind the camera don't."""
    assert view.mask is not None
    x = torch.from_numpy(points).float()
    depth = view.camera.to_camera(x)[:, 2]
    uv = view.camera.project(x).floor().long()
    h, w = view.mask.shape
    inside = (depth > 0) & (uv[:, 0] >= 0) & (uv[:, 0] < w) & (uv[:, 1] >= 0) & (uv[:, 1] < h)
    counted = int(inside.sum()) + int((depth <= 0).sum())
    if not inside.any():
        return 0.0
    u, v = uv[inside].T.numpy()
    return float((view.mask[v, u] > 127).sum()) / counted


def nearest_to_axes(poses: Float[np.ndarray, "n 4 4"]) -> Float[np.ndarray, "3"]:
    """Find the point nearest to all optical axes; the world's origin where they are parallel or one."""
    d = poses[:, :3, 2] / np.linalg.norm(poses[:, :3, 2], axis=1, keepdims=True)
    across = np.eye(3) - d[:, :, None] * d[:, None, :]
    A, b = across.sum(0), np.einsum("nij,nj->i", across, poses[:, :3, 3])
    return np.linalg.solve(A, b) if np.linalg.cond(A) < 1e3 else np.zeros(3)


def check_entry(frame: Any, file: Path) -> None:
    """Raise HeadcastError unless an entry of the file is an object whose paths are texts."""
    if not isinstance(frame, dict):
        raise HeadcastError(f"{file}: a frame is no object; export it again")
    for key, value in frame.items():
        if key.endswith("_path") and value is not None and not is_path(value):
            raise HeadcastError(f"{file}: a frame's {short_reason(key)} is no path; export it again")


def is_path(value: Any) -> bool:
    """Whether a value may be a path."""
    return isinstance(value, str) and "\0" not in value and len(value) <= MAX_PATH


def read_number(frame: dict[str, Any], key: str, file: Path, default: Any) -> float | None:
    """Read a finite number of an entry; None: neither it nor the default is given.

    Raises:
        HeadcastError: it is something else.
    """
    value = frame.get(key, default)
    if value is None:
        return None
    if not isinstance(value, int | float) or not abs(value) < MAX_NUMBER:
        raise HeadcastError(f"{file}: a frame's {key} is {short_reason(value)[:20]}; export it again")
    return float(value)


def read_pose(frame: dict[str, Any], file: Path) -> Float[np.ndarray, "4 4"]:
    """Read the camera-to-world matrix of an entry."""
    try:
        x = np.array(frame["transform_matrix"], np.float64)
        if x.shape == (4, 4) and np.isfinite(x).all() and abs(np.linalg.det(x)) > 1e-9:
            return x
    except (KeyError, TypeError, ValueError):
        pass
    raise HeadcastError(f"{file}: a frame has no proper transform_matrix (4x4, camera to world)")


def read_points(path: Path) -> Float[np.ndarray, "n 3"]:
    """Read vertex positions of an OBJ file.

    Raises:
        HeadcastError: it has none.
    """
    text = read_text(path, "OBJ", errors="replace")
    with parsing(path, "not a readable OBJ file", "export it again"):
        rows = [line.split()[1:4] for line in text.splitlines() if line.startswith("v ")]
        points = np.array(rows, np.float64).reshape(-1, 3)
    if not len(points):
        raise HeadcastError(f"{path}: has no vertices")
    return points


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        HeadcastError: missing or damaged.
    """
    data = load_json(path, "is this a capture's folder?", MAX_CAMERA_BYTES)
    if not isinstance(data, dict):
        raise HeadcastError(f"{path}: not a list of cameras")
    return data
