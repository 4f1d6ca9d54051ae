"""What the commands do: calls into the interface, then words for the user."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headcast import api
from headcast.cli.commands import (
    Animate,
    Bake,
    Command,
    Create,
    Doctor,
    Evaluate,
    Export,
    Info,
    Observe,
    Render,
    Restore,
    Synth,
    Texture,
    Train,
    View,
    Weights,
)
from headcast.cli.expression import parse_expression
from headcast.cli.progress import Bar
from headcast.cli.record import write_record
from headcast.device import pick_device
from headcast.errors import HeadcastError
from headcast.files import check_writable
from headcast.marks import commercial_use, licences, picture_text
from headcast.view import background_colour, parse_size

if TYPE_CHECKING:
    from headcast.head.model import HeadModel
    from headcast.synth.recorded import Recording

__all__ = ["run"]


def run(command: Command) -> None:
    """Runs a command.

    Raises:
        HeadcastError: what the user can mend.
    """
    match command:
        case Create():
            run_create(command)
        case Animate():
            run_animate(command)
        case Render():
            run_render(command)
        case Bake():
            run_bake(command)
        case Export():
            run_export(command)
        case Observe():
            run_observe(command)
        case Info():
            run_info(command)
        case View():
            run_view(command)
        case Synth():
            run_synth(command)
        case Train():
            from headcast.cli.train import run_train

            start = time.perf_counter()
            notes = run_train(command)
            report(command.out, command.config.seed, start, command.json, notes)
        case Evaluate():
            from headcast.cli.evaluate import run_evaluate

            start = time.perf_counter()
            folder, notes = run_evaluate(command)
            report(folder, command.seed, start, command.json, notes)
        case Restore():
            from headcast.cli.restore import run_restore

            start = time.perf_counter()
            out = output(command.out, f"{command.photo.stem}_restored", ".png")
            report(out, command.seed, start, command.json, run_restore(command, out))
        case Texture():
            from headcast.cli.texture import run_texture

            start = time.perf_counter()
            folder = command.out or Path("maps")
            report(folder, command.seed, start, command.json, run_texture(command, folder))
        case Weights():
            from headcast.cli.weights import run_weights

            run_weights(command)
        case Doctor():
            from headcast.cli.doctor import doctor

            doctor(command.places, command.convert, command.json)


def run_create(command: Create) -> None:
    """``headcast create``."""
    start = time.perf_counter()
    pick_device(command.device)
    if not command.sources:
        raise HeadcastError("create: give a photo, several photos or a video of one person")
    out = output(command.out, command.sources[0].stem, ".avatar")
    check_writable(out)
    with Bar() as bar:
        head = chosen_head(command.head, command.flame, command.ict, bar)
        avatar = api.create(
            command.sources, method=command.method, face=command.face, head=head,
            representation=command.representation, texture_size=command.texture_size, seed=command.seed,
            consent=command.consent, progress=bar, skin_maps=command.texture,
            maps_folder=out.with_suffix(".maps"),
        )  # fmt: skip
        avatar.save(out)
    report(out, command.seed, start, command.json, tuple(avatar.info.get("warnings", ())))


def chosen_head(name: str, flame: Path | None, ict: Path | None, progress: api.Progress) -> HeadModel | None:
    """The head model that the options ask for; None: the bundled one."""
    for kind, path in (("flame", flame), ("ict", ict)):
        if name == kind and path is None:
            raise HeadcastError(
                f"--head {kind}: give its file with --{kind} PATH (see docs/foreign_heads.md)"
            )
        if name != kind and path is not None:
            raise HeadcastError(f"--{kind} {path}: only with --head {kind}")
    if name == "headcast":
        return None
    from headcast.head.foreign.known import foreign_head

    return foreign_head(name, flame or ict or Path(), progress)


def run_animate(command: Animate) -> None:
    """``headcast animate``."""
    start = time.perf_counter()
    pick_device(command.device)
    if (command.drive is None) == (command.preset is None):
        raise HeadcastError(
            "animate: give either --drive VIDEO|CSV|JSON|NPZ or --preset speech|expressions|turntable"
        )
    out = output(command.out, command.avatar.stem, ".mp4")
    check_writable(out)
    size = parse_size(command.size)
    with Bar() as bar:
        notes = api.animate(
            api.load(command.avatar), command.drive or str(command.preset), out, camera=command.camera,
            frames=command.frames, size=size, fps=command.fps, background=command.background,
            side_by_side=command.side_by_side, flame=command.flame, progress=bar,
        )  # fmt: skip
    report(out, command.seed, start, command.json, notes)


def run_render(command: Render) -> None:
    """``headcast render``."""
    from headcast.image import save_png

    start = time.perf_counter()
    pick_device(command.device)
    out = output(command.out, command.avatar.stem, ".png")
    check_writable(out)
    weights, size = parse_expression(command.expression), parse_size(command.size)
    background_colour(command.background)
    avatar = api.load(command.avatar)
    picture = api.render(
        avatar, view=command.view, yaw=command.yaw, pitch=command.pitch, expression=weights,
        size=size, background=command.background,
    )  # fmt: skip
    save_png(out, picture, picture_text(avatar.info))
    report(out, command.seed, start, command.json)


def run_bake(command: Bake) -> None:
    """``headcast bake``."""
    start = time.perf_counter()
    pick_device(command.device)
    out = output(command.out, f"{command.avatar.stem}_rigged", ".avatar")
    check_writable(out)
    with Bar() as bar:
        avatar = api.bake(api.load(command.avatar), seed=command.seed, progress=bar)
        avatar.save(out)
    report(out, command.seed, start, command.json, tuple(avatar.info.get("warnings", ())))


def run_export(command: Export) -> None:
    """``headcast export``."""
    from headcast.avatar.export.base import FORMATS

    start = time.perf_counter()
    if command.to is None and command.out is None:
        raise HeadcastError(f"export: give --to {'|'.join(FORMATS)} or a file's name with -o")
    out = command.out or Path(command.avatar.stem + FORMATS[str(command.to)].suffix)
    written = api.export(
        api.load(command.avatar), out, command.to, shading=command.shading, texture_size=command.texture_size,
        expression=parse_expression(command.expression), rigged=command.rigged, sh_degree=command.sh_degree,
        axes=command.axes, subdivide=command.subdivide,
    )  # fmt: skip
    beside = tuple(f"beside it: {path}" for path in written[1:])
    report(out, 0, start, command.json, beside)


def run_observe(command: Observe) -> None:
    """``headcast observe``."""
    from headcast.observe.report import write_report

    start = time.perf_counter()
    pick_device(command.device)
    folder = command.out or Path("report")
    if folder.exists() and not folder.is_dir():
        raise HeadcastError(f"{folder}: is a file; name a folder for the report")
    check_writable(folder / "run.json" if folder.is_dir() else folder)
    with Bar() as bar:
        seen = api.observe(command.photo, face=command.face, progress=bar)
        if command.parser:
            from headcast.observe.parsed import with_parser

            seen = [with_parser(seen[0], folder)]
        words = write_report(seen[0], folder, debug=command.debug)
    report(folder, 0, start, command.json, tuple(words))


def run_info(command: Info) -> None:
    """``headcast info``."""
    avatar = api.load(command.avatar)
    facts = {**avatar.info, "commercial_use": commercial_use(avatar.info)}
    if command.json:
        print(json.dumps(facts, indent=1))
        return
    facts["weights"] = licences(facts)
    facts.setdefault("consent", "none stated")
    for name, value in flat(facts):
        print(f"{name:<24} {value}")


def run_view(command: View) -> None:
    """``headcast view``."""
    import webbrowser

    start = time.perf_counter()
    out = output(command.out, command.avatar.stem, ".html")
    api.export(api.load(command.avatar), out, "html")
    report(out, 0, start, command.json)
    if not command.no_open and not webbrowser.open(out.resolve().as_uri()):
        sys.stderr.write(f"headcast: no browser was found; open {out} in one\n")


def run_synth(command: Synth) -> None:
    """``headcast synth``."""
    from headcast.methods.portrait4d.framing import FRAMINGS
    from headcast.synth.config import SynthConfig
    from headcast.synth.folder import write_people

    start = time.perf_counter()
    config = SynthConfig(
        split=command.split, size=command.size, texture=command.texture, frames=command.frames,
        views=command.views, clip=command.clip, framing=FRAMINGS.get(command.framing, command.framing),
    )  # fmt: skip
    device = pick_device(command.device)
    with Bar() as bar:
        recordings = tuple(recorded(path, bar) for path in command.motion)
        made, known = write_people(
            config, command.identities, command.out, device, command.seed, bar, recordings
        )
    notes = (f"{known} of {known + made} people were there already",) if known else ()
    report(command.out, command.seed, start, command.json, notes)


def recorded(path: Path, progress: api.Progress) -> Recording:
    """A performance for synthetic heads."""
    from headcast.drive import performance
    from headcast.head.params import gaze_from_eye_look
    from headcast.synth.recorded import Recording

    m = performance(path, progress=lambda share, what: progress(share, f"{path.name}: {what}"))
    gaze = gaze_from_eye_look(m.expression) if m.gaze is None else m.gaze
    return Recording(path.name, m.fps, m.expression, m.neck, gaze)


def flat(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested facts as lines."""
    lines: list[tuple[str, str]] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            lines += flat(value, f"{prefix}{name}.")
        else:
            lines.append(
                (prefix + name, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
            )
    return lines


def output(given: Path | None, stem: str, suffix: str) -> Path:
    """Where the result goes; a wrong ending is a mistake, not a surprise."""
    out = given or Path(stem + suffix)
    if out.suffix.lower() != suffix:
        raise HeadcastError(f"{out}: the output's name must end in {suffix}")
    return out


def report(out: Path, seed: int, start: float, as_json: bool, notes: tuple[str, ...] = ()) -> None:
    """Writes run.json and tells where the result is."""
    record = write_record(out, seed, time.perf_counter() - start, notes)
    if as_json:
        print(json.dumps(record, indent=1))
        return
    for note in notes:
        sys.stderr.write(f"headcast: {note}\n")
    print(out)
