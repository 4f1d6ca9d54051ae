"""The Python interface: one function per command, and a runtime for programs that show frames live.

>>> import headcast.api as headcast                                        # doctest: +SKIP
>>> me = headcast.create(["portrait.jpg"])                                  # doctest: +SKIP
>>> me.save("me.avatar")                                                    # doctest: +SKIP
>>> headcast.animate(me, "speech", "talk.mp4")                              # doctest: +SKIP
>>> image = headcast.render(me, yaw=30, expression={"jawOpen": 0.5})      # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.drive import CameraChoice, Drive, LightChoice, drive_from
from headcast.errors import HeadcastError
from headcast.files import is_video
from headcast.head.names import EXPRESSIONS
from headcast.head.params import HeadParams
from headcast.limits import check_numbers
from headcast.marks import commercial_use, video_text
from headcast.progress import Progress, subrange
from headcast.registry import DEFAULT_METHOD
from headcast.view import (
    View,
    background_colour,
    check_image_size,
    flatten,
    front_view,
    head_center,
    over_colour,
    source_view,
    to_rgba,
)

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.head.model import HeadModel
    from headcast.methods.base import MethodOptions
    from headcast.motion.clip import Motion
    from headcast.observe.types import Observation
    from headcast.video import Clip

REFINE_OBSERVED = 0.4  # fraction of the time of ``refine`` that observing takes

__all__ = [
    "Progress",
    "Runtime",
    "animate",
    "animate_image",
    "bake",
    "create",
    "degrade",
    "enhance",
    "export",
    "import_gaussian_avatars",
    "load",
    "observe",
    "refine",
    "render",
]


def observe(
    sources: Sequence[str | Path] | str | Path,
    *,
    face: int | None = None,
    same_person: bool = False,
    leave_out: bool = False,
    head: HeadModel | None = None,
    frames: int | None = None,
    progress: Progress | None = None,
) -> list[Observation]:
    """Observe photos or one video of one person: landmarks, masks, camera, fitted head, light.

    Args:
        face: which face of a photo or video, counted from 1 by size; None takes the largest.
        same_person: all photos show one person, even where they seem to show two.
        leave_out: photos that cannot be used are left out, with a note at the first of the others; each is
            fitted by itself.
        head: the head model to fit; None: the bundled one.
        frames: of a video that are observed, at most; None: its twelve best and most different ones.

    Raises:
        HeadcastError: unreadable files, no usable face, photos mixed with videos, photos of two people.
    """
    from headcast.head.model import HeadModel
    from headcast.observe.observe import VIDEO_KEYS, observe_each, observe_photos, observe_video

    check_numbers(face=face, frames=frames)
    paths = [Path(p) for p in ([sources] if isinstance(sources, str | Path) else sources)]
    videos = [p for p in paths if is_video(p)]
    if not paths:
        raise HeadcastError("give a photo, several photos or a video of one person")
    if videos and len(paths) > 1:
        raise HeadcastError(f"{videos[0]}: give either photos or one video, not both")
    head = HeadModel.load() if head is None else head
    if videos:
        return observe_video(videos[0], head, frames or VIDEO_KEYS, progress, face)[0]
    if leave_out:
        return observe_each(paths, head, face, progress)
    return observe_photos(paths, head, [face] * len(paths), progress, same_person)


def create(
    sources: Sequence[str | Path] | str | Path,
    *,
    method: str = DEFAULT_METHOD,
    options: MethodOptions | Mapping[str, Any] | None = None,
    face: int | None = None,
    same_person: bool = False,
    head: HeadModel | None = None,
    seed: int = 0,
    consent: str | None = None,
    progress: Progress | None = None,
) -> Avatar:
    """Create an avatar of one person from one or several photos or from a video.

    >>> mesh = create("portrait.jpg", options={"representation": "mesh"})    # doctest: +SKIP

    Args:
        method: name of a registered method (``headcast.methods.base.method_names()``).
        options: the method's own options: an instance of its ``Options``, or a mapping by field name; None:
            its defaults.
        face: which face of a photo or video, counted from 1 by size; None takes the largest.
        same_person: all photos show one person, even where they seem to show two.
        head: the head model to fit (see ``headcast.head.foreign.known.foreign_head``); None: the bundled one.
        seed: random seed.
        consent: a statement of the person shown, kept in the avatar.

    Raises:
        HeadcastError: what the user can mend: an unknown method or option, missing weights; see ``observe``.
    """
    import torch

    from headcast.head.model import HeadModel
    from headcast.methods.base import get_method, make_options
    from headcast.parsing import check_text
    from headcast.render.jit import prepare

    check_text(consent, "consent")
    check_numbers(face=face, seed=seed)
    chosen = get_method(method)
    own_options = make_options(chosen, options)
    chosen.check(own_options)
    torch.manual_seed(seed)
    prepare()
    end = chosen.observe_fraction(own_options)
    with torch.no_grad():
        head = HeadModel.load() if head is None else head
        say = subrange(progress, 0.0, end)
        observations = observe(
            sources,
            face=face,
            same_person=same_person,
            leave_out=chosen.leaves_out,
            head=head,
            frames=chosen.clip_frames(own_options),
            progress=say,
        )
    return chosen.reconstruct(
        observations, head, own_options, seed=seed, consent=consent, progress=subrange(progress, end, 1.0)
    )


def bake(avatar: Avatar, *, seed: int = 0, progress: Progress | None = None) -> Avatar:
    """Turn an avatar without a mesh into Gaussians on a rigged mesh, which every export and the viewer take.

    Raises:
        HeadcastError: it has a mesh already; its renderings show no head.
    """
    from headcast.methods.bake import bake_avatar

    check_numbers(seed=seed)
    if avatar.mesh is not None:
        raise HeadcastError("bake: this avatar has a mesh already; export takes it as it is")
    return bake_avatar(avatar, seed=seed, progress=progress)


def enhance(
    avatar: Avatar,
    *,
    method: str | None = None,
    options: MethodOptions | Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Avatar:
    """Super-resolve a blurry avatar of Gaussians. Detail that it lacks is a guess.

    Args:
        method: name of a method that enhances (``headcast.methods.base.enhancer_names()``); None: the first.
        options: the method's own options; None: its defaults.

    Raises:
        HeadcastError: what the user can mend: no Gaussians, broken ones, missing weights.
    """
    import torch

    from headcast.methods.base import get_enhancer, make_options
    from headcast.render.jit import prepare

    check_numbers(seed=seed)
    chosen = get_enhancer(method)
    own_options = make_options(chosen, options)
    chosen.check(own_options)
    torch.manual_seed(seed)
    prepare()
    return chosen.enhance(avatar, own_options, seed=seed, progress=progress)


def refine(
    avatar: Avatar,
    sources: Sequence[str | Path] | str | Path,
    *,
    face: int | None = None,
    progress: Progress | None = None,
) -> Avatar:
    """Take further photos, or a video, of the same person into an avatar that keeps its evidence.

    Frames that must not be used (no face, profile, blink, motion blur, another person) are left out; the
    avatar's notes say which.

    Args:
        sources: photos, or one video.
        face: which face of a photo or video, counted from 1 by size; None takes the largest.

    Raises:
        HeadcastError: the avatar keeps no evidence; files that cannot be read; no usable photo.
    """
    import torch

    from headcast.methods.base import get_updater
    from headcast.render.jit import prepare

    check_numbers(face=face)
    chosen = get_updater(avatar)
    prepare()
    with torch.no_grad():
        say = subrange(progress, 0.0, REFINE_OBSERVED)
        observations = observe(sources, face=face, leave_out=True, head=unbound_head(avatar), progress=say)
    rest = subrange(progress, REFINE_OBSERVED, 1.0)
    return chosen.update(avatar, observations, chosen.Options(), progress=rest)


def unbound_head(avatar: Avatar) -> HeadModel:
    """Return the head model that an avatar's was bound from."""
    from headcast.head.foreign.known import stored_head

    return stored_head(avatar.bound.meta(avatar.kind)["head"])


def degrade(avatar: Avatar, factor: float = 4.0) -> Avatar:
    """Blur an avatar's colours as if its photo had been ``factor`` times smaller; all else stays.

    Raises:
        HeadcastError: it has no Gaussians.
    """
    import torch

    from headcast.splats.degrade import degrade_avatar

    check_numbers(factor=factor)
    if avatar.splats is None:
        raise HeadcastError(f"degrade: takes avatars of Gaussians, this is a {avatar.kind}")
    with torch.no_grad():
        return degrade_avatar(avatar.splats, factor)


def import_gaussian_avatars(
    ply: str | Path,
    flame_params: str | Path | None,
    flame: str | Path | None,
    *,
    progress: Progress | None = None,
) -> tuple[Avatar, tuple[str, ...]]:
    """Import a result of GaussianAvatars; return it and notes for the user, one sentence each.

    Args:
        ply: its ``point_cloud.ply``. flame_params: the ``flame_param.npz`` beside it.
        flame: your FLAME file of the version that it was made with.

    Raises:
        HeadcastError: a file is missing, damaged, or of another kind or edition.
    """
    from headcast.avatar.gaussian_avatars import read_gaussian_avatars

    paths = [None if p is None else Path(p) for p in (flame_params, flame)]
    avatar, notes = read_gaussian_avatars(Path(ply), paths[0], paths[1], progress)
    return avatar, notes


def load(path: str | Path) -> Avatar:
    """Open an ``.avatar`` file.

    Raises:
        HeadcastError: missing, damaged, of a newer version, of an unknown kind.
    """
    from headcast.avatar.base import load_avatar as load_avatar

    return load_avatar(path)


def render(
    avatar: Avatar,
    *,
    view: Literal["front", "source"] = "front",
    yaw: float = 0.0,
    pitch: float = 0.0,
    expression: Mapping[str, float] | None = None,
    size: tuple[int, int] | None = None,
    background: str = "transparent",
) -> UInt8[np.ndarray, "h w c"]:
    """Render one image of an avatar.

    Args:
        view: ``front``: the head upright and neutral in a portrait framing; ``source``: the source
            camera, size, pose and expression of the photo.
        yaw, pitch: degrees by which the camera orbits the head; positive yaw shows more of the
            subject's left side, positive pitch looks from above.
        expression: weights by ARKit name, set on top of the view's own expression.
        size: (width, height) pixels; None: 512 square, or the photo's own.
        background: ``transparent``, ``white``, ``grey``, ``black`` or ``#rrggbb``.

    Returns:
        (H, W, 4) straight-alpha sRGB when transparent, else (H, W, 3).
    """
    import torch

    if view not in ("front", "source"):
        raise HeadcastError(f"--view {view}: give front or source")
    check_numbers(yaw=yaw, pitch=pitch)
    check_image_size(size)
    colour = background_colour(background)
    view_shown = (
        source_view(avatar).resized(size) if view == "source" else front_view(avatar, size or (512, 512))
    )
    view_shown = View(view_shown.camera, view_shown.params.with_expression(expression or {}))
    view_shown = view_shown.orbited(head_center(avatar, view_shown.params), yaw, pitch)
    with torch.no_grad():
        rgba = to_rgba(avatar.render(view_shown.params, view_shown.camera))
    return rgba if colour is None else flatten(rgba, colour)


def animate(
    avatar: Avatar,
    drive: str | Path | Motion,
    out: str | Path,
    *,
    camera: CameraChoice = "source",
    light: LightChoice = "source",
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    background: str = "grey",
    side_by_side: bool = False,
    flame: Path | None = None,
    face: int | None = None,
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Write a video of the avatar driven by a preset's name, a recording, a video or a ``Motion``.

    Recordings: Live Link Face .csv, ARKit weights in .json, FLAME parameters in .npz.

    Args:
        camera: ``source``: a portrait framing; ``driver``: the driving video's cameras, size and frame count.
        light: ``source``: the avatar's own, no pixel of the driver is used; ``driver``: as the avatar's own
            person is lit in the driving video, to be laid over it.
        frames: maximum number of frames.
        size: (width, height) pixels; None: 512 square, or the driver's own.
        fps: frames per second; None: the driver's own, 30 for presets.
        background: ``white``, ``grey``, ``black`` or ``#rrggbb``.
        side_by_side: show the driving video at the left.
        flame: your FLAME file, where FLAME parameters drive.
        face: which face of a driving video, counted from 1 by size; None takes the largest.

    Returns:
        Notes for the user, one sentence each.
    """
    from headcast.files import check_writable
    from headcast.video import write_video

    check_numbers(frames=frames, fps=fps)
    check_image_size(size)
    check_writable(out)
    colour = background_colour(background)
    if colour is None:
        raise HeadcastError("--background transparent: a video has no transparency; give a colour")
    clip = drive_from(
        avatar,
        drive,
        camera=camera,
        light=light,
        frames=frames,
        size=size,
        fps=fps,
        flame=flame,
        face=face,
        progress=subrange(progress, 0.0, 0.5),
    )
    if side_by_side and clip.clip is None:
        raise HeadcastError(f"--side-by-side: '{drive}' is not a video; there is nothing to put beside")
    images = render_frames(avatar, clip, colour, subrange(progress, 0.5 if clip.clip else 0.0, 1.0))
    if side_by_side and clip.clip is not None:
        images = place_side_by_side(clip.clip, clip, images)
    return clip.notes + write_video(out, images, clip.fps, clip.audio, video_text(avatar.info))


def animate_image(
    photo: str | Path,
    drive: str | Path,
    out: str | Path,
    *,
    method: str,
    options: MethodOptions | Mapping[str, Any] | None = None,
    frames: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Write a video of a photo driven by a video, by an image animator, without an avatar.

    Args:
        method: name of a registered animator (``headcast.methods.base.animator_names()``).
        options: the animator's own options; None: its defaults.
        frames: maximum number of frames of the driving video.

    Returns:
        Notes for the user, one sentence each.
    """
    from headcast.files import check_writable
    from headcast.image import load_image
    from headcast.methods.base import get_animator, make_options
    from headcast.video import read_video, write_video

    check_numbers(frames=frames, seed=seed)
    animator = get_animator(method)
    own_options = make_options(animator, options)
    animator.check(own_options)
    check_writable(out)
    if not is_video(drive):
        raise HeadcastError(f"--drive {drive}: an image animator is driven by a video")
    image, clip = load_image(photo), read_video(drive, frames)
    images = animator.animate_image(image.over_grey(), clip, own_options, seed=seed, progress=progress)
    mark = {"synthetic_media": f"A photograph animated by {method}; the person did not make these movements."}
    notes = (*image.notes, *clip.notes, *write_video(out, images, clip.fps, clip.audio, video_text(mark)))
    if weights := animator.weights_in_use(own_options):
        notes += (f"commercial use: {commercial_use({'weights': weights})}",)
    return notes


def export(
    avatar: Avatar,
    out: str | Path,
    to: str | None = None,
    *,
    shading: Literal["lit", "baked"] | None = None,
    texture_size: int | None = None,
    expression: Mapping[str, float] | None = None,
    rigged: bool = False,
    sh_degree: int | None = None,
    axes: Literal["y-down", "y-up"] | None = None,
    subdivide: int | None = None,
) -> tuple[Path, ...]:
    """Export the avatar to a file that other programs open.

    Args:
        to: ``glb``, ``splat-ply``, ``mesh-ply``, ``spz`` (see ``headcast.avatar.export.base.FORMATS``);
            None: by the file's suffix.
        shading: ``lit``: de-lit albedo, for programs that shade it; ``baked``: with the photo's light in
            it. None: the default of the format.
        texture_size: longest side of textures, pixels; None: unchanged.
        expression: weights by ARKit name, for formats that hold one pose.
        rigged: Gaussians in the frames of triangles, as GaussianAvatars stores them.
        sh_degree: pad the splats' SH coefficients with zeros up to this degree.
        axes: of a splat PLY; None: ``y-down``, upright in splat viewers.
        subdivide: subdivision levels of a coloured mesh (each cuts triangles into four); None: by texture
            size.

    Returns:
        The files written, the main one first.

    Raises:
        HeadcastError: what the user can mend: an unknown format, an option that it does not take.
    """
    from headcast.avatar.export.base import export_avatar as write

    check_numbers(texture_size=texture_size, sh_degree=sh_degree, subdivide=subdivide)
    return write(
        avatar,
        out,
        to,
        shading=shading,
        texture_size=texture_size,
        expression=expression or None,
        rigged=rigged or None,
        sh_degree=sh_degree,
        axes=axes,
        subdivide=subdivide,
    )


def render_frames(
    avatar: Avatar, drive: Drive, colour: tuple[int, int, int], progress: Progress | None
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Render the frames of a drive over a background colour, one after the other."""
    import torch

    renderer = avatar.renderer()
    for t in range(len(drive)):
        with torch.no_grad():
            yield over_colour(drive.render(renderer, t), colour)
        if progress:
            progress((t + 1) / len(drive), "rendering")


def place_side_by_side(
    clip: Clip, drive: Drive, images: Iterator[UInt8[np.ndarray, "h w 3"]]
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Put the driving frame at the left of each image, scaled to its height."""
    import cv2

    for t, image in enumerate(images):
        frame = clip.frames[min(len(clip.frames) - 1, round(t / drive.fps * clip.fps))]
        height = image.shape[0]
        width = max(2, round(frame.shape[1] * height / frame.shape[0]) // 2 * 2)
        yield np.hstack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), image])


class Runtime:
    """An avatar loaded once that renders a frame for every set of weights; use one per thread.

    >>> live = Runtime(load("me.avatar"), size=(512, 512))    # doctest: +SKIP
    >>> frame = live.step({"jawOpen": 0.4})                    # doctest: +SKIP
    """

    def __init__(
        self,
        avatar: Avatar,
        *,
        size: tuple[int, int] = (512, 512),
        view: Literal["front", "source"] = "front",
    ) -> None:
        check_image_size(size)
        self.avatar, self.renderer = avatar, avatar.renderer()
        view_shown = source_view(avatar).resized(size) if view == "source" else front_view(avatar, size)
        self.camera, self.rest = view_shown.camera, view_shown.params

    def step(
        self,
        weights: Mapping[str, float] | Float[Tensor, "52"],
        *,
        neck: Float[Tensor, "3"] | None = None,
        gaze: Float[Tensor, "2 2"] | None = None,
    ) -> UInt8[np.ndarray, "h w 4"]:
        """Render one frame, straight-alpha sRGB.

        Args:
            weights: by ARKit name (the unnamed are zero), or 52 in the order of ``EXPRESSIONS``.
            neck: axis-angle of the head relative to the shoulders, radians.
            gaze: as in ``HeadParams``; None: follow the ``eyeLook*`` weights.
        """
        import torch

        with torch.no_grad():
            return to_rgba(self.renderer.render(self.params(weights, neck, gaze), self.camera))

    def params(
        self, weights: Mapping[str, float] | Float[Tensor, "52"], neck: Tensor | None, gaze: Tensor | None
    ) -> HeadParams:
        """Return the rest pose with these expression weights, neck and gaze."""
        import torch

        zero = self.rest.replace(expression=torch.zeros(len(EXPRESSIONS)), gaze=gaze)
        posed = zero if neck is None else zero.replace(neck=neck)
        return (
            posed.with_expression(weights)
            if isinstance(weights, Mapping)
            else posed.replace(expression=weights)
        )
