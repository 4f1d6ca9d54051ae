"""Learns to read expression weights from detections of synthetic heads; measures how well weights are read.

    python tools/learn_expressions.py show FOLDER --split train --seed 73 --people 0 320
    python tools/learn_expressions.py show GESTURES --split train --seed 74 --people 0 120 --gestures
    python tools/learn_expressions.py show TEST --split test --seed 7 --people 0 200
    python tools/learn_expressions.py learn FOLDER GESTURES [--out FILE]
    python tools/learn_expressions.py level FOLDER ../shared/data/london
    python tools/learn_expressions.py score TEST [--limit 300]
    python tools/learn_expressions.py spread FOLDER GESTURES --test TEST --steps 352

``show`` renders heads that show every weight, detects them and stores what a fit needs, 20 people a file; it
goes on where it stopped. ``learn`` writes ``weights/expressions.safetensors`` and its card. ``level`` takes
from its estimates what they show on average on neutral photographs of real people (London set, train) and not
on neutral synthetic heads. ``score`` prints
for every weight the slope of the estimate on the truth, their correlation, and the mean estimate where the
truth is 0; rows of all zeros, landmarks alone, the network's scores alone and the fit. ``spread`` repeats a
short training with several seeds: the mean r of the readers alone, beside readers whose learning is off.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from expressions.fitting import detections_of, estimates_by_method
from expressions.heads import SIZE, show_heads
from expressions.learning import Heads, learn_reader, level_reader, load_heads
from expressions.scoring import format_table, score_weights
from headcast.image import load_image
from headcast.observe.expression_reader import WEIGHTS, ExpressionReader
from headcast.observe.landmarks import ONE, FaceDetector

__all__ = ["main"]

A_FILE = 20
"""People in a file of the cache."""


def show(folder: Path, split: str, seed: int, first: int, last: int, gestures: bool) -> None:
    """Render and detect people; store truth and detections."""
    folder.mkdir(parents=True, exist_ok=True)
    with FaceDetector() as detector:
        for start in range(first, last, A_FILE):
            path = folder / f"{split}-{seed}-{start:05d}.npz"
            if path.is_file():
                continue
            rows: dict[str, list] = {}
            for head in show_heads(split, seed, range(start, min(last, start + A_FILE)), gestures):
                found = detector.measure(head.rgb, head.points, ONE)
                if found is None:
                    continue
                row = vars(head) | {"detected": found.points, "scores": found.blendshapes, "size": SIZE}
                for name, value in row.items():
                    if name != "rgb":
                        rows.setdefault(name, []).append(value)
            np.savez(path.with_suffix(".part.npz"), **{k: np.array(v) for k, v in rows.items()})
            path.with_suffix(".part.npz").replace(path)
            print(f"{path.name}: {len(rows['person'])} images", flush=True)


def write_arrays(reader: ExpressionReader, out: Path) -> None:
    """Write the network in half precision."""
    from safetensors.numpy import save_file

    arrays = {
        k: np.ascontiguousarray(v, np.float32 if k == "reference" else np.float16)
        for k, v in vars(reader).items()
    }
    save_file(arrays, out)


def write_reader(reader: ExpressionReader, heads: Heads, out: Path) -> None:
    """Write the network and its card."""
    write_arrays(reader, out)
    card = {
        "what": "network from landmarks and blendshape scores to 43 expression weights and the gaze",
        "trained_on": f"{len(heads.person)} renderings of {len(np.unique(heads.person))} synthetic heads of "
        "the train split (authored expressions, no recordings of people)",
        "tool": "tools/learn_expressions.py",
        "licence": "Apache-2.0",
        "notes": "the scores it reads are those of MediaPipe's blendshape network (Apache-2.0)",
    }
    out.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")


def level(reader: ExpressionReader, heads: Heads, london: Path) -> tuple[ExpressionReader, int]:
    """Return the reader levelled on neutral people of the train split, and their number."""
    with (london / "london.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if (r["split"], r["expression"]) == ("train", "neutral")]
    with FaceDetector() as detector:
        found = [detector.detect(load_image(london / r["file"]).rgb)[0] for r in rows]
    resting = detections_of(heads[heads.frame == 0])
    return level_reader(reader, resting, found), len(found)


def spread(heads: Heads, test: Heads, steps: int, seeds: int) -> None:
    """Print how short trainings with several seeds read the test heads, and controls that learned nothing."""

    def show_row(name: str, reader: ExpressionReader | None) -> tuple[float, float]:
        found = [d for d in detections_of(test) if d.blendshapes is not None]
        expected = [e for d in found if reader is not None and (e := reader.expect(d)) is not None]
        weights = np.stack([e.weights for e in expected]) if expected else test.scores.astype(np.float64)
        rows = score_weights(weights, test).values()
        r, false = (float(np.mean([getattr(s, k) for s in rows])) for k in ("r", "false"))
        print(f"{name}: mean r {r:.3f}, mean false activation {false:.3f}", flush=True)
        return r, false

    show_row("blendshape scores", None)
    show_row("layers as drawn", learn_reader(heads, 0, 0))
    shuffled = np.random.default_rng(0).permutation(len(heads.person))
    others = replace(heads, expression=heads.expression[shuffled], gaze=heads.gaze[shuffled])
    show_row("another image's truth", learn_reader(others, 0, steps))
    found = [show_row(f"seed {k}", learn_reader(heads, k, steps))[0] for k in range(seeds)]
    print(f"r over seeds: {np.mean(found):.3f}, standard deviation {np.std(found, ddof=1):.4f}")
    show_row("bundled", ExpressionReader.bundled())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    rendering = commands.add_parser("show")
    rendering.add_argument("folder", type=Path)
    rendering.add_argument("--split", choices=("train", "test"), required=True)
    rendering.add_argument("--seed", type=int, required=True)
    rendering.add_argument("--people", type=int, nargs=2, required=True, metavar=("FIRST", "LAST"))
    rendering.add_argument("--gestures", action="store_true", help="authored gestures, not mixtures")
    learning = commands.add_parser("learn")
    learning.add_argument("folder", type=Path, nargs="+")
    learning.add_argument("--out", type=Path, default=WEIGHTS)
    learning.add_argument("--seed", type=int, default=0)
    learning.add_argument("--steps", type=int, help="of the training; by default as many as ship")
    spreading = commands.add_parser("spread")
    spreading.add_argument("folder", type=Path, nargs="+", help="heads of the train split")
    spreading.add_argument("--test", type=Path, required=True)
    spreading.add_argument("--steps", type=int, required=True)
    spreading.add_argument("--seeds", type=int, default=3)
    levelling = commands.add_parser("level")
    levelling.add_argument("folder", type=Path, help="synthetic heads")
    levelling.add_argument("london", type=Path)
    levelling.add_argument("--weights", type=Path, default=WEIGHTS)
    scoring_command = commands.add_parser("score")
    scoring_command.add_argument("folder", type=Path)
    scoring_command.add_argument("--limit", type=int, help="images that are fitted, evenly chosen")
    scoring_command.add_argument("--weights", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.command == "show":
        show(args.folder, args.split, args.seed, *args.people, args.gestures)
    elif args.command == "learn":
        heads = load_heads(args.folder)
        write_reader(learn_reader(heads, args.seed, args.steps), heads, args.out)
    elif args.command == "spread":
        spread(load_heads(args.folder), load_heads([args.test]), args.steps, args.seeds)
    elif args.command == "level":
        reader, count = level(ExpressionReader.load(args.weights), load_heads([args.folder]), args.london)
        write_arrays(reader, args.weights)
        card = json.loads(args.weights.with_suffix(".json").read_text())
        card["levelled_on"] = (
            f"neutral photographs of {count} people of the train split: Face Research Lab London Set, "
            "DeBruine and Jones 2017 (figshare 5047666), CC BY 4.0; mean estimates only"
        )
        args.weights.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    else:
        heads = load_heads([args.folder])
        reader = ExpressionReader.load(args.weights)
        found = estimates_by_method(heads, reader, args.limit)
        print(format_table({k: score_weights(e.weights, e.heads) for k, e in found.items()}))
        print("\n".join(e.summary(k) for k, e in found.items()))


if __name__ == "__main__":
    main()
