"""Draws docs/images/head_sheet.jpg: made-up people (rows), expressions (columns), region colours only."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.render.shaded import gloss_of, render_textured

TINTS = {
    "lips": (0.72, 0.42, 0.39),
    "sclera": (0.9, 0.89, 0.87),
    "iris": (0.28, 0.4, 0.46),
    "pupil": (0.03, 0.03, 0.03),
    "teeth": (0.9, 0.87, 0.8),
    "gums": (0.7, 0.38, 0.37),
    "tongue": (0.75, 0.4, 0.39),
    "mouth": (0.4, 0.16, 0.15),
}
SKIN = (0.76, 0.62, 0.55)
COLUMNS = [
    {},
    {"mouthSmileLeft": 1, "mouthSmileRight": 1, "cheekSquintLeft": 0.6, "cheekSquintRight": 0.6},
    {"jawOpen": 0.9},
    {"eyeBlinkLeft": 1, "eyeBlinkRight": 1},
    {"eyeLookOutLeft": 0.8, "eyeLookInRight": 0.8},
    {"mouthPucker": 1},
    {"browInnerUp": 1, "mouthFrownLeft": 0.8, "mouthFrownRight": 0.8},
    {"tongueOut": 1},
]
YAWS = [0, 20, 0, 0, 0, -35, 0, 55]


def texture(head: HeadModel, size: int = 1024) -> torch.Tensor:
    """An albedo map that shows each triangle's region."""
    from skimage.draw import polygon

    colours = torch.tensor([TINTS.get(n, SKIN) for n in head.region_names])
    face = colours[head.region[head.faces]].mean(1).numpy()
    out = np.full((size, size, 3), SKIN, np.float32)
    for t, c in zip(head.uv[head.faces_uv].numpy() * size - 0.5, face, strict=True):
        rr, cc = polygon(t[:, 1], t[:, 0], out.shape[:2])
        out[rr, cc] = c
    return torch.from_numpy(out)


def light() -> torch.Tensor:
    """Irradiance harmonics of a soft key light from above left over a grey room."""
    sh = torch.zeros(9, 3)
    sh[0], sh[1], sh[2], sh[3] = 2.3, 0.5, 0.75, 0.45
    return sh


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/images/head_sheet.jpg"))
    parser.add_argument("--people", type=int, default=5)
    parser.add_argument("--size", type=int, default=190)
    options = parser.parse_args()
    from PIL import Image

    head = HeadModel.load()
    albedo, gloss = texture(head), gloss_of(head.region, head.region_names)
    people = torch.randn(options.people, head.identities, generator=torch.Generator().manual_seed(7)) * 0.9
    people[0] = 0
    rows = []
    for identity in people:
        row = []
        for weights, yaw in zip(COLUMNS, YAWS, strict=True):
            params = HeadParams.neutral(head.identities).replace(identity=identity).with_expression(weights)
            with torch.no_grad():
                v = head(params)
                camera = Camera.orbit(
                    torch.tensor([0.0, 0.0, 0.01]),
                    1.2,
                    yaw=yaw,
                    focal=4.4 * options.size,
                    width=options.size,
                    height=options.size,
                )
                picture = render_textured(
                    v,
                    head.faces,
                    head.vertex_normals(v),
                    head.uv,
                    head.faces_uv,
                    albedo,
                    camera,
                    light=light(),
                    gloss=gloss,
                )
            row.append(picture.rgb * picture.alpha[..., None] + 0.93 * (1 - picture.alpha[..., None]))
        rows.append(torch.cat(row, 1))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    sheet = (torch.cat(rows).clamp(0, 1) * 255).round().byte().numpy()
    Image.fromarray(sheet).save(options.output, quality=88, subsampling=0)


if __name__ == "__main__":
    main()
