"""``headcast restore``: restore a degraded photo."""

from __future__ import annotations

import time
from pathlib import Path

from headcast.cli.commands import Restore
from headcast.cli.output import output_path, report
from headcast.cli.progress import Bar
from headcast.device import pick_device
from headcast.files import check_writable
from headcast.marks import png_metadata

__all__ = ["run_restore"]

MARK = "photograph restored with headcast ({}): detail that the photo lacked is a guess"


def run_restore(command: Restore) -> None:
    """Run ``headcast restore``: write the restored photo."""
    start = time.perf_counter()
    out = output_path(command.out, f"{command.photo.stem}_restored", ".png")
    report(out, command.seed, start, command.json, write_restored(command, out))


def write_restored(command: Restore, out: Path) -> tuple[str, ...]:
    """Write the restored image; return notes.

    Raises:
        HeadcastError: what the user can mend.
    """
    from headcast.image import load_image, save_png
    from headcast.restore import restore

    device = pick_device(command.device)
    check_writable(out)
    photo = load_image(command.photo)
    with Bar() as bar:
        image = restore(
            photo.over_grey(),
            network=command.with_,
            strength=command.strength,
            scale=command.scale,
            device=device,
            seed=command.seed,
            progress=bar,
        )
    save_png(out, image, png_metadata({"synthetic_media": MARK.format(command.with_)}))
    alpha_note = (
        ("its alpha channel is dropped; what is transparent is grey",) if photo.alpha is not None else ()
    )
    return (*photo.notes, *alpha_note)
