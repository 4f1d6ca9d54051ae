"""Views of an avatar (camera and parameters), and conversion of renderings to 8-bit images."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.camera import Camera
from headcast.device import is_cuda
from headcast.errors import HeadcastError
from headcast.head.params import HeadParams
from headcast.image import linear_to_srgb
from headcast.render.jit import kernel, parallel
from headcast.render.types import Rendering

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar

__all__ = [
    "View",
    "background_colour",
    "check_image_size",
    "flatten",
    "front_view",
    "head_center",
    "over_colour",
    "parse_size",
    "source_view",
    "to_rgba",
]

ZERO, ONE = np.float32(0), np.float32(1)
ROWS = 64  # rows per task of a thread
GREY = 128
DISTANCE = 1.1  # metres from which a portrait is usually taken
HEAD_FRACTION = 0.64  # height of the head as a fraction of the image height, in the front view
FOREHEAD, CHIN = 10, 152  # MediaPipe points at the top of the forehead and the tip of the chin
CROWN = 1.32  # from chin to crown, in heights from chin to forehead point
MIN_SIDE, MAX_SIDE = 16, 8192
SIZES = f"pixels like 512 or 640x480, from {MIN_SIDE} to {MAX_SIDE}"


@dataclass(frozen=True)
class View:
    """A camera and the (unbatched) parameters of the head before it."""

    camera: Camera
    params: HeadParams

    def orbited(self, center: Float[Tensor, "3"], yaw: float, pitch: float) -> View:
        """Orbit the camera around the head; degrees, signs as in ``Camera.orbit``."""
        return replace(self, camera=self.camera.orbited(center, yaw, pitch)) if yaw or pitch else self

    def resized(self, size: tuple[int, int] | None) -> View:
        """Return the view at another resolution, None for its own; another aspect ratio fits by height."""
        if size is None or size == (self.camera.width, self.camera.height):
            return self
        width, height = size
        scaled = self.camera.resized(max(1, round(self.camera.width * height / self.camera.height)), height)
        return replace(self, camera=scaled.cropped((scaled.width - width) // 2, 0, width, height))


def source_view(avatar: Avatar) -> View:
    """Return the source camera with the pose, expression and gaze of the photo."""
    return View(avatar.source.camera, avatar.source.params)


def front_view(avatar: Avatar, size: tuple[int, int] = (512, 512)) -> View:
    """Return a frontal view of the head, upright and neutral, placed in the light of the photo."""
    params = HeadParams.neutral(avatar.head.identities).replace(identity=avatar.source.params.identity)
    center, head_height = head_span(avatar, params)
    # The light lives in the photo's world, whose camera looks along -Z: the head goes there.
    params = params.replace(translation=torch.tensor([0.0, 0.0, -DISTANCE]) - center)
    width, height = size
    focal = HEAD_FRACTION * height * DISTANCE / head_height
    # a little room above, the neck below
    return View(Camera.make(focal, width, height, center=(width / 2, height * 0.47)), params)


def head_span(avatar: Avatar, params: HeadParams) -> tuple[Float[Tensor, "3"], float]:
    """Return centre (head frame, metres) and height of the head from crown to chin, by its landmarks."""
    points = avatar.head.landmarks(avatar.head.shape(params.identity), 478)
    forehead, chin = points[FOREHEAD], points[CHIN]
    height = CROWN * float(forehead[1] - chin[1])
    center = (forehead + chin) / 2
    center = torch.stack([torch.zeros(()), chin[1] + height / 2, center[2]])
    return center, height


def head_center(avatar: Avatar, params: HeadParams) -> Float[Tensor, "3"]:
    """Return the centre that a camera orbits around (world): between the eyes and the head joint."""
    from headcast.head.model import JOINTS
    from headcast.rotation import axis_angle_to_matrix

    joints = avatar.head.joints(params.identity)
    eyes = (joints[JOINTS.index("eyeLeft")] + joints[JOINTS.index("eyeRight")]) / 2
    center = (eyes + joints[JOINTS.index("head")]) / 2
    return axis_angle_to_matrix(params.rotation) @ center + params.translation


def to_rgba(rendering: Rendering) -> UInt8[np.ndarray, "h w 4"]:
    """Convert a rendering to 8-bit sRGB with straight alpha."""
    rgb = rendering.rgb.detach().float().cpu()
    if rendering.colour_space == "linear":
        rgb = linear_to_srgb(rgb)
    values = torch.cat([rgb, rendering.alpha.detach().float().cpu()[..., None]], -1)
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def over_colour(rendering: Rendering, colour: tuple[int, int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """Compute ``flatten(to_rgba(rendering), colour)``, in one pass where numba is installed."""
    from importlib.util import find_spec

    rgb, alpha = rendering.rgb.detach(), rendering.alpha.detach()
    can_use_kernel = rendering.colour_space == "srgb" and rgb.dtype == alpha.dtype == torch.float32
    if not can_use_kernel or is_cuda(rgb) or find_spec("numba") is None:
        return flatten(to_rgba(rendering), colour)
    out = np.empty((*alpha.shape, 3), np.uint8)
    background = np.array(colour, np.float32)
    values, coverage = rgb.numpy(), alpha.numpy()
    parallel(
        lambda k: composite_rows(values, coverage, background, out, k * ROWS, min((k + 1) * ROWS, len(out))),
        -(-len(out) // ROWS),
    )
    return out


@kernel(
    "void(Array(f4, 3, 'A', readonly=True), Array(f4, 2, 'A', readonly=True), f4[::1], u1[:,:,::1], i8, i8)"
)
def composite_rows(rgb, alpha, background, out, start, stop):
    """Composite rows start..stop of a straight-alpha image over a colour, both rounded to 8 bits first."""
    top = np.float32(255)
    for y in range(start, stop):
        for x in range(alpha.shape[1]):
            a = np.rint(min(max(alpha[y, x], ZERO), ONE) * top) / top
            for c in range(3):
                v = np.rint(min(max(rgb[y, x, c], ZERO), ONE) * top)
                out[y, x, c] = np.uint8(np.rint(v * a + background[c] * (ONE - a)))


def flatten(rgba: UInt8[np.ndarray, "h w 4"], colour: tuple[int, int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """Composite the image over a plain colour, in sRGB display values."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    out = rgba[..., :3] * alpha + np.array(colour, np.float32) * (1 - alpha)
    return np.round(out).astype(np.uint8)


def background_colour(text: str) -> tuple[int, int, int] | None:
    """Parse ``white``, ``grey`` (128), ``black`` or ``#rrggbb`` as sRGB; None for ``transparent``."""
    known: dict[str, tuple[int, int, int] | None] = {
        "transparent": None,
        "white": (255, 255, 255),
        "grey": (GREY, GREY, GREY),
        "gray": (GREY, GREY, GREY),
        "black": (0, 0, 0),
    }
    if text in known:
        return known[text]
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise HeadcastError(f"--background {text}: give transparent, white, grey, black or #rrggbb")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Parse ``512`` or ``640x480`` to (width, height) in pixels."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    sides = [int(g) for g in match.groups() if g] if match else []
    if not sides:
        raise HeadcastError(f"--size {text}: give {SIZES}")
    size = sides[0], sides[-1]
    check_image_size(size)
    return size


def check_image_size(size: tuple[int, int] | None) -> None:
    """Check a (width, height) in pixels; None is left alone.

    Raises:
        HeadcastError: a side is too small or too large.
    """
    if size is not None and not all(MIN_SIDE <= side <= MAX_SIDE for side in size):
        raise HeadcastError(f"--size {'x'.join(map(str, size))}: give {SIZES}")
