"""Portrait4D-v2: seconds from photo to avatar, and frames a second when driven, cached and not.

python -m benchmarks.portrait4d [--photo portrait.jpg] [--repeats 10] [--size 512]

Without installed weights the network ``small`` is measured with random ones: they cost the same. The paper
says 10 frames a second on an A100 and 15 with the neutral features cached, for the ``official`` network.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from benchmarks.harness import machine, milliseconds, row
from headcast import api
from headcast.demo import demo_photo
from headcast.head.model import HeadModel
from headcast.methods.portrait4d.crop import crop_image
from headcast.methods.portrait4d.infer import reconstruct
from headcast.methods.portrait4d.motion_embedding import ExpressionToMotion, MotionEncoder, align_faces
from headcast.methods.portrait4d.network import SMALL, Synthesizer
from headcast.methods.portrait4d.weights import Portrait4DNetworks, load_portrait4d, weights_file
from headcast.view import front_view


def networks() -> Portrait4DNetworks:
    """Installed ones, else random ones."""
    if weights_file().is_file():
        return load_portrait4d()
    torch.manual_seed(0)
    parts = Synthesizer(SMALL), MotionEncoder(SMALL.motion), ExpressionToMotion(SMALL.motion)
    return Portrait4DNetworks(*(p.eval().requires_grad_(False) for p in parts))  # type: ignore[arg-type]


@torch.no_grad()
def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photo", type=Path, default=None)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--size", type=int, default=512)
    a = parser.parse_args()
    print(machine(), "\n")
    used = networks()
    head = HeadModel.load()
    api.observe(a.photo or demo_photo(), head=head)  # loads and compiles what is loaded once
    start = time.perf_counter()
    seen = api.observe(a.photo or demo_photo(), head=head)
    looked = time.perf_counter()
    avatar = reconstruct(seen, head, networks=used)
    end = time.perf_counter()
    first = seen[0]
    whole_ms, look_ms = 1000 * (end - start), 1000 * (looked - start)
    row("photo to avatar (models loaded)", (whole_ms, whole_ms))
    row("of which looking at the photo", (look_ms, look_ms))
    view = front_view(avatar, (a.size, a.size))
    moved = view.params.with_expression({"jawOpen": 0.3})
    bent = moved.replace(neck=torch.tensor([0.1, 0.2, 0.0]))
    image = crop_image(
        seen[0].image, seen[0].camera, seen[0].params, used.psi.config.side, used.psi.config.centre
    )
    points = seen[0].camera.project(head.landmarks(head(seen[0].params), 68))
    whole = torch.from_numpy(seen[0].image).permute(2, 0, 1)[None].float() / 127.5 - 1
    source = used.motion(align_faces(whole, points[None]))

    def uncached() -> None:
        used.psi.appearance(image, source)
        avatar.render(bent, view.camera)

    for name, what in (
        ("frame, straight neck, cached", lambda: avatar.render(moved, view.camera)),
        ("frame, bent neck, cached", lambda: avatar.render(bent, view.camera)),
        ("frame, bent neck, not cached", uncached),
        (
            "reading a driver's frame",
            lambda: avatar.read_signal(first.image, first.camera, first.params),
        ),
    ):
        row(name, milliseconds(what, a.repeats))


if __name__ == "__main__":
    main()
