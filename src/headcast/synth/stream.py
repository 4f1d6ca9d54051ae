"""An endless stream of batches of synthetic heads, made on the device that will use them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.device import is_cuda
from headcast.head.names import EXPRESSION_INDEX
from headcast.head.params import HeadParams
from headcast.image import linear_to_srgb
from headcast.synth.appearance import BEARDS, PersonAppearance, draw_appearance
from headcast.synth.assets import Assets, load_assets
from headcast.synth.backgrounds import draw_backgrounds
from headcast.synth.batch import SynthBatch
from headcast.synth.config import SynthConfig
from headcast.synth.expressions import HeadMotion, draw_moments, draw_motion
from headcast.synth.layers import SynthScene
from headcast.synth.lights import Light, draw_lights
from headcast.synth.paint import paint
from headcast.synth.pbr import add_expression_lines, add_pores
from headcast.synth.people import SPLIT_ROWS, PersonTraits, draw_people, person_rng
from headcast.synth.posed_people import PosedPeople, pose_people
from headcast.synth.recorded import Recording, draw_recorded
from headcast.synth.render import PixelTruth, render_scene
from headcast.synth.rng import CounterRng
from headcast.synth.views import Views, draw_views, project_to_views

__all__ = ["batches", "make_batch"]

AT_ONCE = {False: 4, True: 64}


def batches(
    config: SynthConfig,
    device: torch.device | str = "cpu",
    seed: int = 0,
    start: int = 0,
    recordings: tuple[Recording, ...] = (),
) -> Iterator[SynthBatch]:
    """Yield batches without end, never touching the disk; batch k holds people k·P .. k·P + P - 1.

    Args:
        start: the first batch's number, to go on where a run stopped.
        recordings: people move as in these, instead of as authored.

    A person, moment or view is the same in whatever batch it is made: all randomness is a function of seed,
    split and its numbers. On CUDA images equal those of the CPU within 2/255 on 99 % of values.
    """
    number = start
    while True:
        people = np.arange(config.people) + number * config.people
        yield make_batch(config, torch.device(device), seed, people, recordings=recordings)
        number += 1


class BatchRows(NamedTuple):
    """Which person, moment and camera the images of a batch show.

    Attributes:
        numbers, frames (M,): person and frame of each moment, as they key the RNG.
        view (N,): camera of each image, as it keys the RNG.
        person_of_moment (M,), moment_of_image (N,): rows within the batch.
    """

    numbers: Int[np.ndarray, " m"]
    frames: Int[np.ndarray, " m"]
    view: Int[np.ndarray, " n"]
    person_of_moment: Tensor
    moment_of_image: Tensor

    @property
    def person_of_image(self) -> Tensor:
        """Return the row of each image's person."""
        return self.person_of_moment[self.moment_of_image]


class SampledPeople(NamedTuple):
    """People of a batch: traits, appearance and painted textures (P, tall, wide, 8)."""

    person: PersonTraits
    appearance: PersonAppearance
    textures: Tensor


class Moments(NamedTuple):
    """Moments of a batch: head parameters, light, all textures, and which of them each moment wears."""

    params: HeadParams
    light: Light
    textures: Tensor
    worn: Tensor


class Rendered(NamedTuple):
    """Rendered images: truth and backgrounds (sRGB) of each, the head model's vertices of each moment."""

    truth: PixelTruth
    background: Tensor
    head: Tensor


@torch.no_grad()
def make_batch(
    config: SynthConfig,
    device: torch.device,
    seed: int,
    numbers: Int[np.ndarray, " p"],
    start: int = 0,
    views: Views | None = None,
    recordings: tuple[Recording, ...] = (),
) -> SynthBatch:
    """Synthesize the batch of given people.

    Args:
        start: number of the first frame (and of its light and views).
        views: one for each image, instead of sampled ones.
        recordings: people move as in these, instead of as authored.
    """
    assets = load_assets(device, config.texture_size)
    rng = person_rng(config, numbers, seed, device)
    rows = _batch_rows(config, numbers, start, device)
    people = _sample_people(config, rng, assets)
    moments = _draw_moments(config, rng, assets, people, rows, recordings)
    camera_rng = _camera_rng(config, rng, rows)
    views = draw_views(config.framing, camera_rng, config.size) if views is None else views
    rendered = _render_chunks(config, assets, people, moments, views, rows, camera_rng)
    return _assemble(assets, people, moments, views, rows, rendered)


def _assemble(
    assets: Assets, people: SampledPeople, moments: Moments, views: Views, rows: BatchRows, rendered: Rendered
) -> SynthBatch:
    """Gather what is known of each image."""
    owner, image = rows.person_of_image, rows.moment_of_image
    marks = {k: assets.head.landmarks(rendered.head, k)[image] for k in (68, 478)}
    numbers, frames, view = (
        torch.from_numpy(x.astype(np.int64)).to(assets.device) for x in (rows.numbers, rows.frames, rows.view)
    )
    return SynthBatch(
        **vars(rendered.truth),
        background=rendered.background,
        landmarks68=project_to_views(marks[68], views.K, views.cam_from_world),
        landmarks478=project_to_views(marks[478], views.K, views.cam_from_world),
        landmarks68_world=marks[68],
        landmarks478_world=marks[478],
        params=moments.params[(image,)],
        views=views,
        light=moments.light[image],
        person=people.person[owner],
        appearance=people.appearance[owner],
        number=numbers[image],
        frame=frames[image],
        view=view,
        textures=moments.textures[:, : assets.atlas.size],
        owner=moments.worn[image],
        hair_names=assets.hair_names,
    )


def _batch_rows(
    config: SynthConfig, numbers: Int[np.ndarray, " p"], start: int, device: torch.device
) -> BatchRows:
    people, frames, views = len(numbers), config.frames, config.views
    return BatchRows(
        numbers=np.repeat(numbers, frames),
        frames=start + np.tile(np.arange(frames), people),
        view=np.tile(np.arange(views), people * frames),
        person_of_moment=torch.arange(people, device=device).repeat_interleave(frames),
        moment_of_image=torch.arange(people * frames, device=device).repeat_interleave(views),
    )


def _sample_people(config: SynthConfig, rng: CounterRng, assets: Assets) -> SampledPeople:
    """Sample people and paint their textures; ``rng`` has a row per person."""
    person = draw_people(config, rng, assets.head, len(assets.skin.components))
    appearance = draw_appearance(config, rng, person, assets.hair_weights(config.split, person.feminine))
    styles = zip(appearance.hair.tolist(), appearance.hair_mirrored.tolist(), strict=True)
    scalp = torch.stack([assets.scalp(*s) for s in styles])
    textures = paint(person, appearance, rng, assets.atlas, assets.fields, assets.skin, scalp, config.micro)
    if config.pbr:
        textures = add_pores(textures, person, rng, assets.atlas, assets.relief(), config.micro)
    return SampledPeople(person, appearance, textures)


def _draw_moments(
    config: SynthConfig,
    rng: CounterRng,
    assets: Assets,
    people: SampledPeople,
    rows: BatchRows,
    recordings: tuple[Recording, ...],
) -> Moments:
    """Sample motion and light of all moments; in PBR mode textures gain the expressions' lines."""
    of_moment = rows.person_of_moment
    person = people.person[of_moment]
    motion = _sample_motion(config, rng, _keyed(config, rng, rows.numbers, rows.frames), recordings)
    params = _params(assets, person, motion)
    textures, worn = people.textures, of_moment
    if config.pbr:
        worn = torch.arange(len(of_moment), device=rng.device)
        textures = add_expression_lines(
            textures[of_moment], params.expression, person.old, assets.atlas, assets.fields, config.micro
        )
    light_rng = _keyed(config, rng, rows.numbers, _scene_frames(config, rows))
    return Moments(params, draw_lights(config.split, light_rng, person.ita), textures, worn)


def _scene_frames(config: SynthConfig, rows: BatchRows) -> Int[np.ndarray, " m"]:
    """Return the frames that key light and cameras: one for a whole clip."""
    return rows.frames * 0 if config.clip else rows.frames


def _camera_rng(config: SynthConfig, rng: CounterRng, rows: BatchRows) -> CounterRng:
    """Return the RNG of cameras and backgrounds, a row per image."""
    per_moment = (rows.numbers, _scene_frames(config, rows))
    return _keyed(config, rng, *(np.repeat(x, config.views) for x in per_moment), rows.view)


def _sample_motion(
    config: SynthConfig, rng: CounterRng, moments: CounterRng, recordings: tuple[Recording, ...]
) -> HeadMotion:
    """Sample the motion of all frames: ``rng`` has a row per person, ``moments`` one per frame."""
    T = config.frames
    if recordings:
        motion = draw_recorded(recordings, rng, T, config.fps, config.expression, config.clip)
    elif config.clip:
        motion = draw_motion(rng, T, config.fps, config.expression)
    else:
        motion = draw_moments(moments, config.expression)
    if config.still_neck:
        first = torch.arange(len(rng.rows), device=rng.device).repeat_interleave(T) * T
        motion = replace(motion, neck=motion.neck[first])
    return motion


def _keyed(config: SynthConfig, rng: CounterRng, *columns: Int[np.ndarray, " n"]) -> CounterRng:
    """Return an RNG of the same seed and device whose rows are the split and these columns."""
    rows = np.stack([np.full(len(columns[0]), SPLIT_ROWS[config.split]), *columns], 1)
    return CounterRng(rows.astype(np.int64), rng.seed, rng.device)


def _params(assets: Assets, person: PersonTraits, motion: HeadMotion) -> HeadParams:
    expression = motion.expression.clone()
    for side in ("Left", "Right"):
        i = EXPRESSION_INDEX[f"eyeBlink{side}"]
        wide = motion.expression[:, EXPRESSION_INDEX[f"eyeWide{side}"]]
        expression[:, i] = (expression[:, i] + person.lids * (1 - wide)).clamp(max=1)
    base = HeadParams.neutral(assets.head.identities, (len(expression),), device=assets.device)
    return base.replace(identity=person.identity, expression=expression, neck=motion.neck, gaze=motion.gaze)


def _render_chunks(
    config: SynthConfig,
    assets: Assets,
    people: SampledPeople,
    moments: Moments,
    views: Views,
    rows: BatchRows,
    camera_rng: CounterRng,
) -> Rendered:
    """Render a few moments at once, which bounds memory."""
    count = len(rows.person_of_moment)
    most = config.at_once or AT_ONCE[is_cuda(moments.textures)]
    step = max(1, most // config.views)
    truths, backgrounds, heads = [], [], []
    for first in range(0, count, step):
        chunk = slice(first, min(first + step, count))
        images = slice(chunk.start * config.views, chunk.stop * config.views)
        rng = CounterRng(camera_rng.rows[images], camera_rng.seed, camera_rng.device)
        background = _draw_background(config, rng)
        scene = _chunk_scene(
            assets, people, moments, views[images], rows, chunk, images, background, config.pbr
        )
        truths.append(render_scene(assets, scene, config.antialias, config.layers))
        backgrounds.append(linear_to_srgb(background))
        heads.append(scene.people.head)
    joined = PixelTruth(
        **{f.name: torch.cat([getattr(t, f.name) for t in truths]) for f in fields(PixelTruth)}
    )
    return Rendered(joined, torch.cat(backgrounds), torch.cat(heads))


def _draw_background(config: SynthConfig, rng: CounterRng) -> Float[Tensor, "n h h 3"]:
    """Sample backgrounds (linear colour), or black ones."""
    if config.background:
        return draw_backgrounds(rng, config.size)
    return torch.zeros(len(rng.rows), config.size, config.size, 3, device=rng.device)


def _chunk_scene(
    assets: Assets,
    people: SampledPeople,
    moments: Moments,
    views: Views,
    rows: BatchRows,
    chunk: slice,
    images: slice,
    background: Tensor,
    pbr: bool,
) -> SynthScene:
    """Pose the people of some moments (``chunk``) for their images."""
    moment = rows.moment_of_image[images]
    owner = rows.person_of_moment[moment]
    appearance = people.appearance
    return SynthScene(
        people=_pose_moments(assets, appearance[rows.person_of_moment[chunk]], moments.params[chunk]),
        light=moments.light[chunk],
        scene=moment - chunk.start,
        views=views,
        textures=moments.textures,
        owner=moments.worn[moment],
        hair_colour=appearance.hair_colour[owner],
        hair_light=appearance.hair_light[owner],
        hair_cut=appearance.hair_cut[owner],
        background=background,
        pbr=pbr,
    )


def _pose_moments(assets: Assets, appearance: PersonAppearance, params: HeadParams) -> PosedPeople:
    bearded = [BEARDS[k] == "beard" for k in appearance.beard.tolist()]
    styles = list(zip(appearance.hair.tolist(), appearance.hair_mirrored.tolist(), strict=True))
    shells = [assets.shells(*s, b) for s, b in zip(styles, bearded, strict=True)]
    openness = torch.stack([assets.openness(*s) for s in styles])
    return pose_people(assets.head, assets.bust, params, appearance, shells, assets.tangent, openness)
