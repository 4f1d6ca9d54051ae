"""The same real person neutral and smiling: an avatar of the neutral photo, driven by the smiling one.

``data`` holds PERSON_neutral.jpg and PERSON_smile.jpg, as the Face Research Lab London Set v5 does
(L. DeBruine, B. Jones, 2017); a table NAME.csv of the folder's name may separate validation from training.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import UInt8

from headcast import api
from headcast.errors import HeadcastError
from headcast.evaluate.aligned import read_rgb, resize_area
from headcast.evaluate.driven import step_progress
from headcast.evaluate.landmarks import StaticLandmarks
from headcast.evaluate.multiview import rim_figures
from headcast.evaluate.multiview_people import FrontPhoto, front_photo
from headcast.evaluate.people import validation_people
from headcast.evaluate.report import Report
from headcast.evaluate.setting import Setting
from headcast.evaluate.side_views import dlib_distance
from headcast.evaluate.smile_pair import SmilingPhoto, align_neutral, score_smile, smiling_photo
from headcast.evaluate.smile_report import NEUTRAL_PHOTO, SMILING_PHOTO, report_smile
from headcast.evaluate.store import Measured, Store
from headcast.evaluate.subjects import Subject, find_subjects
from headcast.image import save_png
from headcast.progress import Progress

__all__ = ["measure"]

SIDE = 800
"""Pixels of both photos' sides."""
NEUTRAL_ENDING, SMILE_ENDING = "_neutral.jpg", "_smile.jpg"
CLIP_FRAMES, CLIP_FPS = 6, 25
MEASURED_FRAME = -2  # of the rendered clip: the driver's expression has settled
CLIP_QUALITY = "10"  # libx264's constant rate factor of the driving clip: no visible loss

Image = UInt8[np.ndarray, "h w 3"]


def measure(setting: Setting) -> Report:
    """Measure every method on every person, one row each."""
    names = setting.chosen(people_of(setting))
    who = find_subjects(setting.subjects, setting.seed)
    store = Store(setting.out, {"protocol": "smile", **setting.facts()})
    found: dict[str, dict[str, Measured]] = {}
    skipped: dict[str, str] = {}
    with StaticLandmarks() as detector:
        for k, name in enumerate(names):
            say = step_progress(setting.say, k, len(names))
            try:
                found[name] = _person(name, who, store, detector, setting, say)
            except HeadcastError as e:
                skipped[name] = str(e)
    return report_smile(found, [c.name for c in who], store, setting, skipped)


def people_of(setting: Setting) -> list[str]:
    """List people with both photos: those of validation where a table says so, any named by ``only``.

    Raises:
        HeadcastError: there is nobody.
    """
    ends = [p.name.removesuffix(NEUTRAL_ENDING) for p in sorted(setting.data.glob(f"*{NEUTRAL_ENDING}"))]
    names = [n for n in ends if (setting.data / f"{n}{SMILE_ENDING}").is_file()]
    if not names:
        raise HeadcastError(f"{setting.data}: no PERSON{NEUTRAL_ENDING} with PERSON{SMILE_ENDING} there")
    table = setting.data / f"{setting.data.resolve().name}.csv"
    return names if setting.only else validation_people(table, names)


def _person(
    name: str, who: list[Subject], store: Store, detector: StaticLandmarks, setting: Setting, say: Progress
) -> dict[str, Measured]:
    kept = {c.name: m for c in who if (m := store.get(c.name, name, c.facts)) is not None}
    missing = [c for c in who if c.name not in kept]
    if not missing:
        return kept
    say(0.0, f"{name}: photos")
    neutral, smile = (
        resize_area(read_rgb(setting.data / f"{name}{ending}"), SIDE, SIDE)
        for ending in (NEUTRAL_ENDING, SMILE_ENDING)
    )
    front = front_photo(neutral, f"{name}{NEUTRAL_ENDING}", detector, setting.networks)
    points = detector.real_points(smile, f"{name}{SMILE_ENDING}")
    smiling = smiling_photo(smile, points, setting.networks, detector)
    for column, image in ((NEUTRAL_PHOTO, neutral), (SMILING_PHOTO, smile)):
        store.keep(column, name, "smile", image)
    for k, c in enumerate(missing):
        say_c = step_progress(say, k, len(missing))
        kept[c.name] = subject_row(c, name, front, smiling, store, detector, setting, say_c)
        store.put(c.name, name, kept[c.name], c.facts)
    return {c.name: kept[c.name] for c in who}


def subject_row(
    who: Subject,
    name: str,
    front: FrontPhoto,
    smiling: SmilingPhoto,
    store: Store,
    detector: StaticLandmarks,
    setting: Setting,
    say: Progress,
) -> Measured:
    """Measure one method; ``lost`` where no avatar can be made or driven."""
    store.forget_images(who.name, name)
    if who.make is None:
        image, at_source = align_neutral(front.rgb, front.points, smiling, name), front.rgba
    else:
        try:
            image, at_source = render_driven(who, name, front, smiling, setting, say)
        except HeadcastError:
            return Measured([{"lost": 1.0, "typology": front.typology}])
    store.keep(who.name, name, "smile", image)
    found = detector.points(image)
    scores = None if found is None else detector.scores(found)
    row = score_smile(smiling, image, scores, setting.networks)
    row |= dlib_distance(smiling.rgb, smiling.points, image, found, setting.networks)
    rim = rim_figures("rim", at_source, front, front.scale, front.chin)
    return Measured([{**row, **rim, "typology": front.typology, "lost": 0.0}])


def render_driven(
    who: Subject, name: str, front: FrontPhoto, smiling: SmilingPhoto, setting: Setting, say: Progress
) -> tuple[Image, UInt8[np.ndarray, "_ _ 4"]]:
    """Render the avatar driven by the smiling photo, and as the neutral photo's camera views it."""
    assert who.make is not None
    folder = setting.out / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    photo, clip, out = (folder / f"{name}{end}" for end in ("_neutral.png", "_smile.mp4", "_driven.mp4"))
    save_png(photo, front.rgb)
    write_still_clip(smiling.rgb, clip)
    words = f"{name}: {who.name}"
    made = who.make([photo], lambda fraction, what: say(0.7 * fraction, f"{words}: {what}"))
    with TemporaryDirectory(dir=folder) as temporary:  # what a user drives has been through a file
        made.save(Path(temporary) / "made.avatar")
        avatar = api.load(Path(temporary) / "made.avatar")
    api.animate(
        avatar,
        clip,
        out,
        camera="driver",
        background="grey",
        progress=lambda fraction, what: say(0.7 + 0.3 * fraction, f"{words}: {what}"),
    )
    image = decode(out)[MEASURED_FRAME]
    if image.shape != smiling.rgb.shape:
        image = resize_area(image, smiling.rgb.shape[1], smiling.rgb.shape[0])
    return image, api.render(avatar, view="source")


def write_still_clip(rgb: Image, path: Path) -> None:
    """Write an image, held for some frames, as H.264."""
    import av
    from av.video.reformatter import Colorspace

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=CLIP_FPS, options={"crf": CLIP_QUALITY})
        stream.width, stream.height, stream.pix_fmt = rgb.shape[1], rgb.shape[0], "yuv420p"
        stream.codec_context.colorspace = Colorspace.ITU601  # what swscale converts to unless asked otherwise
        for _ in range(CLIP_FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())


def decode(path: Path) -> list[Image]:
    """Decode all frames of a short clip."""
    import av

    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
