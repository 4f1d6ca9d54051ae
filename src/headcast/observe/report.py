"""What a person should know about a photo before a head is made of it: in words, and as an image."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from headcast.files import atomic_path
from headcast.head.model import HeadModel
from headcast.head.names import EXPRESSION_INDEX
from headcast.observe.fit import eye_openness
from headcast.observe.landmark_points import face_width, iris_distance
from headcast.observe.light import skin_polygon
from headcast.observe.types import Observation

__all__ = ["Line", "quality", "write_observation_report"]

Severity = Literal["good", "note", "warning"]


@dataclass(frozen=True)
class Line:
    """One finding: its topic, how severe it is, its text and value."""

    subject: str
    severity: Severity
    text: str
    value: float


def quality(o: Observation) -> list[Line]:
    """Return findings on size, sharpness, pose, mouth, eyes, glasses, light and fit; the worst first."""
    yaw, pitch = head_angles(o)
    lines = [
        _size(o, yaw),
        _sharpness(o),
        _angle("yaw", yaw),
        _angle("pitch", pitch),
        _mouth(o),
        _eyes(o),
        _fit(o),
        *_masked(o),
        *_light(o),
        *(Line("file", "note", n, 0.0) for n in o.notes),
    ]
    order = ("warning", "note", "good")
    return sorted(lines, key=lambda x: order.index(x.severity))


def write_observation_report(observation: Observation, folder: str | Path, debug: bool = False) -> list[str]:
    """Write ``report.json``, ``report.txt`` and, if ``debug``, ``debug.png``; return the sentences."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = quality(observation)
    words = [f"{x.severity}: {x.text}" for x in lines]
    facts = {
        "name": observation.name,
        "findings": [asdict(x) for x in lines],
        "landmark_error_percent": observation.landmark_error,
        "focal_pixels": float(observation.camera.K[0, 0]),
        "distance_metres": float(observation.params.translation.norm()),
    }
    with atomic_path(folder / "report.json") as path:
        path.write_text(json.dumps(facts, indent=1) + "\n")
    with atomic_path(folder / "report.txt") as path:
        path.write_text("\n".join(words) + "\n")
    if debug:
        from headcast.image import save_png
        from headcast.observe.debug_image import debug_image

        save_png(folder / "debug.png", debug_image(observation, HeadModel.load()))
    return words


def head_angles(o: Observation) -> tuple[float, float]:
    """Return degrees by which the head turns to the subject's left and up, relative to the line of sight."""
    from headcast.rotation import axis_angle_to_matrix

    R = axis_angle_to_matrix(o.params.rotation.double()).numpy()
    t = o.params.translation.double().numpy()
    to = R.T @ (-t / np.linalg.norm(t))
    return float(-np.degrees(np.arctan2(to[0], to[2]))), float(-np.degrees(np.arcsin(to[1].clip(-1, 1))))


def _size(o: Observation, yaw: float) -> Line:
    width = face_width(o.detection.points, yaw)
    if width < 120:
        return Line(
            "size", "warning", f"the face is small, {width:.0f} px between the ears; 300 are good", width
        )
    if width < 250:
        return Line(
            "size", "note", f"the face is {width:.0f} px between the ears; larger shows more detail", width
        )
    return Line("size", "good", f"the face is {width:.0f} px between the ears", width)


def _sharpness(o: Observation) -> Line:
    """Return the RMS change of grey levels when the face is halved and restored: its finest octave."""
    import cv2

    x0, y0, x1, y1 = (max(0, int(v)) for v in o.detection.box)
    grey = cv2.cvtColor(o.image[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY).astype(np.float32)
    half = cv2.resize(
        grey, (max(1, grey.shape[1] // 2), max(1, grey.shape[0] // 2)), interpolation=cv2.INTER_AREA
    )
    back = cv2.resize(half, (grey.shape[1], grey.shape[0]), interpolation=cv2.INTER_CUBIC)
    loss = float(np.sqrt(((grey - back) ** 2).mean()))
    if loss < 1.0:
        return Line(
            "sharpness", "warning", "the face is blurred; a sharper photo gives skin its detail", loss
        )
    if loss < 2.0:
        return Line("sharpness", "note", "the face is a little soft", loss)
    return Line("sharpness", "good", "the face is sharp", loss)


def _angle(name: str, degrees: float) -> Line:
    words = {"yaw": ("left", "right"), "pitch": ("up", "down")}[name]
    side = words[0] if degrees > 0 else words[1]
    size = abs(degrees)
    text = f"the head is turned {size:.0f}° {'to its ' if name == 'yaw' else ''}{side}"
    if size > (35 if name == "yaw" else 25):
        return Line(name, "warning", text + "; what is turned away is guessed", degrees)
    return Line(name, "note" if size > 15 else "good", text, degrees)


def _mouth(o: Observation) -> Line:
    p = o.detection.points
    gap = float(np.linalg.norm(p[13] - p[14]) / iris_distance(p))
    if gap > 0.1:
        return Line("mouth", "note", "the mouth is open; the closed lips are partly guessed", gap)
    return Line("mouth", "good", "the mouth is closed; teeth are guessed", gap)


def _eyes(o: Observation) -> Line:
    openness = min(eye_openness(o.detection.points))
    blink = max(float(o.params.expression[EXPRESSION_INDEX[f"eyeBlink{s}"]]) for s in ("Left", "Right"))
    if openness < 0.12 or blink > 0.75:
        return Line("eyes", "warning", "an eye is closed; its colour is guessed", openness)
    return Line(
        "eyes",
        "good" if openness > 0.18 else "note",
        "the eyes are open" if openness > 0.18 else "the eyes are narrow",
        openness,
    )


def _fit(o: Observation) -> Line:
    e = o.landmark_error
    if e > 2.0:
        return Line(
            "fit", "warning", f"the head fits badly ({e:.1f} % of the eye distance); is the face hidden?", e
        )
    return Line("fit", "note" if e > 1.4 else "good", f"the head fits to {e:.1f} % of the eye distance", e)


def _masked(o: Observation) -> list[Line]:
    """Report glasses, and skin that something covers."""
    if o.masks is None:
        return []
    face = skin_polygon(o.detection.points, *o.image.shape[:2])
    n = max(1, int(face.sum()))
    x0, y0, x1, y1 = (max(0, int(v)) for v in o.detection.box)
    glasses = float((o.masks.glasses[y0:y1, x0:x1] > 0.5).sum()) / n
    hidden = float(((o.masks.skin < 0.5) & (o.masks.glasses < 0.5) & face).sum()) / n
    lines = []
    if glasses > 0.01:
        lines.append(Line("glasses", "warning", "glasses: they are painted onto the face", glasses))
    if hidden > 0.15:
        text = f"{hidden:.0%} of the face is covered by hair, a beard or something else"
        lines.append(Line("hidden", "warning" if hidden > 0.35 else "note", text, hidden))
    return lines


def _light(o: Observation) -> list[Line]:
    """Report how differently the two cheeks are lit, from the estimated light."""
    if o.light is None:
        return [Line("light", "note", "too little skin is visible to estimate the light", 0.0)]
    left, right = cheek_light(o, o.light)
    ratio = max(left, right) / max(min(left, right), 1e-3)
    if ratio > 2.0:
        return [Line("light", "warning", f"one side is lit {ratio:.1f} times as much as the other", ratio)]
    return [
        Line(
            "light",
            "note" if ratio > 1.4 else "good",
            "the light is even" if ratio <= 1.4 else "the light is a little uneven",
            ratio,
        )
    ]


def cheek_light(o: Observation, light: Float[np.ndarray, "9 3"]) -> tuple[float, float]:
    """Return irradiance on surfaces that face the subject's left and right front."""
    import torch

    from headcast.render.shading import sh_basis
    from headcast.rotation import axis_angle_to_matrix

    R = axis_angle_to_matrix(o.params.rotation)
    normals = torch.tensor([[0.7, 0.0, 0.714], [-0.7, 0.0, 0.714]]) @ R.T
    shade = sh_basis(normals).double().numpy() @ light
    return float(shade[0].mean()), float(shade[1].mean())
