"""Portrait4D-v2's ablation: stage 2 in the paper's configurations, the same budget and data for each.

python tools/ablate_portrait4d.py --static portrait4d-static.safetensors --folder people --test people_test
    --out ablation [--steps 200] [--seeds 3] [--device auto]

A: no start from Ψ3d (no-init); B: real frames alone (real-only); C: pseudo views for the motion (pseudo-p);
D: pseudo views for the target (pseudo-q); full; these by the paper's terms alone, and full once more with our
term on what an expression changes. Measured on people of the split test
(tools/build_portrait4d_people.py --split test): source at one moment, driver at the other, seen from another
camera, against the truth there; with people of a still neck also how much of what an expression changes is
drawn (slope and correlation, see headcast.methods.portrait4d.expression_response; expressions by weights).
The table gives the mean over seeds and the spread between them; what differs
by less than the spread is not told apart.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from headcast.device import pick_device
from headcast.methods.portrait4d.expression_response import measure_response
from headcast.methods.portrait4d.losses import moving_region_weights
from headcast.methods.portrait4d.motion_embedding import align_faces
from headcast.methods.portrait4d.people import MOMENTS, People, read_people
from headcast.methods.portrait4d.recipes.motion import DIFFERENCE_WEIGHT, Ablation, MotionRecipe
from headcast.methods.portrait4d.weights import Portrait4DNetworks, read_networks
from headcast.training import TrainConfig, train

NAMES = {"no-init": "A", "real-only": "B", "pseudo-p": "C", "pseudo-q": "D", "full": "full"}


@torch.no_grad()
def measured(networks: Portrait4DNetworks, people: People, most: int) -> dict[str, float]:
    """Means over people and both directions of time, from another side than the driver's: L1 (0..255) of the
    picture and around mouth and eyes, and the evaluator's perceptual distance."""
    from headcast.priors.encoder.infer import load_encoder

    judge, cpu = load_encoder("evaluator", torch.device("cpu")), torch.device("cpu")
    c, psi = networks.psi.config, networks.psi
    l1, moving, far = [], [], []
    for person in range(min(most, len(people.head))):
        for moment in range(MOMENTS):
            one = torch.tensor([person])
            source = people.shots(one, torch.tensor([moment]), torch.tensor([0]), cpu, c.side)
            driver = people.shots(one, torch.tensor([1 - moment]), torch.tensor([0]), cpu, c.side)
            target = people.shots(one, torch.tensor([1 - moment]), torch.tensor([1]), cpu, c.side)
            v_s, v_d = (networks.motion(align_faces(s.image, s.marks)) for s in (source, driver))
            head = psi.head(psi.appearance(source.image, v_s), v_d)
            image = psi.render(head, target.rays(c, c.side // 4), target.neck(c)).image.clamp(-1, 1)
            truth = target.target(c.units_per_metre, source.background).image
            l1.append(float((image - truth).abs().mean()) * 127.5)
            where = moving_region_weights(target.marks, c.side, 1.0) - 1
            moving.append(float(((image - truth).abs() * where).sum() / (3 * where.sum())) * 127.5)
            far.append(float(judge.distance(image, truth).mean()))
    moved = measure_response(networks, people, most)["weights"]
    return {
        "l1": float(np.mean(l1)),
        "moving": float(np.mean(moving)),
        "perceptual": float(np.mean(far)),
        "slope": moved["slope"],
        "correlation": moved["correlation"],
    }


def main() -> None:
    """Trains, measures, writes ``ablation.md``; what was trained before is not trained again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--static", required=True)
    parser.add_argument("--folder", default="")
    parser.add_argument("--test", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--most", type=int, default=16)
    parser.add_argument("--encoder", default="", help="weights of portrait4d.encoder to begin with")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--precision", default="32", choices=("auto", "32", "bf16"))
    parser.add_argument("--size", default="small", choices=("small", "tiny"))
    parser.add_argument("--only", nargs="*", help="some of them: the paper's letters, full, differences")
    parser.add_argument("--device", default="auto")
    a = parser.parse_args()
    rows: dict[str, list[dict[str, float]]] = {}
    runs: list[tuple[str, str, Ablation, float]] = [
        (NAMES[x], f"{NAMES[x]} ({x})", x, 0.0) for x in get_args(Ablation)
    ]
    runs.append(("differences", "full, and differences", "full", DIFFERENCE_WEIGHT))
    for short, name, ablation, weight in runs:
        if a.only and short not in a.only:
            continue
        for seed in range(a.seeds):
            recipe: Any = MotionRecipe(
                people=a.people,
                static=a.static,
                encoder=a.encoder,
                ablation=ablation,
                folder=a.folder,
                size=a.size,
                rate=a.rate,
                mean_rate=1.0,
                difference_weight=weight,
            )
            config = TrainConfig(
                steps=a.steps,
                seed=seed,
                device=str(pick_device(a.device)),
                warmup=min(50, a.steps // 5),
                cooldown=0.3,
                ema=0.95,
                clip=1.0,
                picture_every=0,
                precision=a.precision,
            )
            made = train(recipe, config, a.out / f"{ablation}{'-differences' * (weight > 0)}_{seed}")
            found = measured(read_networks(str(made.weights)), read_people(a.test), a.most)
            rows.setdefault(name, []).append(found)
            print(f"{name} seed {seed}: {json.dumps(found)}", flush=True)
    lines = [
        "| configuration | L1 (of 255) | mouth and eyes | perceptual | slope | correlation |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in rows.items():
        cells = [
            np.array([f[k] for f in found]) for k in ("l1", "moving", "perceptual", "slope", "correlation")
        ]
        words = [f"{x.mean():.3f} ({x.min():.3f} to {x.max():.3f})" for x in cells]
        lines.append(f"| {name} | {' | '.join(words)} |")
    lines += [
        "",
        f"{a.steps} steps of {a.people} clips, {a.seeds} seeds; in brackets the spread between seeds.",
    ]
    (a.out / "ablation.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
