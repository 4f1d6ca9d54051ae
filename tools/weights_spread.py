"""The spread over seeds of the identity network's and the parser's weights, and their control rows.

python tools/weights_spread.py permute photos permuted
python tools/weights_spread.py embedding --data ../shared/data --networks seed0=runs/e0 seed1=runs/e1
python tools/weights_spread.py parser --mattes held --scenes scenes/test.npz --networks seed0=runs/p0 ...

``--networks NAME=PATH``: weights, or the folder of a training that holds them; the bundled ones are always
measured. Short trainings differ in ``--seed`` alone. ``permute`` copies the photographs of
``tools/pack_people.py`` with people's numbers exchanged, for a control that is trained as long on pairs of
two people. Photographs and landmarks are the same for all rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from headcast.errors import HeadcastError
from headcast.evaluate.identity_people import held_people
from headcast.evaluate.prior_embedding import equal_error_rate, likeness_pairs, ranking_auc, reduce_image
from headcast.evaluate.prior_parser import render_test_images
from headcast.image import load_image
from headcast.observe.detection import Detection
from headcast.observe.landmarks import FaceDetector, pick_face
from headcast.observe.masks import coarse_guide, fine_matte, parse_with_guide, reduce_for_parser
from headcast.priors.embedding import IdentityEmbedder, embed_face, load_embedder
from headcast.priors.parser import FaceParser, load_parser
from headcast.synth.config import LABELS
from headcast.weights import load_tensors
from measure_mattes import composites, errors

__all__ = ["main", "permuted", "spread_line", "weights_in"]

BUNDLED, GUIDE, OTHER, ZEROED = "bundled", "guide alone", "bundled, guide of another image", "bundled, zeroed"
SEEDED = "seed"
"""Rows whose names begin with this differ in the seed alone."""
Row = dict[str, float]


def weights_in(path: Path) -> Path:
    """Return a weights file, or the one in the folder of a training.

    Raises:
        SystemExit: none, or several.
    """
    found = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    if len(found) != 1:
        raise SystemExit(f"{path}: {len(found)} files of weights there; give one as NAME=FILE")
    return found[0]


def permuted(person: np.ndarray, seed: int = 0) -> np.ndarray:
    """Exchange the people of photographs: numbers and how many photographs each has stay the same."""
    return np.random.default_rng(seed).permutation(person)


def permute_people(source: Path, out: Path) -> int:
    """Copy packed photographs with their people exchanged; return their number."""
    out.mkdir(parents=True, exist_ok=True)
    files = sorted(source.glob("*.npz"))
    if not files:
        raise SystemExit(f"{source}: no .npz there; make them with tools/pack_people.py")
    arrays = [dict(np.load(f)) for f in files]
    mixed = permuted(np.concatenate([a["person"] for a in arrays]))
    at = 0
    for file, array in zip(files, arrays, strict=True):
        n = len(array["person"])
        np.savez_compressed(out / file.name, **(array | {"person": mixed[at : at + n]}))
        at += n
    return at


def tell(started: float, done: int, total: int) -> None:
    """Say on standard error how far a measurement is, and how long the rest takes."""
    rest = (time.monotonic() - started) / max(done, 1) * max(total - done, 0)
    sys.stderr.write(f"\r{done} of {total}, {rest / 60:.1f} minutes left ")
    sys.stderr.flush()


def spread_line(rows: Mapping[str, Row], keys: Sequence[str]) -> str:
    """State mean and largest difference of the rows that differ in their seed."""
    seeds = [r for n, r in rows.items() if n.startswith(SEEDED)]
    if len(seeds) < 2:
        return "fewer than two seeds: no spread"
    each = {k: [r[k] for r in seeds] for k in keys}
    told = (f"{k} {np.mean(v):.4f}, standard deviation {np.std(v, ddof=1):.4f}" for k, v in each.items())
    return f"{len(seeds)} seeds: " + "; ".join(told)


def table(rows: Mapping[str, Row]) -> str:
    """Format the rows."""
    keys = list(next(iter(rows.values())))
    lines = ["| | " + " | ".join(keys) + " |", "|---" * (len(keys) + 1) + "|"]
    lines += [f"| {n} | " + " | ".join(f"{r[k]:.4f}" for k in keys) + " |" for n, r in rows.items()]
    return "\n".join(lines)


def embedder_of(path: Path) -> IdentityEmbedder:
    """Load an identity network."""
    network = IdentityEmbedder()
    network.load_state_dict({k: v.float() for k, v in load_tensors(path)[0].items()})
    return network.eval().requires_grad_(False)


def measure_embedding(
    data: Path, networks: Mapping[str, IdentityEmbedder], limit: int | None
) -> dict[str, Row]:
    """Measure AUC and equal error rate on people of whom nothing was trained on, other days alone."""
    started = time.monotonic()
    people = [p for p in held_people(data) if not p.same_day][:limit]
    if not people:
        raise SystemExit(f"{data}: nobody in different photographs; give the folder of data sets")
    vectors: dict[str, list[np.ndarray]] = {n: [] for n in networks}
    person, half = [], []
    with FaceDetector() as detector:
        for number, someone in enumerate(people):
            tell(started, number, len(people))
            for path in someone.photos:
                rgb = reduce_image(load_image(path).rgb)
                found = detector.detect(rgb)
                if not found:
                    continue
                person.append(someone.person)
                half.append(someone.half)
                for name, network in networks.items():
                    vectors[name].append(embed_face(rgb, found[0].points, network))
    rows: dict[str, Row] = {}
    for name, each in vectors.items():
        rows[name] = {}
        for which in ("reported", "decides"):
            at = [i for i, h in enumerate(half) if h == which]
            pairs = likeness_pairs(np.stack([each[i] for i in at]), [person[i] for i in at])
            rows[name] |= {f"AUC {which}": ranking_auc(pairs), f"EER {which}": equal_error_rate(pairs)}
    return rows


def parser_of(path: Path) -> FaceParser:
    """Load a parser."""
    parser = FaceParser()
    parser.load_state_dict({k: v.float() for k, v in load_tensors(path)[0].items()})
    return parser.eval().requires_grad_(False)


def zeroed_parser() -> FaceParser:
    """Return the bundled parser with all weights zero."""
    parser = FaceParser()
    parser.load_state_dict(load_parser().state_dict())
    for weight in parser.parameters():
        weight.data.zero_()
    return parser.eval().requires_grad_(False)


def measure_parser(
    mattes: Path, scenes: Path, parsers: Mapping[str, FaceParser], limit: int | None
) -> dict[str, Row]:
    """Measure mattes before unseen scenes (report half), and labels of synthetic heads.

    Rows without a parser of their own: the guide alone, and the bundled parser with the guide of the image
    before.
    """
    named: dict[str, FaceParser | None] = {**parsers, GUIDE: None, OTHER: load_parser()}
    found: dict[str, list[Row]] = {n: [] for n in named}
    people = sorted({p.stem.split("_")[0] for p in mattes.glob("*.npz")})
    before: np.ndarray | None = None
    started = time.monotonic()
    with FaceDetector() as detector:
        for case in composites(mattes, scenes):
            decides = len(people) > 1 and people.index(case.person) % 2 == 0
            if decides or len(found[GUIDE]) >= (limit or 10**9):
                continue
            try:
                face = pick_face(detector.detect(case.rgb), None, case.name)[0]
            except HeadcastError:
                continue
            small, reduced = reduce_for_parser(case.rgb, face)
            guide = coarse_guide(small, reduced)
            other = guide[:, ::-1].copy() if before is None or before.shape != guide.shape else before
            for name, parser in named.items():
                used = other if name == OTHER else guide
                alpha = used if parser is None else parse_with_guide(small, reduced, used, parser).alpha
                found[name].append(errors(fine_matte(case.rgb, face, alpha), case))
            before = guide
            tell(started, len(found[GUIDE]), limit or 6 * len(people))
    labels = measure_labels(named, limit)
    keys = ("sad", "mse", "gradient")
    return {
        n: {k: float(np.mean([e[k] for e in found[n]])) for k in keys} | labels.get(n, NO_LABELS)
        for n in named
    }


NO_LABELS = {"labels IoU": float("nan"), "hair IoU": float("nan")}


def measure_labels(parsers: Mapping[str, FaceParser | None], limit: int | None) -> dict[str, Row]:
    """Measure the IoU of labels over all pixels of 24 synthetic heads of the test split."""
    size = len(LABELS)
    counts = {n: np.zeros((size, size), np.int64) for n, p in parsers.items() if p is not None and n != OTHER}
    for image in render_test_images(min(24, limit or 24), torch.device("cpu")):
        points = image["points"]
        box = (*points.min(0).tolist(), *points.max(0).tolist())
        small, face = reduce_for_parser(image["rgb"], Detection(points=points, box=box, score=1.0))
        guide = coarse_guide(small, face)
        for name, count in counts.items():
            parser = parsers[name]
            probability = np.stack(list(parse_with_guide(small, face, guide, parser).probability.values()))
            inside = probability.sum(0) > 0.5
            true, found = image["label"][inside].astype(np.int64), probability.argmax(0)[inside]
            count += np.bincount(true * size + found, minlength=size**2).reshape(size, size)
    out = {}
    for name, c in counts.items():
        there = c.sum(1) > 0
        each = np.diag(c) / np.maximum(c.sum(0) + c.sum(1) - np.diag(c), 1)
        out[name] = {"labels IoU": float(each[there].mean()), "hair IoU": float(each[LABELS.index("hair")])}
    return out


def named_networks(words: Sequence[str], load: Callable) -> dict:
    """Load ``NAME=PATH`` in order."""
    pairs = [w.partition("=") for w in words]
    if any(not path for _, _, path in pairs):
        raise SystemExit("weights_spread: give --networks NAME=PATH ...")
    return {name: load(weights_in(Path(path))) for name, _, path in pairs}


def main() -> None:
    """Measure, print a table and the spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    permute = kinds.add_parser("permute")
    permute.add_argument("source", type=Path)
    permute.add_argument("out", type=Path)
    for name in ("embedding", "parser"):
        kind = kinds.add_parser(name)
        kind.add_argument("--networks", nargs="*", default=[], metavar="NAME=PATH")
        kind.add_argument("--limit", type=int)
        kind.add_argument("--out", type=Path, help="all figures as JSON")
    kinds.choices["embedding"].add_argument("--data", type=Path, required=True)
    kinds.choices["parser"].add_argument("--mattes", type=Path, required=True)
    kinds.choices["parser"].add_argument("--scenes", type=Path, required=True)
    a = parser.parse_args()
    if a.kind == "permute":
        print(f"{permute_people(a.source, a.out)} photographs with their people exchanged")
        return
    if a.kind == "embedding":
        torch.manual_seed(0)
        networks = {BUNDLED: load_embedder()} | named_networks(a.networks, embedder_of)
        networks["random weights"] = IdentityEmbedder().eval().requires_grad_(False)
        rows = measure_embedding(a.data, networks, a.limit)
        keys = ("AUC reported", "AUC decides")
    else:
        parsers = {BUNDLED: load_parser()} | named_networks(a.networks, parser_of) | {ZEROED: zeroed_parser()}
        torch.manual_seed(0)
        parsers["layers as they are drawn"] = FaceParser().eval().requires_grad_(False)
        rows = measure_parser(a.mattes, a.scenes, parsers, a.limit)
        keys = ("sad", "labels IoU")
    print(table(rows))
    print(spread_line(rows, keys))
    if a.out:
        a.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
