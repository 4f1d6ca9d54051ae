"""What the studio's jobs do, in a worker process: the same calls as the commands', and images to look at."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headcast.errors import HeadcastError
from headcast.progress import subrange
from headcast.studio.reporter import Reporter

if TYPE_CHECKING:
    import numpy as np

    from headcast.avatar.base import Avatar

__all__ = ["TASKS", "describe_methods"]

VIEW_SIDE, IMAGE_SIDE, THUMB_SIDE = 1280, 640, 320  # pixels of the images that the page shows
QUALITY = 86
BACKGROUND = (233, 230, 224)  # sRGB, behind heads in images
SHOWN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("front", {}),
    ("side", {"yaw": 40}),
    (
        "smile",
        {
            "expression": {
                "mouthSmileLeft": 0.8,
                "mouthSmileRight": 0.8,
                "cheekSquintLeft": 0.5,
                "cheekSquintRight": 0.5,
            }
        },
    ),
)
"""Images of a finished head: name, and what ``api.render`` is asked for."""


def describe_methods() -> list[dict[str, Any]]:
    """List the methods for the page: name, description, whether it can run here."""
    from headcast.methods.base import enhancer_names, get_method, method_names

    found = [(name, get_method(name)) for name in method_names()]
    enhancers = enhancer_names()
    return [
        {
            "name": name,
            "description": m.description,
            "available": bool(m.available()),
            "enhances": name in enhancers,
            "representations": list(m.variants) if name == method_names()[0] else [],
        }
        for name, m in found
    ]


def save_jpeg(path: Path, image: np.ndarray, side: int) -> None:
    """Save an image of (H, W, 3) or (H, W, 4) as JPEG, reduced to at most ``side`` pixels."""
    import cv2
    from PIL import Image

    from headcast.view import flatten

    image = flatten(image, BACKGROUND) if image.shape[2] == 4 else image
    scale = min(1.0, side / max(image.shape[:2]))
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    Image.fromarray(image).save(path, "JPEG", quality=QUALITY)


def observe_task(spec: Mapping[str, Any], folder: Path, say: Reporter) -> dict[str, Any]:
    """Observe a photo or video: findings in words, and images of what was detected."""
    from headcast import api
    from headcast.files import is_video
    from headcast.head.model import HeadModel
    from headcast.image import load_image
    from headcast.observe.debug_image import PANEL, debug_image
    from headcast.observe.report import quality

    photo = Path(spec["photos"][0])
    video = is_video(photo)
    if not video:
        save_jpeg(folder / "view.jpg", load_image(photo).over_grey(), VIEW_SIDE)
        say.image("view.jpg")
    observation = api.observe(photo, face=spec.get("face"), progress=say.progress)[0]
    if video:
        save_jpeg(folder / "view.jpg", observation.image, VIEW_SIDE)
    panels = debug_image(observation, HeadModel.load())
    for k, name in enumerate(("landmarks", "mesh", "masks")):
        part = panels[:, k * PANEL : (k + 1) * PANEL]
        if part.shape[1]:
            save_jpeg(folder / f"{name}.jpg", part, PANEL)
            say.image(f"{name}.jpg")
    lines = quality(observation)
    return {"findings": [{"subject": x.subject, "severity": x.severity, "text": x.text} for x in lines]}


def create_task(spec: Mapping[str, Any], folder: Path, say: Reporter) -> dict[str, Any]:
    """Create a head from photos or a video."""
    from headcast import api

    options = {"representation": spec["representation"]} if spec.get("representation") else None
    if spec.get("texture_size") and options is not None:
        options["texture_size"] = spec["texture_size"]
    avatar = api.create(
        spec["photos"],
        method=spec["method"],
        options=options,
        same_person=bool(spec.get("same_person")),
        consent=spec.get("consent") or None,
        progress=subrange(say.progress, 0.0, 0.85),
    )
    return finish_head(avatar, folder, say)


def enhance_task(spec: Mapping[str, Any], folder: Path, say: Reporter) -> dict[str, Any]:
    """Super-resolve a head into a new one."""
    from headcast import api

    avatar = api.enhance(api.load(spec["avatar"]), progress=subrange(say.progress, 0.0, 0.85))
    return finish_head(avatar, folder, say)


def import_task(spec: Mapping[str, Any], folder: Path, say: Reporter) -> dict[str, Any]:
    """Take in an ``.avatar`` that was made elsewhere: read without trust, written anew."""
    from headcast import api

    return finish_head(api.load(spec["photos"][0]), folder, say)


def finish_head(avatar: Avatar, folder: Path, say: Reporter) -> dict[str, Any]:
    """Write an avatar, its images and what the page's viewer reads."""
    from headcast import api
    from headcast.avatar.export.html import pack_avatar

    say.progress(0.86, "saving")
    avatar.save(folder / "me.avatar")
    for k, (name, view) in enumerate(SHOWN):
        image = api.render(avatar, size=(IMAGE_SIDE, IMAGE_SIDE), **view)
        save_jpeg(folder / f"{name}.jpg", image, IMAGE_SIDE)
        if not k:
            save_jpeg(folder / "thumb.jpg", image, THUMB_SIDE)
        say.image(f"{name}.jpg")
        say.progress(0.88 + 0.03 * k, "rendering")
    viewable = avatar.mesh is not None
    if viewable:
        (folder / "viewer.bin.gz").write_bytes(gzip.compress(gzip.decompress(pack_avatar(avatar, "")), 6))
    info = avatar.provenance.to_dict()
    kept = ("method", "warnings", "weights", "consent", "synthetic_media", "created_by", "photos")
    return {
        "facts": {k: info[k] for k in kept if k in info},
        "kind": avatar.kind,
        "viewable": viewable,
        "splats": avatar.splats is not None,
    }


def export_task(spec: Mapping[str, Any], folder: Path, say: Reporter) -> dict[str, Any]:
    """Export a head to a file for other programs."""
    from headcast import api
    from headcast.avatar.export.base import FORMATS

    if spec["format"] not in FORMATS:
        raise HeadcastError(f"unknown format; give one of {', '.join(FORMATS)}")
    say.progress(0.1, "exporting")
    out = folder / f"head{FORMATS[spec['format']].suffix}"
    api.export(api.load(spec["avatar"]), out, spec["format"])
    return {"file": out.name}


def animate_task(spec: Mapping[str, Any], folder: Path, say: Reporter) -> dict[str, Any]:
    """Render a video of a head, driven by a preset or by an uploaded recording or video."""
    from headcast import api

    drive = Path(spec["photos"][0]) if spec.get("photos") else spec["preset"]
    notes = api.animate(
        api.load(spec["avatar"]),
        drive,
        folder / "head.mp4",
        size=(512, 512),
        frames=spec.get("frames"),
        background="#e9e6e0",
        progress=say.progress,
    )
    return {"file": "head.mp4", "notes": list(notes)}


TASKS: Mapping[str, Callable[[Mapping[str, Any], Path, Reporter], dict[str, Any]]] = {
    "observe": observe_task,
    "create": create_task,
    "enhance": enhance_task,
    "export": export_task,
    "animate": animate_task,
    "import": import_task,
}
"""Jobs by kind: the job's facts, the folder that it writes to, and how it reports; returns its result."""
