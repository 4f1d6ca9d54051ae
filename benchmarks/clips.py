"""Real clips by two versions of the program, this working tree and a revision, judged by this tree.

python -m benchmarks.clips REV --data ../shared/data/videos --out OUT [--only d18,d3] [--frames 120]
    [--measured 20] [--representations mesh gaussians] [--cache FOLDER] [--environment VENV]

Each version makes an avatar of a clip's first frame and drives it by the clip, both through its own command
line and in its own environment (see ``benchmarks.against``). The videos that come out are compared with the
clip by one ruler: landmarks, tracker and networks of this tree. Videos, figures and avatars that are in OUT
are not made again, so that a run that was stopped goes on. The videos show real people: keep them private.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.versions.environment import Version, VersionError, two_versions
from benchmarks.versions.measure import CommandFailed, run

__all__ = ["driven_video", "main", "table", "write_means"]

ROOT = Path(__file__).resolve().parent.parent
REPRESENTATIONS = ("mesh", "gaussians")
STILL = "input held still"
FIGURES = ("expression", "aed", "akd", "identity", "face_psnr", "lpips", "apd")
"""Of the protocol ``self-reenactment``; those that are printed."""


def driven_video(
    version: Version, clip: Path, photo: Path, folder: Path, representation: str, frames: int
) -> Path:
    """Create an avatar of a photo, drive it by a clip; return the video, kept from an earlier run.

    Raises:
        CommandFailed: one of the version's two commands failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    video, avatar = folder / "driven.mp4", folder / "first.avatar"
    program = [str(version.python), "-m", "headcast"]
    if not avatar.exists():
        words = ["create", photo, "--representation", representation, "-o", avatar]
        run([*program, *map(str, words)], version.environ(), folder / "create.log")
    if not video.exists():
        part = folder / "part.mp4"
        words = ["animate", avatar, "--drive", clip, "--camera", "driver", "--frames", frames, "-o", part]
        run([*program, *map(str, words)], version.environ(), folder / "animate.log")
        part.rename(video)
    return video


def write_means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of every figure over frames, of those that have it."""
    keys = dict.fromkeys(k for row in rows for k in row)
    return {k: float(np.nanmean([r[k] for r in rows if k in r])) for k in keys}


def table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Format figures by clip and by what was judged, the mean of all clips last."""
    lines = ["| clip | | " + " | ".join(FIGURES) + " |", "|---" * (len(FIGURES) + 2) + "|"]
    subjects = list(dict.fromkeys(s for by_subject in found.values() for s in by_subject))
    mean = {
        s: {
            k: float(np.mean([c[s][k] for c in found.values() if k in c.get(s, {})] or [np.nan]))
            for k in FIGURES
        }
        for s in subjects
    }
    for clip, by_subject in [*found.items(), ("mean", mean)]:
        for subject, row in by_subject.items():
            cells = (f"{row.get(k, float('nan')):.4f}" for k in FIGURES)
            lines.append(f"| {clip} | {subject} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def judge(clip: Path, videos: Mapping[str, Path], frames: int, measured: int, out: Path, files: Any) -> Any:
    """Compare videos with their clip, by name; figures in ``out`` are taken from there.

    Raises:
        SystemExit: a video has another size or number of frames than the clip.
    """
    from headcast.evaluate.clip_truth import read_clip
    from headcast.evaluate.compare import Comparer
    from headcast.evaluate.self_reenactment import clip_rows
    from headcast.evaluate.setting import Setting
    from headcast.video import read_video

    kept = {n: out / f"{clip.stem}_{n.replace(' ', '_')}.json" for n in [STILL, *videos]}
    setting = Setting(tuple(videos), clip, out, files, torch.device("cpu"), frames=frames, measured=measured)
    with Comparer(files, {"face": "", "foreground": ""}) as comparer:
        truth = read_clip(clip, comparer, frames, measured)
        for name, path in kept.items():
            if path.exists():
                continue
            still = name == STILL
            if still:
                shown = np.broadcast_to(truth.frames[:1], truth.frames.shape)
            else:
                shown = np.asarray(read_video(videos[name], one_shot=False).frames[:])
            if shown.shape != truth.frames.shape:
                sys.exit(f"clips: {videos[name]}: {shown.shape}, the clip has {truth.frames.shape}")
            rows = clip_rows(shown, truth, setting, still=still).rows
            path.write_text(json.dumps(write_means(rows)) + "\n")
            say(f"{clip.stem}: judged {name}")
    return {n: json.loads(p.read_text()) for n, p in kept.items()}


def say(words: str) -> None:
    """Write a line with the time of day."""
    sys.stderr.write(f"clips: {time.strftime('%H:%M:%S')} {words}\n")


def first_frame(clip: Path, out: Path, frames: int) -> Path:
    """Write a clip's first frame as the evaluator reads it."""
    from headcast.evaluate.clip_truth import MAX_SIDE
    from headcast.image import save_png
    from headcast.video import read_video

    path = out / f"{clip.stem}_first.png"
    if not path.exists():
        save_png(path, np.asarray(read_video(clip, frames, max_side=MAX_SIDE).frames[0]))
    return path


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("revision", metavar="REV")
    parser.add_argument("--data", type=Path, required=True, help="folder of .mp4 clips")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="", help="clips by name, commas between")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--measured", type=int, default=20)
    parser.add_argument("--representations", nargs="+", choices=REPRESENTATIONS, default=REPRESENTATIONS)
    parser.add_argument("--lpips", type=Path, help="as of headcast evaluate")
    parser.add_argument("--cache", type=Path, help="default: build/against/REV")
    parser.add_argument("--environment", type=Path, help="run REV in this virtual environment, build none")
    given = parser.parse_args(arguments)
    if given.frames < 6 or given.measured < 1:
        parser.error("--frames must be at least 6, --measured at least 1")
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """Make, judge and print; exit code 1 where a command failed, 2 where REV or the clips cannot be had."""
    given = parsed(arguments)
    names = [n for n in given.only.split(",") if n]
    clips = [p for p in sorted(given.data.glob("*.mp4")) if not names or p.stem in names]
    if not clips:
        sys.stderr.write(f"clips: {given.data}: no such .mp4 there; give another --data or --only\n")
        return 2
    try:
        versions, _ = two_versions(ROOT, given.revision, given.cache, given.environment)
    except VersionError as e:
        sys.stderr.write(f"clips: {e}\n")
        return 2
    from headcast.evaluate.networks import load_evaluation_networks

    out = given.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    files = load_evaluation_networks(torch.device("cpu"), lpips=given.lpips)
    found, failed = {}, False
    for clip in clips:
        photo, videos = first_frame(clip, out, given.frames), {}
        for kind in given.representations:
            for version in versions:
                folder = out / f"{clip.stem}_{kind}_{version.name}"
                try:
                    videos[f"{kind} {version.name}"] = driven_video(
                        version, clip.absolute(), photo, folder, kind, given.frames
                    )
                except CommandFailed as e:
                    failed = True
                    say(f"{clip.stem}: {kind} of {version.name} failed: {e}")
                    continue
                say(f"{clip.stem}: {kind} of {version.name} made")
        found[clip.stem] = judge(clip, videos, given.frames, given.measured, out, files)
    print(table(found))
    (out / "clips.json").write_text(json.dumps(found, indent=1) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
