"""Synthetic heads with hair, from one view and from five: novel views against the truth.

    python -m headcast.evaluate.gaussian_truth -o out/gaussian_truth

Pictures are those of ``headcast.synth`` (split ``test``), one pose and one light for all views of a head. An
avatar's place and size are its own guess: before it is compared it is laid over the true head by the 68
landmarks in space (rotation, shift, one factor), so that what counts is shape and colour, not the camera.
Resumable: rows are lines of ``rows.jsonl``.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from headcast import api
from headcast.avatar.base import Avatar
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.evaluate.gaussian_rows import Rows, store
from headcast.evaluate.judge import Row
from headcast.evaluate.main_job import Bar, figure
from headcast.image import atomic_path, linear_to_srgb, save_png, srgb_to_linear
from headcast.metrics.foreground import silhouette_iou
from headcast.metrics.image import over_grey, psnr, ssim
from headcast.view import to_rgba

__all__ = ["Truth", "laid_over", "main", "measure", "truth_of"]

SIZE = 512
FIVE = (0.0, 20.0, -20.0, 45.0, -45.0)
"""Yaws of the photos, degrees; the first alone is what an avatar from one view gets."""
NOVEL = {"yaw+30": 30.0, "yaw-30": -30.0, "behind": 180.0}
DISTANCE, FIELD = 1.15, 20.0  # metres, degrees
GAIN = 2.0  # dB that five views must bring
WANTED = {"psnr": "five ≥ one + 2", "ssim": "report", "iou": "report"}


@dataclass(frozen=True)
class Truth:
    """One head.

    Attributes:
        photos: (5, H, W, 3) before a background. novel: (3, H, W, 4) straight alpha.
        head: (3, H, W) where skin or hair of the head is, not clothes.
        cameras: of the novel views. points: (68, 3) landmarks in the world, metres.
    """

    photos: UInt8[np.ndarray, "n h w 3"]
    novel: UInt8[np.ndarray, "m h w 4"]
    head: Bool[np.ndarray, "m h w"]
    cameras: list[Camera]
    points: Float[Tensor, "68 3"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the protocol and writes ``gaussian_truth.md``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="where rows, pictures and table go")
    parser.add_argument("--people", type=int, default=6, help="how many heads with hair")
    parser.add_argument("--numbers", type=int, nargs="+", help="these heads instead, where they have hair")
    parser.add_argument("--seed", type=int, default=0, help="of the heads")
    parser.add_argument("--size", type=int, default=SIZE, help="of the pictures, pixels")
    a = parser.parse_args(arguments)
    rows, kept, missed = Rows(a.out / "rows.jsonl"), [], []
    wanted = len(a.numbers) if a.numbers else a.people
    with Bar() as say:
        for number in a.numbers or itertools.count():
            say(min(len(kept) / wanted, 1.0), f"head {number}")
            if f"{number}" not in rows:
                truth = truth_of(number, a.seed, a.size)
                rows.add(f"{number}", [] if truth is None else measured(truth, a.out / f"{number:03d}"))
            found = rows.found[f"{number}"]
            (missed if found and "missed" in found[0] else kept).extend([(number, found)] if found else [])
            if len(kept) == wanted:
                break
    lines = table([found for _, found in kept])
    if missed:
        lines += ["", f"Left out, no face found in a photo: heads {', '.join(str(n) for n, _ in missed)}."]
    text = "\n".join(lines)
    with atomic_path(a.out / "gaussian_truth.md") as tmp:
        tmp.write_text(text + "\n")
    sys.stdout.write(text + "\n")
    return 0


@torch.no_grad()
def truth_of(number: int, seed: int, size: int) -> Truth | None:
    """A head of the test split; None where it wears no hair to speak of."""
    from headcast.synth import SynthConfig, make_batch
    from headcast.synth.backgrounds import draw_backgrounds
    from headcast.synth.config import LABELS
    from headcast.synth.dice import Dice
    from headcast.synth.looks import BUZZED
    from headcast.synth.views import MIDDLE, looking

    yaw = torch.deg2rad(torch.tensor([*FIVE, *NOVEL.values()]))
    n, none = len(yaw), torch.zeros(len(yaw))
    views = looking(
        torch.tensor(MIDDLE).expand(n, 3), yaw, none, none, none + DISTANCE, none + math.radians(FIELD), size
    )
    config = SynthConfig("test", size, 1, views=n, expression=0.0, background=False)
    batch = make_batch(config, torch.device("cpu"), seed, np.array([number]), views=views)
    if int(batch.looks.hair[0]) <= BUZZED:
        return None
    alpha = batch.alpha[..., None]
    colour = srgb_to_linear(batch.rgb)  # before black
    behind = draw_backgrounds(Dice(np.array([[number]]), seed, torch.device("cpu")), size)
    k = len(FIVE)
    photos = linear_to_srgb((colour[:k] + (1 - alpha[:k]) * behind).clamp(0, 1))
    straight = linear_to_srgb((colour[k:] / alpha[k:].clamp(min=1e-3)).clamp(0, 1))
    label = batch.label[k:].numpy()
    head = (batch.alpha[k:].numpy() > 0.5) & ~np.isin(
        label, [LABELS.index("background"), LABELS.index("clothes")]
    )
    return Truth(
        bytes_of(photos), bytes_of(torch.cat([straight, alpha[k:]], -1)), head,
        [views.camera(i) for i in range(k, n)], batch.landmarks68_world[0],
    )  # fmt: skip


def bytes_of(x: Float[Tensor, "*n c"]) -> UInt8[np.ndarray, "*n c"]:
    """Display values 0..1 as 0..255."""
    return (x * 255).round().byte().numpy()


def measured(truth: Truth, folder: Path) -> list[Row]:
    """``measure``, or one row that says that a photo's face was not found."""
    try:
        return measure(truth, folder)
    except HeadcastError:
        return [{"missed": 1.0}]


def measure(truth: Truth, folder: Path) -> list[Row]:
    """Avatars from the first photo and from all of them: a row for each number of photos and novel view."""
    photos = [folder / f"photo{i}.png" for i in range(len(truth.photos))]
    folder.mkdir(parents=True, exist_ok=True)
    for path, picture in zip(photos, truth.photos, strict=True):
        save_png(path, picture)
    rows: list[Row] = []
    for count in (1, len(photos)):
        avatar = api.create(photos[:count])
        for i, (name, yaw) in enumerate(NOVEL.items()):
            camera = laid_over(avatar, truth.points, truth.cameras[i])
            with torch.no_grad():
                picture = to_rgba(avatar.render(avatar.source.params, camera))
            store(folder / f"{count} {name}", picture)
            store(folder / f"true {name}", truth.novel[i])
            a, b = over_grey(truth.novel[i]), over_grey(picture)
            rows.append({
                "photos": count, "yaw": yaw,
                "psnr": psnr(a, b, truth.head[i]), "ssim": ssim(a, b, truth.head[i]),
                "iou": silhouette_iou(*(p[..., 3] / np.float32(255) for p in (truth.novel[i], picture))),
            })  # fmt: skip
    return rows


def laid_over(avatar: Avatar, points: Float[Tensor, "68 3"], camera: Camera) -> Camera:
    """The camera in the avatar's world when its landmarks are laid over ``points`` (Umeyama 1991, Eq. 40-42).

    With x = s R y + t a pinhole sees of y what the rigid camera (Rc R, (Rc t + tc) / s) sees.
    """
    own = avatar.head.landmarks(avatar.head(avatar.source.params), 68)
    y, x = own - own.mean(0), points - points.mean(0)
    u, d, vt = torch.linalg.svd(x.T @ y)
    sign = torch.tensor([1.0, 1.0, float(torch.sign(torch.linalg.det(u @ vt)))])
    R = u @ torch.diag(sign) @ vt
    s = (d * sign).sum() / (y * y).sum()
    t = points.mean(0) - s * R @ own.mean(0)
    T = camera.cam_from_world
    pose = torch.eye(4)
    pose[:3, :3] = T[:3, :3] @ R
    pose[:3, 3] = (T[:3, :3] @ t + T[:3, 3]) / s
    return Camera(camera.K, pose, camera.width, camera.height)


def table(heads: list[list[Row]]) -> list[str]:
    """Medians over the heads at ±30° and behind, from one view, from five, and the gain."""
    out = [
        f"## Synthetic heads with hair, truth known (n = {len(heads)})", "",
        "| view | figure | one photo | five photos | five - one | target |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, behind in (("±30°", False), ("180°", True)):
        for key, target in WANTED.items():
            each = [[mean_of(h, key, count, behind) for h in heads] for count in (1, len(FIVE))]
            one, five = (float(np.median(x)) for x in each)
            gain = float(np.median(np.subtract(each[1], each[0])))
            line = [name, key, figure(one), figure(five), figure(gain), target]
            out.append(f"| {' | '.join(line)} |")
    return out


def mean_of(rows: list[Row], key: str, count: int, behind: bool) -> float:
    """Mean of a figure over the views of one head."""
    return float(np.mean([r[key] for r in rows if r["photos"] == count and (abs(r["yaw"]) > 90) == behind]))


if __name__ == "__main__":
    sys.exit(main())
