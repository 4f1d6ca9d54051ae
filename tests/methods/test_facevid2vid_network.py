"""face-vid2vid's networks: the published ones' names, shapes and numbers at their official sizes."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.parity import TOLERANCE, filled, seeded, shapes, worst
from torch import Tensor, nn

from headcast.methods.facevid2vid.config import CONFIGS, OFFICIAL, ORIGINAL, NetworkSizes
from headcast.methods.facevid2vid.generator import Generator
from headcast.methods.facevid2vid.keypoints import KeypointDetector
from headcast.methods.facevid2vid.pose import PoseNetwork, place_keypoints, rotation_matrix

FACTS = Path(__file__).resolve().parent / "facevid2vid_parity"
SAVED = dict(np.load(FACTS / "parity.npz"))
KINDS: dict[str, tuple[type[nn.Module], NetworkSizes]] = {
    "kp_detector": (KeypointDetector, OFFICIAL),
    "he_estimator": (PoseNetwork, OFFICIAL),
    "generator_original": (Generator, ORIGINAL),
    "generator_spade": (Generator, OFFICIAL),
}
HOOKS = {
    "second": "mid_second",
    "resblocks_3d": "mid_resblocks_3d",
    "dense_motion_network.compress": "mid_dm_compress",
    "dense_motion_network.hourglass": "mid_dm_hourglass",
    "dense_motion_network.mask": "mid_dm_mask_logits",
    "third": "mid_third",
    "fourth": "mid_fourth",
}
SPADE_HOOKS = {
    f"decoder.{k}": f"mid_dec_{k}" for k in ("fc", "G_middle_0", "G_middle_5", "up_0", "up_1", "conv_img")
}


def image(name: str) -> Tensor:
    """The seeded image that the published code was given, 0..1."""
    small = seeded(f"input:{name}", (1, 3, 32, 32))
    large = torch.nn.functional.interpolate(small, (256, 256), mode="bicubic", align_corners=False)
    return (0.2 * large + 0.5).clamp(0, 1)


def network(name: str) -> nn.Module:
    """A network of official size with the recorded weights."""
    kind, config = KINDS[name]
    return filled(kind(config), FACTS / f"{name}_fill.json.gz")


@pytest.mark.parametrize("name", KINDS)
def test_names_and_shapes_are_the_published_ones(name: str) -> None:
    kind, config = KINDS[name]
    with torch.device("meta"):
        own = {k: list(v.shape) for k, v in kind(config).state_dict().items()}
    assert own == shapes(FACTS / f"{name}_state_dict.json.gz")


@pytest.mark.slow
@torch.no_grad()
def test_keypoints_pose_and_expression_agree() -> None:
    detector, pose = network("kp_detector"), network("he_estimator")
    assert isinstance(detector, KeypointDetector) and isinstance(pose, PoseNetwork)
    source = image("source")
    found = {"kp_down": worst("kp_down", detector.down(source), SAVED)}
    detector.predictor.register_forward_hook(
        lambda _, __, out: found.__setitem__("kp_feature_map", worst("kp_feature_map", out, SAVED))
    )
    canonical = detector(source)
    found["kp_canonical"] = worst("kp_canonical", canonical, SAVED)
    for short, full in (("src", "source"), ("drv", "driving")):
        logits = pose(image(full))
        for key, value in zip(("yaw", "pitch", "roll", "t"), logits, strict=False):
            found[f"he_{short}_{key}"] = worst(f"he_{short}_{key}", value, SAVED)
        found[f"he_{short}_exp"] = worst(f"he_{short}_exp", logits.expression.flatten(1), SAVED)
        motion = pose.motion(image(full))
        angles = torch.stack(motion[:3])
        found[f"deg_{short}_ypr"] = worst(f"deg_{short}_ypr", angles, SAVED)
        found[f"rot_{short}"] = worst(f"rot_{short}", rotation_matrix(*motion[:3]), SAVED)
        found[f"kp_{full}"] = worst(f"kp_{full}", place_keypoints(canonical, motion), SAVED)
    given = rotation_matrix(*(torch.tensor([a]) for a in (20.0, -10.0, 5.0)))
    found["rot_ypr_20_-10_5"] = worst("rot_ypr_20_-10_5", given, SAVED)
    recorded = {n.removesuffix("__shape") for n in SAVED if n.endswith("__shape")}
    assert set(found) == {n for n in recorded if not n.startswith(("orig_", "spade_"))}
    assert max(found.values()) <= TOLERANCE, found
    logging.info("keypoints, pose: %s", found)


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["original", "spade"])
@torch.no_grad()
def test_generators_agree(decoder: str) -> None:
    generator, prefix = network(f"generator_{decoder}"), "orig_" if decoder == "original" else "spade_"
    assert isinstance(generator, Generator)
    found: dict[str, float] = {}
    for module, name in {**HOOKS, **(SPADE_HOOKS if decoder == "spade" else {})}.items():
        generator.get_submodule(module).register_forward_hook(
            lambda _, __, out, name=prefix + name: found.__setitem__(name, worst(name, out, SAVED))
        )
    source = (0.5 * seeded("input:kps", (1, 15, 3))).tanh()
    driving = source + 0.1 * seeded("input:kpd", (1, 15, 3))
    made = generator(image("source"), source, driving)
    for name, value in (
        ("deformation", made.flow.deformation),
        ("mask", made.flow.mask),
        ("occlusion", made.flow.occlusion),
        ("prediction", made.image),
    ):
        found[prefix + name] = worst(prefix + name, value, SAVED)
    recorded = {n.removesuffix("__shape") for n in SAVED if n.endswith("__shape") and n.startswith(prefix)}
    assert set(found) == recorded
    assert max(found.values()) <= TOLERANCE, found
    logging.info("%s: %s", decoder, found)


def test_no_two_configurations_have_the_same_tensors() -> None:
    with torch.device("meta"):
        sets = [
            {
                f"{kind.__name__}.{k}": tuple(v.shape)
                for kind in (KeypointDetector, PoseNetwork, Generator)
                for k, v in kind(config).state_dict().items()
            }
            for config in CONFIGS
        ]
    assert all(a != b for i, a in enumerate(sets) for b in sets[:i])


@pytest.mark.parametrize("config", CONFIGS[-2:], ids=lambda c: c.decoder)
def test_the_tiny_networks_run_and_learn(config: NetworkSizes) -> None:
    torch.manual_seed(0)
    detector, generator = KeypointDetector(config), Generator(config)
    source = torch.rand(2, 3, config.side, config.side)
    keypoints = detector(source)
    assert keypoints.shape == (2, config.keypoints, 3) and keypoints.abs().max() <= 1
    made = generator(source, keypoints, keypoints + 0.1)
    assert made.image.shape == source.shape
    assert torch.allclose(made.flow.mask.sum(1), torch.ones(()), atol=1e-5)
    (made.image - source).square().mean().backward()
    for module in (detector, generator):
        silent = [n for n, p in module.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        # what stands before a normalization has no gradient of its mean
        assert not [n for n in silent if not n.endswith("bias")], silent
