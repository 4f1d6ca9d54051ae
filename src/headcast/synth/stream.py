"""An endless stream of batches of synthetic heads, made on the device that will use them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from headcast.device import is_cuda
from headcast.head.names import EXPRESSION_INDEX
from headcast.head.params import HeadParams
from headcast.synth.assets import Assets, load_assets
from headcast.synth.backgrounds import draw_backgrounds
from headcast.synth.batch import SynthBatch
from headcast.synth.config import SynthConfig
from headcast.synth.expressions import Motion, draw_moments, draw_motion
from headcast.synth.figure import Figure, pose_figures
from headcast.synth.layers import Scene
from headcast.synth.lights import Light, draw_lights
from headcast.synth.looks import BEARDS, Looks, draw_looks
from headcast.synth.paint import paint
from headcast.synth.pbr import add_expression_lines, add_pores
from headcast.synth.people import SPLIT_ROWS, Person, draw_people, person_rng
from headcast.synth.recorded import Recording, draw_recorded
from headcast.synth.render import Truth, render_scene
from headcast.synth.rng import CounterRng
from headcast.synth.views import Views, draw_views, project_points

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
    person = draw_people(config, rng, assets.head, len(assets.skin.components))
    looks = draw_looks(config, rng, person, assets.hair_weights(config.split, person.feminine))
    styles = zip(looks.hair.tolist(), looks.hair_mirrored.tolist(), strict=True)
    scalp = torch.stack([assets.scalp(*s) for s in styles])
    textures = paint(person, looks, rng, assets.atlas, assets.fields, assets.skin, scalp, config.micro)
    if config.pbr:
        textures = add_pores(textures, person, rng, assets.atlas, assets.relief(), config.micro)
    P, T, V = len(numbers), config.frames, config.views
    of_frame = torch.arange(P, device=device).repeat_interleave(T)
    frames = start + np.tile(np.arange(T), P)
    moments = _rng(config, seed, device, np.repeat(numbers, T), frames)
    motion = _sample_motion(config, rng, moments, recordings)
    params = _params(assets, person[of_frame], motion)
    worn = of_frame  # which textures each moment wears
    if config.pbr:
        worn = torch.arange(P * T, device=device)
        old = person.old[of_frame]
        textures = add_expression_lines(
            textures[of_frame], params.expression, old, assets.atlas, assets.fields, config.micro
        )
    light_rng = _rng(config, seed, device, np.repeat(numbers, T), frames * 0 if config.clip else frames)
    light = draw_lights(config.split, light_rng, person.ita[of_frame])
    of_view = torch.arange(P * T, device=device).repeat_interleave(V)
    view = np.tile(np.arange(V), P * T)
    camera_rng = _rng(
        config,
        seed,
        device,
        np.repeat(np.repeat(numbers, T), V),
        np.repeat(frames * 0 if config.clip else frames, V),
        view,
    )
    views = draw_views(config.framing, camera_rng, config.size) if views is None else views
    owner = of_frame[of_view]
    truth, background, head = _render_chunks(
        config, assets, person, looks, textures, params, light, views, of_frame, of_view, camera_rng, worn
    )
    marks = {which: assets.head.landmarks(head, which)[of_view] for which in (68, 478)}
    return SynthBatch(
        rgb=truth.rgb,
        alpha=truth.alpha,
        background=background,
        depth=truth.depth,
        normal=truth.normal,
        geometric_normal=truth.geometric_normal,
        uv=truth.uv,
        albedo=truth.albedo,
        specular=truth.specular,
        label=truth.label,
        landmarks68=project_points(marks[68], views.K, views.cam_from_world),
        landmarks478=project_points(marks[478], views.K, views.cam_from_world),
        landmarks68_world=marks[68],
        landmarks478_world=marks[478],
        params=params[(of_view,)],
        views=views,
        light=light[of_view],
        person=person[owner],
        looks=looks[owner],
        number=torch.from_numpy(numbers.astype(np.int64)).to(device)[owner],
        frame=torch.from_numpy(frames.astype(np.int64)).to(device)[of_view],
        view=torch.from_numpy(view.astype(np.int64)).to(device),
        textures=textures[:, : assets.atlas.size],
        owner=worn[of_view],
        hair_names=assets.hair_names,
    )


def _sample_motion(
    config: SynthConfig, rng: CounterRng, moments: CounterRng, recordings: tuple[Recording, ...]
) -> Motion:
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


def _rng(config: SynthConfig, seed: int, device: torch.device, *columns: Int[np.ndarray, " n"]) -> CounterRng:
    rows = np.stack([np.full(len(columns[0]), SPLIT_ROWS[config.split]), *columns], 1)
    return CounterRng(rows.astype(np.int64), seed, device)


def _params(assets: Assets, person: Person, motion: Motion) -> HeadParams:
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
    person: Person,
    looks: Looks,
    textures: Tensor,
    params: HeadParams,
    light: Light,
    views: Views,
    of_frame: Tensor,
    of_view: Tensor,
    camera_rng: CounterRng,
    worn: Tensor,
) -> tuple[Truth, Tensor, Tensor]:
    """Render truth, backgrounds (sRGB) and head vertices (per frame), a few frames at once."""
    from headcast.image import linear_to_srgb

    most = config.at_once or AT_ONCE[is_cuda(textures)]
    step = max(1, most // config.views)
    truths, backgrounds, heads = [], [], []
    for first in range(0, len(of_frame), step):
        frame = torch.arange(first, min(first + step, len(of_frame)), device=assets.device)
        v = slice(first * config.views, (first + len(frame)) * config.views)
        who = of_frame[frame]
        figure = _figure(assets, looks[who], params[first : first + len(frame)])
        rng = CounterRng(camera_rng.rows[v], camera_rng.seed, camera_rng.device)
        back = (
            draw_backgrounds(rng, config.size)
            if config.background
            else torch.zeros(len(rng.rows), config.size, config.size, 3, device=assets.device)
        )
        owner = of_frame[of_view[v]]
        scene = Scene(
            figure,
            light[frame],
            of_view[v] - first,
            views[v],
            textures,
            worn[of_view[v]],
            looks.hair_colour[owner],
            looks.hair_light[owner],
            looks.hair_cut[owner],
            back,
            config.pbr,
        )
        truths.append(render_scene(assets, scene, config.antialias, config.layers))
        backgrounds.append(linear_to_srgb(back))
        heads.append(figure.head)
    joined = Truth(**{f.name: torch.cat([getattr(t, f.name) for t in truths]) for f in fields(Truth)})
    return joined, torch.cat(backgrounds), torch.cat(heads)


def _figure(assets: Assets, looks: Looks, params: HeadParams) -> Figure:
    bearded = [BEARDS[k] == "beard" for k in looks.beard.tolist()]
    styles = list(zip(looks.hair.tolist(), looks.hair_mirrored.tolist(), strict=True))
    furs = [assets.fur(*s, b) for s, b in zip(styles, bearded, strict=True)]
    openness = torch.stack([assets.openness(*s) for s in styles])
    return pose_figures(assets.head, assets.bust, params, looks, furs, assets.tangent, openness)
