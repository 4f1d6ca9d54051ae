"""Run the commands: call the interface, then report to the user."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from headcast import api
from headcast.cli.commands import Animate, Bake, Export, Observe, Render, Synth, View
from headcast.cli.expression import parse_expression
from headcast.cli.output import free_path, output_path, print_note, report
from headcast.cli.progress import Bar
from headcast.device import pick_device
from headcast.errors import HeadcastError
from headcast.files import check_writable
from headcast.marks import png_metadata
from headcast.progress import Progress
from headcast.view import background_colour, parse_size

if TYPE_CHECKING:
    from headcast.synth.recorded import Recording

__all__ = [
    "run_animate",
    "run_bake",
    "run_export",
    "run_observe",
    "run_render",
    "run_synth",
    "run_view",
]


def run_animate(command: Animate) -> None:
    """Run ``headcast animate``: write a video of a driven avatar or photo."""
    start = time.perf_counter()
    pick_device(command.device)
    if (command.drive is None) == (command.preset is None):
        raise HeadcastError(
            "animate: give either --drive VIDEO|CSV|JSON|NPZ or --preset speech|expressions|turntable"
        )
    out = output_path(command.out, command.avatar.stem, ".mp4")
    check_writable(out)
    size = parse_size(command.size)
    if command.method is not None:
        if command.face is not None:
            raise HeadcastError(
                f"animate --method {command.method}: takes no --face; cut the video to one face"
            )
        if command.drive is None:
            raise HeadcastError(f"animate --method {command.method}: give a driving video with --drive")
        with Bar() as bar:
            notes = api.animate_image(
                command.avatar,
                command.drive,
                out,
                method=command.method,
                options=command.options,
                frames=command.frames,
                seed=command.seed,
                progress=bar,
            )
        report(out, command.seed, start, command.json, notes)
        return
    with Bar() as bar:
        notes = api.animate(
            api.load(command.avatar),
            command.drive or str(command.preset),
            out,
            camera=command.camera,
            light=command.light,
            frames=command.frames,
            size=size,
            fps=command.fps,
            background=command.background,
            side_by_side=command.side_by_side,
            flame=command.flame,
            face=command.face,
            progress=bar,
        )
    report(out, command.seed, start, command.json, notes)


def run_render(command: Render) -> None:
    """Run ``headcast render``: write one image."""
    from headcast.image import save_png

    start = time.perf_counter()
    pick_device(command.device)
    out = output_path(command.out, command.avatar.stem, ".png")
    check_writable(out)
    weights, size = parse_expression(command.expression), parse_size(command.size)
    background_colour(command.background)
    avatar = api.load(command.avatar)
    image = api.render(
        avatar,
        view=command.view,
        yaw=command.yaw,
        pitch=command.pitch,
        expression=weights,
        size=size,
        background=command.background,
    )
    save_png(out, image, png_metadata(avatar.info))
    report(out, command.seed, start, command.json)


def run_bake(command: Bake) -> None:
    """Run ``headcast bake``: write a rigged avatar."""
    start = time.perf_counter()
    pick_device(command.device)
    out = output_path(command.out, f"{command.avatar.stem}_rigged", ".avatar")
    check_writable(out)
    with Bar() as bar:
        avatar = api.bake(api.load(command.avatar), seed=command.seed, progress=bar)
        avatar.save(out)
    report(out, command.seed, start, command.json, avatar.provenance.warnings)


def run_export(command: Export) -> None:
    """Run ``headcast export``: write a file for other programs."""
    from headcast.avatar.export.base import FORMATS

    start = time.perf_counter()
    if command.to is None and command.out is None:
        raise HeadcastError(f"export: give --to {'|'.join(FORMATS)} or a file's name with -o")
    out = free_path(command.out or Path(command.avatar.stem + FORMATS[str(command.to)].suffix))
    written = api.export(
        api.load(command.avatar),
        out,
        command.to,
        shading=command.shading,
        texture_size=command.texture_size,
        expression=parse_expression(command.expression),
        rigged=command.rigged,
        sh_degree=command.sh_degree,
        axes=command.axes,
        subdivide=command.subdivide,
    )
    notes = tuple(f"also written: {path}" for path in written[1:])
    report(out, 0, start, command.json, notes)


def run_observe(command: Observe) -> None:
    """Run ``headcast observe``: write a report on a photo."""
    from headcast.observe.report import write_observation_report

    start = time.perf_counter()
    pick_device(command.device)
    folder = free_path(command.out or Path("report"))
    if folder.exists() and not folder.is_dir():
        raise HeadcastError(f"{folder}: is a file; name a folder for the report")
    check_writable(folder / "run.json" if folder.is_dir() else folder)
    with Bar() as bar:
        observations = api.observe(command.photo, face=command.face, progress=bar)
        if command.labels:
            from headcast.observe.parsed import write_labels

            write_labels(observations[0], folder)
        notes = write_observation_report(observations[0], folder, debug=command.debug)
    report(folder, 0, start, command.json, tuple(notes))


def run_view(command: View) -> None:
    """Run ``headcast view``: write the HTML viewer and open it."""
    import webbrowser

    start = time.perf_counter()
    out = output_path(command.out, command.avatar.stem, ".html")
    api.export(api.load(command.avatar), out, "html")
    report(out, 0, start, command.json)
    if not command.no_open and not webbrowser.open(out.resolve().as_uri()):
        print_note(f"no browser was found; open {out} in one")


def run_synth(command: Synth) -> None:
    """Run ``headcast synth``: write a folder of synthetic heads."""
    from headcast.synth.config import SynthConfig
    from headcast.synth.folder import write_person_folders

    start = time.perf_counter()
    config = SynthConfig(
        split=command.split,
        size=command.size,
        texture=command.texture,
        frames=command.frames,
        views=command.views,
        clip=command.clip,
        framing=command.framing,
    )
    device = pick_device(command.device)
    with Bar() as bar:
        recordings = tuple(read_recording(path, bar) for path in command.motion)
        written, existing = write_person_folders(
            config, command.identities, command.out, device, command.seed, bar, recordings
        )
    notes = (f"{existing} of {existing + written} people existed already",) if existing else ()
    report(command.out, command.seed, start, command.json, notes)


def read_recording(path: Path, progress: Progress) -> Recording:
    """Read a video or recording as a performance that synthetic heads can play."""
    from headcast.drive import performance
    from headcast.head.params import gaze_from_eye_look
    from headcast.synth.recorded import Recording

    motion = performance(path, progress=lambda fraction, step: progress(fraction, f"{path.name}: {step}"))
    gaze = gaze_from_eye_look(motion.expression) if motion.gaze is None else motion.gaze
    return Recording(
        name=path.name, fps=motion.fps, expression=motion.expression, neck=motion.neck, gaze=gaze
    )
