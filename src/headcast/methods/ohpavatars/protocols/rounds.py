"""Rounds of the loop on reduced photos, against the full photograph: does restoration gain anything?

``data`` holds PERSON_neutral.jpg as the London set does. The photo is reduced by pixel areas, avatars are
made of it, and their source view is rendered at the full photograph's size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from headcast import api
from headcast.errors import HeadcastError
from headcast.evaluate.aligned import face_hull, read_rgb, resize_area
from headcast.evaluate.driven import step_progress
from headcast.evaluate.landmarks import StaticLandmarks
from headcast.evaluate.people import TUNING, split_groups, validation_people
from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting, option_facts
from headcast.evaluate.side_views import lpips_of
from headcast.evaluate.store import Store
from headcast.image import save_png
from headcast.limits import Limit
from headcast.metrics.figure import Figure
from headcast.metrics.image import GREY, psnr, ssim
from headcast.metrics.sface import cosine_similarity
from headcast.metrics.sharpness import relative_sharpness
from headcast.progress import Progress
from headcast.registry import DEFAULT_METHOD
from headcast.restore import restore
from headcast.view import flatten, source_view, to_rgba

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar

__all__ = ["Options", "match_colours", "measure"]

ENDING = "_neutral.jpg"
LPIPS_SIDE = 512  # pixels of the face's box for LPIPS
HULL = "inside the face's outline in the true photograph"
FIGURES = (
    Figure(key="psnr", title="PSNR", unit="dB", mask=HULL, note="after an affine match of colours"),
    Figure(key="ssim", title="SSIM", mask=HULL),
    Figure(key="lpips", title="LPIPS", better="low", mask=HULL, note="box of the face, 512 px, grey outside"),
    Figure(key="sface", title="SFace", note="cosine to the true photograph; the whole image"),
    Figure(key="sharpness", title="sharpness", better="neither", mask=HULL, note="relative to the truth"),
)
Image = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class Options:
    """Options of the rounds protocol."""

    factor: Annotated[int, Limit(2, 16)] = 4
    """By which the photographs are reduced."""
    rounds: Annotated[int, Limit(1, 8)] = 3
    """Rounds that are measured, each with those before."""
    video_frames: Annotated[int, Limit(2, 1000)] = 60
    """Frames of the coarse video."""


def measure(setting: Setting) -> Report:
    """Measure the default method, restoration before it, and every round, on every person.

    Raises:
        HeadcastError: another method, or no photographs.
    """
    options: Options = setting.options or Options()
    if setting.subjects != ("ohpavatars",):
        raise HeadcastError(f"evaluate {','.join(setting.subjects)} --protocol rounds: give ohpavatars")
    every = [p.name.removesuffix(ENDING) for p in sorted(setting.data.glob(f"*{ENDING}"))]
    if not every:
        raise HeadcastError(f"{setting.data}: no PERSON{ENDING} there; give the folder of the London set")
    table = setting.data / f"{setting.data.resolve().name}.csv"
    names = setting.chosen(every if setting.only else validation_people(table, every))
    store = Store(setting.out, {"protocol": "rounds", **setting.facts(), **option_facts(options)})
    report = Report(
        protocol="rounds", figures={f.key: f for f in FIGURES}, main=tuple(f.key for f in FIGURES)
    )
    subjects = ["photo, enlarged", DEFAULT_METHOD, f"restored, then {DEFAULT_METHOD}"]
    subjects += [f"round {k}" for k in range(1, options.rounds + 1)]
    with StaticLandmarks() as detector:
        for n, name in enumerate(names):
            say = step_progress(setting.say, n, len(names))
            truth = TrueFace.of(read_rgb(setting.data / f"{name}{ENDING}"), name, detector, setting)

            def work(name: str = name, truth: TrueFace = truth, say: Progress = say) -> dict[str, Row]:
                return {k: truth.score(v) for k, v in renderings(truth, name, options, setting, say, store)}

            for subject, row in store.together(subjects, name, work).items():
                report.add(subject, name, [row])
            kept = {c: store.kept(c, name) for c in ("truth", *subjects)}
            report.sheet.append([(f"{name} {c}", x) for c, k in kept.items() for x in k.values()])
    report.groups = split_groups(names, TUNING["smile"])
    return report


@dataclass(frozen=True)
class TrueFace:
    """The full photograph and where its face is."""

    rgb: Image
    points: Float[np.ndarray, "478 2"]
    setting: Setting

    @classmethod
    def of(cls, rgb: Image, name: str, detector: StaticLandmarks, setting: Setting) -> TrueFace:
        """Detect the face of a photograph."""
        return cls(rgb, detector.real_points(rgb, name), setting)

    def score(self, image: Image) -> Row:
        """Score an image of the same size and view."""
        networks, hull = self.setting.networks, face_hull(self.points, self.rgb)
        matched = match_colours(image, self.rgb, hull)
        row: Row = {"psnr": psnr(matched, self.rgb, hull), "ssim": ssim(matched, self.rgb, hull)}
        row["sharpness"] = relative_sharpness(self.rgb, matched, hull)
        if networks.lpips is not None:
            row["lpips"] = lpips_of(self.crop(matched), self.crop(self.rgb), networks)
        if networks.sface is not None:
            row["sface"] = cosine_similarity(*(networks.sface.embedding(x) for x in (self.rgb, image)))
        return row

    def crop(self, image: Image) -> Image:
        """Crop the face's box, mid grey outside of its outline."""
        import cv2

        hull = face_hull(self.points, self.rgb)[..., None]
        (x0, y0), (x1, y1) = self.points.min(0).astype(int), self.points.max(0).astype(int)
        face = np.where(hull, image, np.uint8(GREY))[max(y0, 0) : y1, max(x0, 0) : x1]
        return cv2.resize(face, (LPIPS_SIDE, LPIPS_SIDE), interpolation=cv2.INTER_AREA)


def match_colours(image: Image, truth: Image, mask: Bool[np.ndarray, "h w"]) -> Image:
    """Map colours by the affine map that is best inside a mask: exposure is not what is compared."""
    x = np.c_[image[mask].astype(np.float64), np.ones(int(mask.sum()))]
    fit = np.linalg.lstsq(x, truth[mask].astype(np.float64), rcond=None)[0]
    mapped = image.reshape(-1, 3).astype(np.float64) @ fit[:3] + fit[3]
    return np.clip(np.round(mapped), 0, 255).astype(np.uint8).reshape(image.shape)


def renderings(
    truth: TrueFace, name: str, options: Options, setting: Setting, say: Progress, store: Store
) -> Iterator[tuple[str, Image]]:
    """Make every avatar of the reduced photo and yield its source view at the full photograph's size."""
    import cv2

    height, width = truth.rgb.shape[:2]
    small = resize_area(truth.rgb, width // options.factor, height // options.factor)

    def shown(subject: str, image: Image) -> tuple[str, Image]:
        store.forget_images(subject, name)
        store.keep(subject, name, "face", truth.crop(image))
        return subject, image

    shown("truth", truth.rgb)
    yield shown("photo, enlarged", cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))
    with TemporaryDirectory() as folder:
        photo, better = Path(folder) / "photo.png", Path(folder) / "restored.png"
        save_png(photo, small)
        say(0.1, f"{name}: {DEFAULT_METHOD}")
        yield shown(DEFAULT_METHOD, render_source(api.create(photo, seed=setting.seed), width, height))
        say(0.2, f"{name}: restored, then {DEFAULT_METHOD}")
        save_png(better, restore(small, scale=4))
        made = api.create(better, seed=setting.seed)
        yield shown(f"restored, then {DEFAULT_METHOD}", render_source(made, width, height))
        for k in range(1, options.rounds + 1):
            say(0.3 + 0.7 * (k - 1) / options.rounds, f"{name}: round {k}")
            given = {"rounds": k, "video_frames": options.video_frames, "always": True}
            given["steps_folder"] = Path(folder) / "steps"  # later rounds go on from the earlier ones
            made = api.create(photo, method="ohpavatars", options=given, seed=setting.seed)
            yield shown(f"round {k}", render_source(made, width, height))


@torch.no_grad()
def render_source(avatar: Avatar, width: int, height: int) -> Image:
    """Render the photo's own view at a larger size, over mid grey."""
    view = source_view(avatar)
    rendering = avatar.render(view.params, view.camera.resized(width, height))
    return flatten(to_rgba(rendering), (GREY, GREY, GREY))
