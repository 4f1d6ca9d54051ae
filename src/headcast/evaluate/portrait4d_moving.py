"""Do expressions move the face as they should? Ψ on held-out synthetic people whose expression alone changes.

    python tools/build_portrait4d_people.py --out still --people 32 --first 2000 --split test --seed 910 \\
        --apart 2.5 --expression 1.8 --still-neck
    python -m headcast.evaluate.portrait4d_moving --people still -o out/moving [--weights FILE]

A person is drawn with the expressions of two moments from one camera. Around mouth and eyes, what changes
between the two drawings is compared with what changes between the two true pictures: ``slope`` is how much of
the true change the drawn one makes (1 is right, 0: a face that does not move), ``correlation`` how alike they
are whatever their size, ``left`` the share of the true change (squared) that is still wrong (1: as if nothing
moved). Expressions are given as weights, and as the drivers' faces through the motion encoder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.files import atomic_path
from headcast.head.names import EXPRESSION_INDEX
from headcast.image import save_png
from headcast.methods.portrait4d.data import NeckShots
from headcast.methods.portrait4d.losses import moving_parts
from headcast.methods.portrait4d.motion import TOLD, faces_of, told
from headcast.methods.portrait4d.networks import Networks, read_networks, weights_file
from headcast.methods.portrait4d.stored import People, read_people

__all__ = ["POSES", "changes", "main", "sheet"]

POSES: dict[str, tuple[str, ...]] = {
    "neutral": (), "jaw open": ("jawOpen",), "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "blink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "brows": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), "pucker": ("mouthPucker",),
}  # fmt: skip
"""Expressions of the sheet, each weight .9."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes ``moving.md`` and ``moving.png``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", required=True, help="folder of tools/build_portrait4d_people.py")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where table and picture go")
    parser.add_argument("--weights", default="", help="of portrait4d.motion; empty: those installed")
    parser.add_argument("--most", type=int, default=1000, help="how many people at the most")
    a = parser.parse_args(arguments)
    try:
        networks, people = read_networks(a.weights or str(weights_file())), read_people(a.people)
        if networks.said is None:
            raise HeadcastError(
                "portrait4d: these weights have no map from expression weights; nothing to measure"
            )
    except HeadcastError as e:
        sys.stderr.write(f"{e}\n")
        return 2
    lines = ["| expression by | n | slope | correlation | left |", "|---|---|---|---|---|"]
    count = min(a.most, len(people.head))
    for how, f in changes(networks, people, count).items():
        lines.append(f"| {how} | {count} | {f['slope']:.3f} | {f['correlation']:.3f} | {f['left']:.3f} |")
    a.out.mkdir(parents=True, exist_ok=True)
    save_png(a.out / "moving.png", sheet(networks, people, range(min(6, count))))
    with atomic_path(a.out / "moving.md") as tmp:
        tmp.write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def views_of(people: People, who: Tensor, side: int) -> tuple[NeckShots, NeckShots, NeckShots]:
    """A source picture, and both moments as another camera sees them before the source's background."""
    zero = torch.zeros_like(who)
    cpu = torch.device("cpu")
    source = people.shots(who, zero, zero, cpu, side)
    still, moved = (people.shots(who, zero + m, zero + 1, cpu, side) for m in (0, 1))
    return source, still.before(source.background), moved.before(source.background)


def embedded(networks: Networks, shots: NeckShots) -> dict[str, Float[Tensor, "b m"]]:
    """Motion embeddings by expression weights and by the encoder."""
    assert networks.said is not None
    faces = faces_of(shots.image, shots.marks, networks.face_side)
    return {"weights": networks.said(told(shots.params)), "the driver's face": networks.motion(faces)}


@torch.no_grad()
def changes(networks: Networks, people: People, most: int) -> dict[str, dict[str, float]]:
    """Slope, correlation and what is left of the pictures' change, over people together."""
    psi, c = networks.psi, networks.psi.config
    sums: dict[str, Tensor] = {}
    for who in torch.arange(min(most, len(people.head))).split(4):
        source, still, moved = views_of(people, who, c.side)
        weight = torch.maximum(*(moving_parts(x.marks, c.side, 1.0) for x in (still, moved))) - 1
        kept = psi.appearance(source.image, embedded(networks, source)["the driver's face"])
        rays, neck, true = still.rays(c, c.side // 4), still.neck(c), moved.image - still.image
        ends = [embedded(networks, x) for x in (still, moved)]
        for how in ends[0]:
            before, after = (psi.render(psi.head(kept, e[how]), rays, neck).image for e in ends)
            drawn = after - before
            parts = (drawn * true, true * true, drawn * drawn, (drawn - true) ** 2)
            found = torch.stack([(x * weight).double().sum() for x in parts])
            sums[how] = sums.get(how, 0) + found
    return {
        how: {
            "slope": float(s[0] / s[1]), "correlation": float(s[0] / (s[1] * s[2] + 1e-12).sqrt()),
            "left": float(s[3] / s[1]),
        }
        for how, s in sums.items()
    }  # fmt: skip


@torch.no_grad()
def sheet(networks: Networks, people: People, which: Sequence[int]) -> UInt8[np.ndarray, "h w 3"]:
    """A row a person: source; first moment true and drawn; second one true, drawn by weights and by its face;
    ``POSES``."""
    psi, c = networks.psi, networks.psi.config
    assert networks.said is not None
    source, still, moved = views_of(people, torch.tensor(list(which)), c.side)
    kept = psi.appearance(source.image, embedded(networks, source)["the driver's face"])
    rays, neck = still.rays(c, c.side // 4), still.neck(c)

    def drawn(motion: Tensor) -> Tensor:
        return psi.render(psi.head(kept, motion), rays, neck).image

    by = embedded(networks, moved)
    columns = [source.image, still.image, drawn(embedded(networks, still)["weights"]), moved.image]
    columns += [drawn(x) for x in by.values()]
    for names in POSES.values():
        said = torch.zeros(len(source.image), TOLD)
        said[:, [EXPRESSION_INDEX[n] for n in names]] = 0.9
        columns.append(drawn(networks.said(said)))
    rows = torch.cat([torch.cat(list(x.float()), 1) for x in columns], 2)
    return ((rows + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 0).numpy()


if __name__ == "__main__":
    raise SystemExit(main())
