"""A real photo, reduced, becomes an avatar that is super-resolved: against the full photo and a smiling one.

``data`` is a folder of PERSON_neutral.jpg and PERSON_smile.jpg, as the protocol ``smile`` takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import UInt8

from headcast import api
from headcast.avatar.base import Avatar
from headcast.errors import HeadcastError
from headcast.evaluate.aligned import read_rgb, resize_area
from headcast.evaluate.driven import step_progress
from headcast.evaluate.landmarks import StaticLandmarks
from headcast.evaluate.multiview_people import FrontPhoto, front_photo
from headcast.evaluate.multiview_report import image_lines
from headcast.evaluate.people import TUNING, group_people, split_note, typology_angles
from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting
from headcast.evaluate.side_views import dlib_distance
from headcast.evaluate.smile import NEUTRAL_ENDING, SIDE, SMILE_ENDING, people_of, render_driven
from headcast.evaluate.smile_pair import SmilingPhoto, score_smile, smiling_photo
from headcast.evaluate.store import Measured, Store
from headcast.evaluate.subjects import Subject
from headcast.image import save_png
from headcast.limits import Limit
from headcast.methods.superhead.options import Ablation, SuperHeadOptions
from headcast.metrics.figure import Figure
from headcast.metrics.sharpness import relative_sharpness
from headcast.metrics.ssim import ssim_maps
from headcast.priors.restorer.restore import restore_image
from headcast.view import flatten, source_view, to_rgba

__all__ = ["Options", "measure"]

Image = UInt8[np.ndarray, "h w 3"]
Make = Callable[[Path], Avatar]

LOW, FRAMES = "low avatar", "restored frames"
PHOTO, SMILE = "photo", "smiling photo"
GREY = (128, 128, 128)
HULL = "convex hull of the face's outline in the real photo"


@dataclass(frozen=True)
class Options:
    """Options of the enhancement protocol."""

    reduction: Annotated[float, Limit(1, 32)] = 4.0
    """How many times the photo is reduced."""
    ablations: bool = False
    """Measure what remains without one of SuperHead's parts, too."""
    iterations: Annotated[int, Limit(3, 5000)] = 150
    """Steps of SuperHead's inversion."""
    scale: Literal[0, 1, 2, 4] = 1
    """Times that SuperHead's anchors are larger than their renderings, as in headcast enhance."""


@lru_cache(maxsize=1)
def low_avatar(photo: Path, seed: int) -> Avatar:
    """Create the low-resolution avatar from the reduced photo."""
    return api.create(photo, seed=seed)


def restored_then_created(photo: Path, seed: int, reduction: float) -> Avatar:
    """Create an avatar from the restored photo."""
    scale = max(s for s in (1, 2, 4) if s <= max(reduction, 1))
    restored = restore_image(read_rgb(photo), scale=scale)
    path = photo.with_name(f"{photo.stem}_restored.png")
    save_png(path, restored)
    return api.create(path, seed=seed)


def super_resolved(
    photo: Path, seed: int, options: Options, ablation: Ablation = "none", invert: bool = True
) -> Avatar:
    """Create the low-resolution avatar and enhance it."""
    own = SuperHeadOptions(
        invert=invert, iterations=options.iterations, scale=options.scale, ablation=ablation
    )
    return api.enhance(low_avatar(photo, seed), method="superhead", options=own, seed=seed)


def table_rows(options: Options, seed: int) -> dict[str, Make]:
    """Return how each row of the table makes its avatar from the reduced photo."""
    enhance = partial(super_resolved, seed=seed, options=options)
    rows: dict[str, Make] = {
        LOW: partial(low_avatar, seed=seed),
        "restore, then create": partial(restored_then_created, seed=seed, reduction=options.reduction),
        FRAMES: partial(low_avatar, seed=seed),
        "anchors without prior": partial(enhance, ablation="no-prior"),
        "prior alone": partial(enhance, invert=False),
        "superhead": enhance,
    }
    ablations: tuple[Ablation, ...] = ("no-multi-view", "no-multi-expression", "no-depth", "no-geometry")
    if options.ablations:
        rows |= {f"superhead, {a}": partial(enhance, ablation=a) for a in ablations}
    return rows


def measure(setting: Setting) -> Report:
    """Measure every row on every person.

    Raises:
        HeadcastError: another method, nobody with both photos.
    """
    options: Options = setting.options or Options()
    if setting.subjects != ("superhead",):
        raise HeadcastError(f"evaluate {','.join(setting.subjects)} --protocol enhancement: give superhead")
    names = setting.chosen(people_of(setting))
    store = Store(setting.out, {"protocol": "enhancement", "reduction": options.reduction, **setting.facts()})
    rows = table_rows(options, setting.seed)
    report = Report(protocol="enhancement", figures={f.key: f for f in figures(setting)})
    with StaticLandmarks() as detector:
        for k, name in enumerate(names):
            say = step_progress(setting.say, k, len(names))
            try:
                person = Person.read(name, setting, options, detector)
            except HeadcastError as e:
                report.skipped[name] = str(e)
                continue
            for n, (row, make) in enumerate(rows.items()):
                say(n / len(rows), f"{name}: {row}")
                work = partial(person.measured, row, make, store)
                report.add(row, name, store.once(row, name, work, [options.iterations, options.scale]).rows)
            person.keep_photos(store)
    finish(report, store, setting, list(rows))
    return report


def finish(report: Report, store: Store, setting: Setting, rows: list[str]) -> None:
    """Add groups of people, the sheet and notes."""
    people = report.items()
    report.main = ("psnr", "ssim", "lpips", "sface", "identity", "smile_psnr", "smile_lpips", "smile_sface")
    report.main = (*report.main, "smile_identity", "sharpness")
    report.groups = group_people(setting.data, people, TUNING["smile"], typology_angles(report))
    report.sheet = image_lines(store, people, [PHOTO, *rows], ("same",))
    report.sheet += image_lines(store, people, [SMILE, *rows], ("smile",))
    report.notes += [
        "the reduced neutral photo becomes an avatar, rendered by its own camera at the full photo's size "
        "and driven by the smiling photo; 'restored frames' restores the low avatar's renderings one by one",
        split_note(people, TUNING["smile"]),
    ]


@dataclass(frozen=True)
class Person:
    """One person's photos and what is detected in them once."""

    name: str
    front: FrontPhoto
    same: SmilingPhoto
    smiling: SmilingPhoto
    low: Path
    setting: Setting
    detector: StaticLandmarks

    @classmethod
    def read(cls, name: str, setting: Setting, options: Options, detector: StaticLandmarks) -> Person:
        """Read both photos and write the reduced one.

        Raises:
            HeadcastError: no face in one of them.
        """
        neutral, smile = (
            resize_area(read_rgb(setting.data / f"{name}{ending}"), SIDE, SIDE)
            for ending in (NEUTRAL_ENDING, SMILE_ENDING)
        )
        front = front_photo(neutral, f"{name}{NEUTRAL_ENDING}", detector, setting.networks)
        same = smiling_photo(neutral, front.points, setting.networks, detector)
        points = detector.real_points(smile, f"{name}{SMILE_ENDING}")
        smiling = smiling_photo(smile, points, setting.networks, detector)
        side = round(SIDE / options.reduction)
        low = setting.out / "sources" / f"{name}_low.png"
        low.parent.mkdir(parents=True, exist_ok=True)
        save_png(low, resize_area(neutral, side, side))
        return cls(name, front, same, smiling, low, setting, detector)

    def keep_photos(self, store: Store) -> None:
        """Store both photos for the sheet."""
        store.keep(PHOTO, self.name, "same", self.same.rgb)
        store.keep(SMILE, self.name, "smile", self.smiling.rgb)

    def measured(self, row: str, make: Make, store: Store) -> Measured:
        """Make the row's avatar and compare it with both photos."""
        avatar = make(self.low)
        subject = Subject(row, "", lambda photos, progress: avatar)
        view = source_view(avatar).resized((SIDE, SIDE))
        same = flatten(to_rgba(avatar.render(view.params, view.camera)), GREY)
        driven, _ = render_driven(
            subject, self.name, self.front, self.smiling, self.setting, self.setting.say
        )
        if row == FRAMES:
            same, driven = restore_image(same), restore_image(driven)
        store.keep(row, self.name, "same", same)
        store.keep(row, self.name, "smile", driven)
        found = self.compare(self.same, same)
        found["sharpness"] = relative_sharpness(self.same.rgb, same, self.same.hull)
        found |= {f"smile_{k}": v for k, v in self.compare(self.smiling, driven).items()}
        return Measured([{**found, "typology": self.front.typology}])

    def compare(self, real: SmilingPhoto, image: Image) -> Row:
        """Compare an image with a real photo of the same camera."""
        networks = self.setting.networks
        points = self.detector.points(image)
        scores = None if points is None else self.detector.scores(points)
        row = score_smile(real, image, scores, networks)
        row |= dlib_distance(real.rgb, real.points, image, points, networks)
        maps, _ = ssim_maps(real.rgb.astype(np.float32) / 255, image.astype(np.float32) / 255)
        row["ssim"] = float(maps[real.hull].mean())
        return row


def figures(setting: Setting) -> list[Figure]:
    """Describe what the keys of rows mean."""
    names = setting.networks.names()
    made = []
    for prefix, what in (("", "same view"), ("smile_", "smiling")):
        made += [
            Figure(key=f"{prefix}psnr", title=f"PSNR, {what}", unit="dB", mask=HULL),
            Figure(key=f"{prefix}ssim", title=f"SSIM, {what}", unit="", mask=HULL),
            *(
                Figure(
                    key=f"{prefix}{key}",
                    title=f"{title}, {what}",
                    unit="",
                    better="low",
                    network=names["lpips"],
                    crop="box of the face's outline, 256 px"
                    if key == "lpips"
                    else "box of the mouth, 256 px",
                    note="version 0.1",
                )
                for key, title in (("lpips", "LPIPS"), ("mouth", "LPIPS mouth"))
                if "lpips" in names
            ),
        ]
        if "sface" in names:
            made.append(
                Figure(key=f"{prefix}sface", title=f"SFace, {what}", unit="cosine", network=names["sface"])
            )
        if "identity" in names:
            title = f"identity distance, {what}"
            network = names["identity"]
            made.append(
                Figure(key=f"{prefix}identity", title=title, unit="", better="low", network=network, lost=1.2)
            )
    made.append(
        Figure(
            key="sharpness", title="sharpness", unit="", better="neither", mask=HULL, note="of the photo's"
        )
    )
    return [*made, Figure(key="typology", title="skin tone (ITA)", unit="degrees", better="neither")]
