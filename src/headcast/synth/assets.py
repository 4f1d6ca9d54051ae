"""What every batch needs and nobody changes: head, bust, atlas, fields, hair, vertex visibility."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from headcast.head.hair import HairItem
from headcast.head.model import HeadModel
from headcast.head.skin import SkinModel
from headcast.synth.atlas import Atlas, make_atlas
from headcast.synth.bust import Bust, make_bust
from headcast.synth.fields import Fields, make_fields
from headcast.synth.hair_shells import (
    FREE_HAIR,
    TEST_HAIR,
    HairShells,
    beard_shells,
    buzz_shells,
    lash_shells,
    load_styles,
    merge_shells,
    style_shells,
)
from headcast.synth.openness import rest_bust, skin_below, vertex_openness
from headcast.synth.relief import Relief, make_relief
from headcast.synth.shade import fetch

__all__ = ["Assets", "load_assets"]

MEN = {
    "short01": 3.0,
    "short02": 3.0,
    "short03": 1.5,
    "short04": 3.0,
    "afro01": 1.0,
    "bald": 1.5,
    "buzzed": 2.5,
    "long01": 0.4,
    "ponytail01": 0.3,
}
WOMEN = {
    "bob01": 0.8,
    "bob02": 2.0,
    "long01": 3.0,
    "ponytail01": 2.5,
    "braid01": 2.0,
    "short03": 1.0,
    "short02": 0.8,
    "afro01": 1.0,
    "buzzed": 0.3,
    "short01": 0.5,
}


@dataclass
class Assets:
    """Data shared by all batches, see :func:`load_assets`; shells and openness are made when first used.

    Attributes:
        tangent (V, 3): direction of +u on the bust at rest.
        strand_noise (S, S, 3): fine and coarse streaks, dots, 0..1.
        part_of_face (F,): of the bust: the head's parts, then torso and glasses.
        hair_names: ``bald``, ``buzzed``, then the styles.
    """

    head: HeadModel
    skin: SkinModel
    bust: Bust
    atlas: Atlas
    fields: Fields
    tangent: Float[Tensor, "v 3"]
    strand_noise: Float[Tensor, "s s 3"]
    part_of_face: Int[Tensor, " f"]
    hair_names: tuple[str, ...]
    styles: dict[str, HairItem]
    beard_cover: Float[Tensor, " h"]
    scalp_cover: Float[Tensor, " h"]
    shells_cache: dict[tuple[int, bool, bool], HairShells] = field(default_factory=dict)
    openness_cache: dict[tuple[int, bool], Tensor] = field(default_factory=dict)
    parts: dict[tuple[str, bool], HairShells] = field(default_factory=dict)
    scalps: dict[tuple[int, bool], Tensor] = field(default_factory=dict)
    reliefs: list[Relief] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        """Return the device of all tensors."""
        return self.head.neutral.device

    def part(self, name: str, mirrored: bool = False) -> HairShells:
        """Return the shell layers of one style (or its mirror image), of a beard, or of the lashes."""
        if (name, mirrored) not in self.parts:
            if name == "lashes":
                made = lash_shells(self.head)
            elif name == "beard":
                made = beard_shells(self.head, self.beard_cover)
            elif name == "buzzed":
                made = buzz_shells(self.head, self.scalp_cover)
            else:
                made = style_shells(self.head, self.styles[name], mirrored)
            self.parts[name, mirrored] = made
        return self.parts[name, mirrored]

    def shells(self, style: int, mirrored: bool, beard: bool) -> HairShells:
        """Return one person's hair style, beard and lashes, merged."""
        key = (style, mirrored, beard)
        if key not in self.shells_cache:
            parts = [self.part(n, mirrored) for n in (self.hair_names[style],) if n != "bald"]
            parts += [self.part(n) for n in ["beard"] * beard + ["lashes"]]
            self.shells_cache[key] = merge_shells(parts)
        return self.shells_cache[key]

    def openness(self, style: int, mirrored: bool) -> Float[Tensor, " v"]:
        """Return per vertex of the resting bust the cosine-weighted visible fraction of its surroundings."""
        key = (style, mirrored)
        if key not in self.openness_cache:
            name = self.hair_names[style]
            shells = None if name in FREE_HAIR else self.part(name, mirrored)
            self.openness_cache[key] = vertex_openness(self.bust, self.head, shells)
        return self.openness_cache[key]

    def relief(self) -> Relief:
        """Return pores and directed wrinkles of the atlas, for the PBR mode."""
        if not self.reliefs:
            self.reliefs.append(make_relief(self.atlas, self.fields))
        return self.reliefs[0]

    def scalp(self, style: int, mirrored: bool) -> Float[Tensor, "h w"]:
        """Return how densely hair is painted on the skin, so that none shines through a style."""
        key = (style, mirrored)
        if key not in self.scalps:
            name, soft = self.hair_names[style], self.fields.scalp
            if name == "bald":
                self.scalps[key] = torch.zeros_like(soft)
            elif name == "buzzed":
                self.scalps[key] = 0.8 * soft
            else:
                below = skin_below(self.atlas, self.part(name, mirrored))
                self.scalps[key] = 0.92 * torch.maximum(soft, below)
        return self.scalps[key]

    def hair_weights(self, split: str, feminine: Tensor) -> Float[Tensor, "b h"]:
        """Return the weight of each style: held-out ones for the test split alone, meshless ones for both."""
        rows = []
        for table in (MEN, WOMEN):
            allowed = [n in FREE_HAIR or (n in TEST_HAIR) == (split == "test") for n in self.hair_names]
            rows.append([table.get(n, 0.0) * a for n, a in zip(self.hair_names, allowed, strict=True)])
        both = torch.tensor(rows, device=self.device)
        return torch.where(feminine[:, None], both[1], both[0])


_loaded: dict[tuple[str, int], Assets] = {}


def load_assets(device: torch.device, texture: int) -> Assets:
    """Return the assets on a device for textures of a size, cached between calls."""
    key = (str(device), texture)
    if key not in _loaded:
        with torch.no_grad():
            _loaded[key] = _load(device, texture)
    return _loaded[key]


def _load(device: torch.device, texture: int) -> Assets:
    head = HeadModel.load().to(device)
    skin = SkinModel.load().to(device)
    bust = make_bust(head)
    atlas = make_atlas(head, bust, texture)
    fields = make_fields(atlas)
    styles = load_styles(head)
    per_vertex = vertex_uv(head, bust)
    zero = torch.zeros(len(per_vertex), dtype=torch.long, device=device)
    cover = fetch(torch.stack([fields.beard, fields.scalp], -1)[None], zero, per_vertex)[: bust.head_count]
    return Assets(
        head=head,
        skin=skin,
        bust=bust,
        atlas=atlas,
        fields=fields,
        tangent=rest_tangent(head, bust),
        strand_noise=make_strand_noise(atlas.noise[:, :texture]),
        part_of_face=torch.cat([head.part, len(head.part_names) + bust.kind[len(head.part) :]]),
        hair_names=(*FREE_HAIR, *styles),
        styles=styles,
        beard_cover=cover[:, 0],
        scalp_cover=cover[:, 1],
    )


def make_strand_noise(octaves: Float[Tensor, "n s s"]) -> Float[Tensor, "s s 3"]:
    """Make ``Assets.strand_noise`` from the atlas's octaves of noise."""
    fine, coarse = octaves[6] + 0.8 * octaves[5] + 0.4 * octaves[4], octaves[3] + octaves[4]
    patterns = (smear_along_v(fine), smear_along_v(coarse), octaves[6] + octaves[5])
    return torch.stack([torch.sigmoid(1.8 * x / x.std()) for x in patterns], -1)


def smear_along_v(noise: Float[Tensor, "s s"]) -> Float[Tensor, "s s"]:
    """Blur noise along v (wrapping), which gives streaks."""
    total = torch.zeros_like(noise)
    for k in range(-24, 25):
        total = total + noise.roll(k, 0) * math.exp(-((k / 12) ** 2))
    return total


def vertex_uv(head: HeadModel, bust: Bust) -> Float[Tensor, "v 2"]:
    """Return one texture coordinate for every vertex of the bust."""
    out = torch.zeros(bust.head_count + bust.torso_count + bust.glasses_count, 2, device=head.neutral.device)
    out[bust.faces.reshape(-1)] = bust.uv[bust.faces_uv.reshape(-1)]
    return out


def rest_tangent(head: HeadModel, bust: Bust) -> Float[Tensor, "v 3"]:
    """Return the direction in which u grows, per vertex of the bust at rest."""
    v = rest_bust(head, bust)
    p, uv = v[bust.faces], bust.uv[bust.faces_uv]
    e1, e2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    d1, d2 = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    det = d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0]
    t = (e1 * d2[:, 1:] - e2 * d1[:, 1:]) * det.sign()[:, None]
    t = torch.cat([t, torch.zeros_like(t[:1])])
    out = normalize(t[bust.incident].sum(1), dim=-1)
    return torch.where(out.norm(dim=-1, keepdim=True) > 0.5, out, torch.tensor([1.0, 0, 0], device=v.device))
