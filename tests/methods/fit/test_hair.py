"""The hair's surface from a synthetic portrait: a head with a wig drawn by our own renderer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from headcast.avatar.mesh import MeshAvatar
from headcast.camera import Camera
from headcast.head.hair import HairAsset
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.fit.hair.coverage import clean_cover, remove_below_bare, view_weights
from headcast.methods.fit.hair.ears import ears_on, find_ears, front_limit
from headcast.methods.fit.hair.fill import suppress_sheen
from headcast.methods.fit.hair.grid import DOME_ROWS, HairGrid, mirror, normals
from headcast.methods.fit.hair.growth import growth_prior
from headcast.methods.fit.hair.observation import without_rims
from headcast.methods.fit.hair.surface import LIMIT_TOLERANCE_M, hair_surface, outer_limit
from headcast.methods.fit.hair.texture import HairTexelObservations, merge_colours
from headcast.methods.fit.reconstruct import fit_avatar
from headcast.observe.types import Detection, Masks, Observation
from headcast.render.mesh import rasterize_mesh

SIZE = 256
SKIN, HAIR, GROUND = (190, 140, 120), (90, 50, 25), (60, 110, 170)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.load()


def portrait(head: HeadModel, wig: str | None) -> Observation:
    """A person in flat colours with a wig of the bundled hair, or bald; masks are exact."""
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, 0.0, -1.0]))
    camera = Camera.make(SIZE * 2.2, SIZE, SIZE)
    vertices, faces = head(params), head.faces
    if wig:
        item = HairAsset.load()[wig]
        worn = item.worn(head, params.identity) + params.translation
        faces = torch.cat([faces, item.faces + len(vertices)])
        vertices = torch.cat([vertices, worn])
    triangle = rasterize_mesh(vertices, faces, camera).triangle.numpy()
    person, hair = triangle >= 0, triangle >= len(head.faces)
    image = np.select([hair[..., None], person[..., None]], [HAIR, SKIN], GROUND).astype(np.uint8)
    points = camera.project(head.landmarks(head(params))).numpy().astype(np.float64)
    box = tuple(float(c) for c in (*points.min(0), *points.max(0)))
    p, h, none = person.astype(np.float32), hair.astype(np.float32), np.zeros((SIZE, SIZE), np.float32)
    return Observation(
        image=image,
        detection=Detection(points, box, 1.0),
        masks=Masks(person=p, skin=p - h, hair=h, clothes=none, glasses=none),
        camera=camera,
        params=params,
        light=None,
        landmark_error=0.0,
        name="wig",
    )


@pytest.fixture(scope="module")
def made(head: HeadModel) -> tuple[Observation, MeshAvatar]:
    seen = portrait(head, "bob02")
    return seen, fit_avatar([seen], head, texture_size=1024)


def test_grid_knows_where_points_lie(head: HeadModel) -> None:
    grid = HairGrid.around(head.neutral.numpy(), head)
    r = 0.1 + 0.02 * np.random.default_rng(0).random(grid.shape)
    row, column, far = grid.place(grid.points(r)[1:].reshape(-1, 3))
    n, m = grid.shape
    assert np.abs(row - np.repeat(np.arange(1, n), m)).max() < 1e-3
    off = (column - np.tile(np.arange(m), n - 1) + m / 2) % m - m / 2
    assert np.abs(off).max() < 1e-3
    assert np.abs(far - r[1:].reshape(-1)).max() < 1e-6
    other = grid.points(mirror(r))
    assert np.allclose(mirror(grid.points(r)) * [-1, 1, 1], other, atol=1e-9)
    assert ((normals(grid.points(np.full(grid.shape, 0.1))) * grid.direction).sum(-1)[1:] > 0.5).all()


def test_a_wreath_stays_whole_and_specks_go() -> None:
    cover = np.zeros((85, 112))
    cover[20:40, :40] = cover[20:40, 72:] = 1
    wreath = cover.copy()
    cover[50:54, 50:54] = 1
    assert (np.abs(clean_cover(cover) - wreath)[22:38, :] < 0.5).all()
    assert (clean_cover(cover)[45:] < 0.5).all()


def test_a_removed_piece_takes_its_soft_border_along() -> None:
    y, x = np.mgrid[:85, :112]
    cap = np.clip((30 - y) / 8 + 0.5, 0, 1)
    piece = np.clip((9 - np.hypot(y - 58, x - 56)) / 8 + 0.5, 0, 1)
    cleaned = clean_cover(np.maximum(cap, piece))
    assert cleaned[46:].max() <= 0.2 + 1e-6  # .3 and more is drawn as thin hair
    assert np.abs(cleaned - cap)[:36].max() < 0.1


def test_hair_below_a_bare_cheek_is_removed_and_strands_that_hang_stay(head: HeadModel) -> None:
    grid = HairGrid.around(head.neutral.numpy(), head)
    n, m = grid.shape
    front, height = grid.direction[-1, :, 2], grid.heights
    cover = np.zeros((n, m))
    cover[: DOME_ROWS // 2] = 1
    hanging = (front > 0.2) & (front < 0.4)
    cover[:, hanging] = 1
    cheek = (height < -0.02) & (height > -0.05)
    hood = cheek[:, None] & (front > 0.5)[None]
    behind = cheek[:, None] & (front < -0.3)[None]
    left = remove_below_bare(np.where(hood | behind, 1.0, cover), grid)
    assert left[hood].max() <= 0.2 + 1e-6
    assert (left[~hood] == np.where(behind, 1.0, cover)[~hood]).all()


def test_outermost_finds_the_skin(head: HeadModel) -> None:
    grid = HairGrid.around(head.neutral.numpy(), head)
    skin = grid.outermost(head.neutral.numpy(), head.faces[head.part == 0].numpy())
    assert skin.min() > 0.02 and skin.max() < 0.2
    row, column, far = grid.place(head.neutral[head.region_mask("scalp")].numpy())
    found = skin[np.round(row).astype(int), np.round(column).astype(int) % grid.shape[1]]
    assert np.abs(found - far).max() < 0.01 and np.median(np.abs(found - far)) < 0.002


def test_bald_heads_have_no_surface_of_hair(head: HeadModel) -> None:
    assert hair_surface([portrait(head, None)], head) is None


def test_hair_fills_the_outline_and_leaves_the_face_free(made: tuple[Observation, MeshAvatar]) -> None:
    seen, avatar = made
    assert [s.name for s in avatar.shells] == ["hair"]
    with torch.no_grad():
        out = avatar.render(seen.params, seen.camera)
    chin = int(seen.detection.points[152, 1])
    mine, truth = (x[:chin] > 0.5 for x in (out.alpha.numpy(), seen.masks.person))
    assert (mine & truth).sum() / (mine | truth).sum() > 0.96
    rgb = out.rgb.numpy() * 255
    close = np.abs(rgb - seen.image).max(-1) < 40
    assert close[:chin][truth].mean() > 0.93


def test_hair_all_around(made: tuple[Observation, MeshAvatar]) -> None:
    """From behind and from the sides above the ears there is hair of the photo's colour, nothing else."""
    seen, avatar = made
    middle = seen.params.translation + torch.tensor([0.0, 0.02, 0.0])
    for yaw, pitch in ((180, 0), (135, 20), (-135, 20), (0, 80)):
        camera = Camera.orbit(middle, 1.0, yaw, pitch, focal=SIZE * 2.2, width=SIZE, height=SIZE)
        with torch.no_grad():
            out = avatar.render(seen.params, camera)
        rgb, alpha = out.rgb.numpy() * 255, out.alpha.numpy()
        u, v = camera.project(middle + torch.tensor([0.0, 0.06, 0.0])).round().long().tolist()
        spot = np.s_[v - 12 : v + 12, u - 12 : u + 12]
        assert (alpha[spot] > 0.99).all()
        assert np.abs(np.median(rgb[spot].reshape(-1, 3), 0) - HAIR).max() < 45, (yaw, pitch)


def test_hair_is_carried_by_head_and_shoulders(made: tuple[Observation, MeshAvatar]) -> None:
    _, avatar = made
    weights = avatar.shells[0].skin_weights
    assert torch.allclose(weights.sum(1), torch.ones(len(weights)), atol=1e-5)
    high = avatar.shells[0].rest[:, 1] > 0.0
    assert float(weights[high][:, 2].min()) > 0.99


def test_sheen_seen_at_a_slant_goes_and_what_is_seen_well_stays() -> None:
    rng = np.random.default_rng(0)
    log = rng.normal(-2, 0.2, (64, 64, 1)).repeat(3, 2).astype(np.float32)
    trust = np.ones((64, 64), np.float32)
    trust[:8], log[:8] = 0.1, -0.2
    out = suppress_sheen(log, trust)
    assert np.array_equal(out[8:], log[8:])
    assert -1.8 < out[:8].mean() < -1.3


def test_one_photo_of_several_does_not_cut_the_hair() -> None:
    near, usual, unknown = (np.full((2, 3), x) for x in (0.01, 0.03, np.inf))
    assert np.array_equal(outer_limit([near]), near)
    assert np.array_equal(outer_limit([unknown, near, usual]), usual + LIMIT_TOLERANCE_M)
    assert np.array_equal(outer_limit([usual, near]), near + LIMIT_TOLERANCE_M)


def test_the_photo_that_tells_most_decides_where_hair_is() -> None:
    one, other = np.array([[0.9, 0.0, 0.4]]), np.array([[0.3, 0.2, 0.4]])
    assert np.allclose(view_weights([one]), [[[1, 0, 1]]])
    share = view_weights([one, other])
    assert share[0, 0, 0] > 0.98
    assert np.allclose(share[:, 0, 1], [0, 1]) and np.allclose(share[:, 0, 2], 0.5)


def test_hair_of_several_photos_is_toned_like_the_first_and_not_mixed() -> None:
    rng = np.random.default_rng(0)
    albedo = rng.uniform(0.05, 0.4, (32, 32, 3)).astype(np.float32)
    light = np.array([1.5, 1.2, 0.8], np.float32)  # of the second photo's light, wrongly guessed
    trust = np.full((2, 32, 32), 0.8, np.float32)
    trust[0, :, 28:] = 0.0
    one, two = (
        HairTexelObservations(a, t, t, t, t) for a, t in zip((albedo, albedo * light), trust, strict=True)
    )
    assert np.allclose(merge_colours([one])[:, :28], albedo[:, :28], atol=1e-5)
    assert np.allclose(merge_colours([one, two]), albedo, atol=1e-3)
    strange = HairTexelObservations(
        albedo[::-1], trust[1] * 0.3, trust[1], trust[1], trust[1]
    )  # seen worse: hardly counts
    assert np.abs(merge_colours([one, strange]) - albedo)[:, :28].max() < 0.01


def long_hair(head: HeadModel, bare: bool) -> Observation:
    """Hair that hangs beside the neck, behind bare ears or over them."""
    seen = portrait(head, "long01")
    posed = head(seen.params)
    ears = seen.camera.project(posed[head.region_mask("ears")]).numpy().astype(int)
    masks = {k: getattr(seen.masks, k).copy() for k in ("person", "skin", "hair", "clothes", "glasses")}
    for x, y in ears:
        spot = np.s_[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        masks["skin"][spot], masks["hair"][spot], masks["person"][spot] = bare, not bare, 1
    return replace(seen, masks=Masks(**masks))


@pytest.mark.parametrize("bare", [True, False])
def test_ears_are_bare_where_the_photo_shows_their_skin(head: HeadModel, bare: bool) -> None:
    seen = long_hair(head, bare)
    rest = head.neutral.numpy()
    grid = HairGrid.around(rest, head)
    ears = find_ears([seen], grid, head, rest, usually_bare=not bare)
    assert ears is not None
    assert (ears.bare_by_column == bare).mean() > 0.95
    assert ears.bare.any() == bare and not (ears.bare & ~ears.cells).any()
    assert (ears_on(grid, head, rest) & ears.cells).sum() == ears.cells.sum()
    limit = front_limit(grid, ears)
    if not bare:  # hair that covers an ear lies where the photo shows it
        assert not np.isfinite(limit).any()
        return
    point = grid.points(np.where(np.isfinite(limit), limit, 0.0))
    beside = np.isfinite(limit) & (np.abs(grid.heights - 0.02) < 0.015)[:, None]
    assert abs(np.median(point[..., 2][beside]) - ears.back) < 0.02


def test_hair_hangs_behind_bare_ears(head: HeadModel) -> None:
    """Where the ears are bare, no hair is in front of them; where they are covered, there is."""
    area = []
    for bare in (True, False):
        found = hair_surface([long_hair(head, bare)], head)
        assert found is not None
        ears = ears_on(found.grid, head, head.neutral.numpy())
        ears &= found.grid.points(found.skin)[..., 2] > 0  # their front halves
        area.append(((found.reach > found.skin) & (found.cover > 0.5))[ears].mean())
    assert area[0] < 0.6 * area[1]


def test_short_hair_leaves_ears_and_neck_free(head: HeadModel) -> None:
    found = hair_surface([portrait(head, "short02")], head)
    assert found is not None
    row, column, distance = found.grid.place(head.neutral[head.region_mask("ears")].numpy())
    at = np.round(row).astype(int), np.round(column).astype(int) % found.grid.shape[1]
    assert (distance > found.reach[at]).mean() > 0.7  # ears stick out of the hair
    assert (found.cover[found.grid.heights < -0.08] < 0.5).all()
    back = found.cover[:, 0]
    assert (back[5:40] > 0.5).all()  # down to the nape


def test_growth_is_alike_on_both_sides_and_knows_a_face(head: HeadModel) -> None:
    grid = HairGrid.around(head.neutral.numpy(), head)
    growth = growth_prior(grid)
    assert np.abs(growth - mirror(growth)).max() < 0.02
    face = head.neutral[head.region_mask("lips")].numpy()
    row, column, _ = grid.place(face)
    assert growth[np.round(row).astype(int), np.round(column).astype(int)].max() < 0.1
    assert growth[2:20, 0].min() > 0.8


def test_a_narrow_rim_of_hair_along_a_beard_is_not_hair_that_hangs(
    made: tuple[Observation, MeshAvatar],
) -> None:
    observation, _ = made
    masks = observation.masks
    assert masks is not None
    points = observation.detection.points
    chin, height = points[152], np.linalg.norm(points[10] - points[152])
    y, x = np.mgrid[: masks.hair.shape[0], : masks.hair.shape[1]] + 0.5
    below = (y > chin[1] - 0.4 * height) & (y < chin[1])
    for width, kept in ((0.02, False), (0.2, True)):
        strip = (np.abs(x - chin[0] - 0.6 * height) < width * height / 2) & below
        hair = np.where(strip, 1.0, 0.0).astype(np.float32)
        found = without_rims(replace(observation, masks=replace(masks, hair=hair))).masks
        assert found is not None
        assert (float(found.hair[strip].mean()) > 0.5) == kept
