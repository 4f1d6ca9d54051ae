"""From a low-resolution avatar to a super-resolved one: the steps of Sec. 4 in order."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.rig import Gaussians, frames_of
from headcast.errors import HeadcastError
from headcast.methods.superhead.anchors import (
    CLOSE,
    AnchorSet,
    SuperResolve,
    sample_anchors,
    with_identity,
)
from headcast.methods.superhead.geometry import Refined, refine_shape, with_shape
from headcast.methods.superhead.inversion import LossWeights, invert
from headcast.methods.superhead.options import SuperHeadOptions
from headcast.methods.superhead.prior import HeadPrior, InversionTarget
from headcast.methods.superhead.refit import refit
from headcast.methods.superhead.resume import RunFile, run_key
from headcast.methods.superhead.rigged_render import Rigged, kept_gaussians, pose_anchor
from headcast.methods.superhead.uv_prior import UVPrior
from headcast.priors.restorer.restore import restore_image
from headcast.progress import Progress, subrange
from headcast.splats.degrade import DEGRADED, pixel_size
from headcast.view import front_view
from headcast.weights import card

__all__ = ["check_gaussians", "enhance_avatar", "super_resolver"]

ANCHORS_END, INVERSION_START = 0.2, 0.25


def check_gaussians(avatar: GaussianAvatar) -> None:
    """Refuse an avatar whose Gaussians are empty or not finite.

    Raises:
        HeadcastError: what is wrong with them.
    """
    g = avatar.gaussians
    if not len(g):
        raise HeadcastError("enhance: the avatar has no Gaussians; create it again")
    for name in ("position", "quaternion", "log_scale", "opacity", "albedo"):
        broken = int((~torch.isfinite(getattr(g, name))).reshape(len(g), -1).any(1).sum())
        if broken:
            raise HeadcastError(
                f"enhance: {broken} of {len(g)} Gaussians have a {name} that is not finite; export it again"
            )


def native_scale(avatar: GaussianAvatar, side: int) -> int:
    """Return how many times larger than its photo showed it the avatar's face is in an anchor: 1, 2 or 4.

    As in the paper renderings have the resolution of what the avatar was made from, no more.
    """
    front = front_view(avatar, (round(side * CLOSE), round(side * CLOSE)))
    anchor = float(front.camera.K[0, 0]) / -float(front.params.translation[2])
    degraded = float(avatar.provenance.extra.get(DEGRADED, 1.0))
    ratio = anchor * pixel_size(avatar) * degraded
    return 4 if ratio > 2.8 else 2 if ratio > 1.4 else 1


def super_resolver(network: Any, seed: int) -> SuperResolve:
    """Return the function that super-resolves anchors by a restorer."""

    def run(
        image: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 2"], scale: int
    ) -> UInt8[np.ndarray, "h2 w2 3"]:
        return restore_image(image, network=network, scale=scale, seed=seed, find_faces=lambda _: [points])

    return run


def enhance_avatar(
    avatar: GaussianAvatar,
    options: SuperHeadOptions,
    *,
    prior: HeadPrior | None = None,
    super_resolve: SuperResolve | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> GaussianAvatar:
    """Super-resolve an avatar.

    Args:
        prior: to be inverted; None: the UV prior.
        super_resolve: of anchors; None: by the restorer that the options name.

    Raises:
        HeadcastError: the avatar's Gaussians are broken, or show no head.
    """
    check_gaussians(avatar)
    chosen = None if options.ablation == "no-prior" else prior or UVPrior.load(avatar.head, seed)
    if chosen is not None and not options.inverts:
        with torch.no_grad():
            done = chosen.finish(started(chosen, avatar))
        unrefined = Refined(avatar.source.params.identity, 0.0, 0.0)
        return with_record(done, avatar, options, unrefined, chosen.facts(), seed)
    with torch.no_grad():
        anchors = sample_anchors(
            avatar if chosen is None else started(chosen, avatar),
            super_resolve or super_resolver(options.restorer, seed),
            views=options.views,
            total=max(options.anchors, options.views),
            side=options.side,
            scale=options.scale or native_scale(avatar, options.side),
            seed=seed,
            progress=subrange(progress, 0.0, ANCHORS_END),
        )
        refined = refine_geometry(avatar, anchors, options)
        avatar_refined = with_shape(avatar, refined.identity)
        anchors = with_identity(anchors, refined.identity)
    if progress:
        progress(INVERSION_START, "refined the shape")
    rest = subrange(progress, INVERSION_START, 1.0)
    if chosen is None:
        done = refit(avatar_refined, anchors, options.iterations, seed=seed, progress=rest)
        facts: dict[str, Any] = {"prior": "none"}
    else:
        run = run_file(avatar, options, chosen, seed)
        done = run_inversion(chosen, avatar_refined, anchors, options, run, seed, rest)
        facts = chosen.facts()
    return with_record(done, avatar, options, refined, facts, seed)


def started(prior: HeadPrior, avatar: GaussianAvatar) -> GaussianAvatar:
    """Return the avatar with the prior's Gaussians as they are before any inversion: what anchors show."""
    surface = avatar.mesh.surface
    frames = frames_of(surface.posed(avatar.source.params).vertices, surface.faces)
    prior.invert_init(InversionTarget(avatar, AnchorSet((), avatar.source.params), frames))
    return Rigged.bind(avatar, prior.gaussians(), kept_gaussians(avatar, prior.covered)).avatar


def refine_geometry(avatar: GaussianAvatar, anchors: AnchorSet, options: SuperHeadOptions) -> Refined:
    """Refine the shape unless it is left out."""
    if options.ablation == "no-geometry":
        return Refined(avatar.source.params.identity, 0.0, 0.0)
    return refine_shape(avatar, anchors)


def run_file(
    avatar: GaussianAvatar, options: SuperHeadOptions, prior: HeadPrior, seed: int
) -> RunFile | None:
    """Return the file of this run's unfinished state; None where the options name no place."""
    if options.resume_file is None:
        return None
    g = avatar.gaussians
    parts = [getattr(g, k) for k in Gaussians.__dataclass_fields__]
    key = run_key(*parts, avatar.source.params.identity, replace(options, resume_file=None), prior.name, seed)
    return RunFile(options.resume_file, key)


def run_inversion(
    prior: HeadPrior,
    avatar: GaussianAvatar,
    anchors: AnchorSet,
    options: SuperHeadOptions,
    run: RunFile | None,
    seed: int,
    progress: Progress | None,
) -> GaussianAvatar:
    """Invert the prior and join its Gaussians with those of the input that it does not cover."""
    with torch.no_grad():
        surface = avatar.mesh.surface
        frames = frames_of(surface.posed(anchors.base).vertices, surface.faces)
        prior.invert_init(InversionTarget(avatar, anchors, frames))
        kept = kept_gaussians(avatar, prior.covered)
        rigged = Rigged.bind(avatar, prior.gaussians(), kept)
        views = [pose_anchor(rigged, a, prior.covered) for a in anchors.anchors]
    with torch.enable_grad():
        invert(
            prior,
            views,
            options.iterations,
            weights=loss_weights(options),
            seed=seed,
            run=run,
            progress=progress,
        )
    with torch.no_grad():
        done = prior.finish(Rigged.bind(avatar, prior.gaussians(), kept).avatar)
    return done


def loss_weights(options: SuperHeadOptions) -> LossWeights:
    """Return the weights of the losses, an ablation's among them zero."""
    default = LossWeights()
    return replace(
        default,
        depth=0.0 if options.ablation == "no-depth" else default.depth,
        multi_view=options.ablation != "no-multi-view",
        multi_expression=options.ablation != "no-multi-expression",
    )


def with_record(
    done: GaussianAvatar,
    avatar: GaussianAvatar,
    options: SuperHeadOptions,
    refined: Refined,
    facts: dict[str, Any],
    seed: int,
) -> GaussianAvatar:
    """Add to the provenance what was done, by which weights, with which settings."""
    made = avatar.provenance
    settings = {k: v for k, v in asdict(options).items() if k != "resume_file"}
    landmarks = {"landmark_error_before": refined.before, "landmark_error_after": refined.after}
    record = {**settings, **facts, **{k: round(v, 3) for k, v in landmarks.items()}, "seed": seed}
    licences = [
        {
            "name": "restorer" if options.restorer == "headcast" else options.restorer,
            "licence": "see its card",
        },
        {"name": "encoder-losses", "licence": card("encoder-losses").get("licence", "see its card")},
    ]
    if options.restorer == "headcast":
        licences[0]["licence"] = card("restorer").get("licence", "see its card")
    provenance = replace(
        made,
        method=made.method if made.method.endswith(", superhead") else f"{made.method}, superhead",
        extra={**made.extra, "superhead": record},
    ).with_weights(licences)
    mesh = replace(done.mesh, bound=replace(done.mesh.bound, provenance=provenance))
    return GaussianAvatar(mesh, done.gaussians)
