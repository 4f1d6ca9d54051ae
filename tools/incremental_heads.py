"""Measure the incremental inversion: further frames of synthetic heads, and bad frames of clips.

    python tools/incremental_heads.py heads OUT --only 1,2,3       # views of held-out heads, truth known
    python tools/incremental_heads.py gate OUT a.mp4 b.mp4 c.mp4   # frames of the clips among each other's

Rows go to OUT as JSON; what is there already is not measured again.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

SIZE, FIELD, DISTANCE = 384, 18.0, 1.15
YAWS = (0, 20, -20, 40, -40, 10, -10, 30, -30, 45, -45, 5, -5, 25, -25, 35)
PITCHES = (0, 3, -4, -3, 4, 8, -8, 5, -5, 0, 2, 10, -10, -6, 6, 3)
TRUE_YAWS = (30, -30, 60, -60)
CLIP_FRAMES, BLURRED = 20, 3  # of a clip; every so manieth is blurred as well
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
"""Half of a 95 % interval over the standard error, by the number of heads."""
Rows = dict[str, dict[str, Any]]


def render_head(number: int) -> dict[str, Any]:
    """Render frames of a head of the split ``test``, and true views of it."""
    from headcast.evaluate.synthetic_heads import before_one_background
    from headcast.synth import SynthConfig, make_batch
    from headcast.synth.config import LABELS
    from headcast.synth.views import MIDDLE, looking

    n, frames = len(YAWS) + len(TRUE_YAWS), len(YAWS)
    yaw, pitch = (
        torch.deg2rad(torch.tensor(x, dtype=torch.float32))
        for x in ((*YAWS, *TRUE_YAWS), (*PITCHES, *(0,) * len(TRUE_YAWS)))
    )
    none = torch.zeros(n)
    middle = torch.tensor(MIDDLE).expand(n, 3)
    views = looking(middle, yaw, pitch, none, none + DISTANCE, none + math.radians(FIELD), SIZE)
    config = SynthConfig(split="test", size=SIZE, people=1, views=n, expression=0.0, background=False)
    batch = make_batch(config, torch.device("cpu"), 0, np.array([number]), views=views)
    images = before_one_background(batch.rgb, batch.alpha, frames, number, 0)
    alpha, label = batch.alpha[frames:].numpy(), batch.label[frames:].numpy()
    off = [LABELS.index("background"), LABELS.index("clothes")]
    return {
        "frames": images[:frames],
        "images": images[frames:],
        "alpha": alpha,
        "head": (alpha > 0.5) & ~np.isin(label, off),
        "cameras": [views.camera(k) for k in range(frames, n)],
        "points": batch.landmarks68_world[0].double().numpy(),
    }


def observe_frames(images: Any, name: str, head: Any, folder: Path) -> list[Any]:
    """Observe images one by one; None where there is no usable face."""
    from headcast.errors import HeadcastError
    from headcast.image import save_png
    from headcast.observe.observe import observe_photo

    out = []
    for k, image in enumerate(images):
        path = folder / f"{name}_{k}.png"
        save_png(path, image)
        try:
            out.append(observe_photo(path, head))
        except HeadcastError:
            out.append(None)
        path.unlink()
    return out


def scores(avatar: Any, truth: dict[str, Any]) -> list[float]:
    """Return PSNR inside the head (skin and hair) at ``TRUE_YAWS``, dB."""
    from headcast.evaluate.novel_view import aligned_camera, render_from

    out = []
    for k, camera in enumerate(truth["cameras"]):
        image = render_from(avatar, aligned_camera(avatar, truth["points"], camera)).astype(float)
        alpha, true_alpha = image[..., 3:] / 255, truth["alpha"][k][..., None]
        a, b = (x * w + 128 * (1 - w) for x, w in ((image[..., :3], alpha), (truth["images"][k], true_alpha)))
        out.append(float(-10 * np.log10((((a - b) / 255) ** 2)[truth["head"][k]].mean())))
    return out


def default_mesh(observations: list[Any], head: Any) -> Any:
    """Return the default method's mesh of frames that are fitted together."""
    from headcast.methods.base import reconstruct_mesh
    from headcast.methods.invertavatar.incremental import refitted
    from headcast.observe.fit import Fitter

    if len(observations) > 1:
        fits = Fitter(head).fit_photos(
            [o.detection for o in observations], [(SIZE, SIZE)] * len(observations)
        )
        observations = [refitted(o, f, head) for o, f in zip(observations, fits, strict=True)]
    return reconstruct_mesh(observations, head)


def average_mesh(observations: list[Any], head: Any) -> Any:
    """Return the mesh whose frames are averaged where they are visible: no selection, no registration."""
    from headcast.methods.invertavatar import fusion
    from headcast.methods.invertavatar.incremental import Settings, begin_inversion

    exponent, fusion.EXPONENT = fusion.EXPONENT, 1.0
    try:
        plain = Settings(gate=False, register=False, flow=False, together=1)
        return begin_inversion(observations, head, settings=plain).mesh
    finally:
        fusion.EXPONENT = exponent


def measure_head(number: int, head: Any, folder: Path, put: Callable[[str, list[float]], None]) -> None:
    """Measure one head: from 1 frame, from 4 in four ways, then 8 and 16 by the recursion."""
    from headcast.methods.invertavatar.incremental import Settings, begin_inversion, take_in

    truth = render_head(number)
    seen = [o for o in observe_frames(truth["frames"], str(number), head, folder) if o is not None]
    ours, alone = Settings(gate=False), Settings(gate=False, together=1)

    def add(name: str, make: Callable[[], Any]) -> Any:
        start = time.process_time()
        made = make()
        cpu = time.process_time() - start
        put(name, [*scores(getattr(made, "mesh", made), truth), cpu])
        return made

    add("ours 1", lambda: begin_inversion(seen[:1], head))
    add("fit 4", lambda: default_mesh(seen[:4], head))
    made = add("joint 4", lambda: begin_inversion(seen[:4], head, settings=ours))
    made = add("joint 8", lambda: take_in(made, seen[4:8], head, settings=ours))
    add("joint 16", lambda: take_in(made, seen[8:], head, settings=ours))
    add("ours 4", lambda: begin_inversion(seen[:4], head, settings=alone))
    add("average 4", lambda: average_mesh(seen[:4], head))


def motion_blur(image: Any, length: int, angle: float) -> Any:
    """Blur along a line of so many pixels."""
    import cv2

    kernel = np.zeros((length, length), np.float32)
    c, s, m = length / 2 * math.cos(angle), length / 2 * math.sin(angle), length / 2
    cv2.line(kernel, (int(m - c), int(m - s)), (int(m + c), int(m + s)), (1.0,))
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def gate_clips(clips: list[Path], head: Any, folder: Path) -> Rows:
    """Count, for every clip, which of its own, the others' and blurred frames are left out."""
    from headcast.methods.invertavatar.gate import measure_frame_traits, remember_traits
    from headcast.methods.invertavatar.incremental import Settings, sort_out
    from headcast.methods.invertavatar.state import FusionState
    from headcast.observe.fit import Fitter
    from headcast.observe.recursive import add_frame
    from headcast.video import read_video

    fitter, rng, found = Fitter(head), np.random.default_rng(0), {}
    for path in clips:
        frames = read_video(path).frames
        own = [np.asarray(frames[i]) for i in np.linspace(2, len(frames) - 3, CLIP_FRAMES).astype(int)]
        length = own[0].shape[0] // 20
        blurred = [motion_blur(x, length, rng.uniform(0, math.pi)) for x in own[::BLURRED]]
        found[path.stem] = [observe_frames(x, path.stem, head, folder) for x in (own, blurred)]
    rows: Rows = {}
    for name, (own, blurred) in found.items():
        first, *rest = [o for o in own if o is not None]
        size = (first.image.shape[1], first.image.shape[0])
        shape, _ = add_frame(fitter, None, first.detection, size)
        state = remember_traits(FusionState({}, {}, 1.0, shape), measure_frame_traits(first))
        kept = sort_out(state, rest, fitter, Settings())
        others = [o for other, (x, _) in found.items() if other != name for o in x if o is not None]
        row: dict[str, Any] = {"own": len(rest), "own left out": list(kept.skipped)}
        for what, bad in (("others", others), ("blurred", [o for o in blurred if o is not None])):
            left = [bool(sort_out(kept.state, [o], fitter, Settings()).skipped) for o in bad]
            row[what], row[f"{what} left out"] = len(bad), sum(left)
        rows[name] = row
    return rows


def summary(rows: Rows, against: str = "ours 1") -> list[str]:
    """Return a line for each variant: mean PSNR at ±30° and ±60°, and what it gains, with a 95 % interval."""
    lines = []
    for name in dict.fromkeys(k for row in rows.values() for k in row):
        both = [(r[name], r[against]) for r in rows.values() if name in r and against in r]
        if not both:
            continue
        a, b = (np.array([x[i][:4] for x in both]).reshape(-1, 2, 2).mean(2) for i in (0, 1))
        gain = a - b
        half = (
            STUDENT.get(len(both), 2.2) * gain.std(0, ddof=1) / math.sqrt(len(both))
            if len(both) > 1
            else np.full(2, np.nan)
        )
        cpu = [x[0][4] for x in both if len(x[0]) > 4]
        seconds = f", {np.mean(cpu):.1f} CPU s" if cpu else ""
        parts = [
            f"±{angle}°: {m:.2f} dB ({g:+.2f} ± {h:.2f})"
            for angle, m, g, h in zip((30, 60), a.mean(0), gain.mean(0), half, strict=True)
        ]
        lines.append(f"{name}: n = {len(both)}; {'; '.join(parts)}{seconds}")
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("heads", "gate", "summary"))
    parser.add_argument("out", type=Path)
    parser.add_argument("clips", type=Path, nargs="*")
    parser.add_argument("--only", default="0,1,2,3")
    given = parser.parse_args(arguments)
    rows: Rows = json.loads(given.out.read_text()) if given.out.exists() else {}

    def write() -> None:
        given.out.with_suffix(".part").write_text(json.dumps(rows, indent=1) + "\n")
        given.out.with_suffix(".part").replace(given.out)

    if given.what != "summary":
        from headcast.head.model import HeadModel

        head = HeadModel.load()
        with torch.no_grad():
            if given.what == "gate":
                rows |= gate_clips(given.clips, head, given.out.parent)
                write()
            for number in given.only.split(",") if given.what == "heads" else ():
                if "average 4" in rows.get(number, {}):
                    continue
                rows[number] = {}

                def put(name: str, values: list[float], row: dict[str, Any] = rows[number]) -> None:
                    row[name] = values
                    write()

                measure_head(int(number), head, given.out.parent, put)
    for line in [json.dumps(rows, indent=1)] if given.what == "gate" else summary(rows):
        sys.stdout.write(line + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
