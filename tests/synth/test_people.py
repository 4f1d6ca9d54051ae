"""Who is drawn: balanced, independent, and with a test split that trains never see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.synth.config import SynthConfig
from headcast.synth.hair_shells import FREE_HAIR, TEST_HAIR
from headcast.synth.lights import draw_lights, held_out_light
from headcast.synth.people import TONES, PersonTraits, draw_people, held_out_skin, person_rng, sex_axis

COUNT = 1500


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.load()


def drawn(head: HeadModel, split: str) -> PersonTraits:
    config = SynthConfig(split=split)  # type: ignore[arg-type]
    return draw_people(config, person_rng(config, np.arange(COUNT), 0, torch.device("cpu")), head, 28)


def test_sex_age_and_tone_are_balanced_and_independent(head: HeadModel) -> None:
    p = drawn(head, "train")
    assert abs(float(p.feminine.float().mean()) - 0.5) < 0.04
    share = torch.bincount(p.tone, minlength=len(TONES)) / COUNT
    assert ((share - 1 / len(TONES)).abs() < 0.03).all()
    facts = torch.stack([p.feminine.float(), p.age, p.ita, p.identity[:, 0], p.skin[:, 2]])
    off = torch.corrcoef(facts) - torch.eye(5)
    assert off[1:3].abs().max() < 0.08
    assert p.age.min() >= 18
    assert p.age.max() <= 85


def test_skin_of_the_splits_does_not_overlap(head: HeadModel) -> None:
    assert not held_out_skin(drawn(head, "train").skin).any()
    assert held_out_skin(drawn(head, "test").skin).all()


def test_identities_of_the_splits_differ(head: HeadModel) -> None:
    a, b = drawn(head, "train").identity, drawn(head, "test").identity
    assert torch.cdist(a, b).min() > 1.0


def test_key_lamps_of_the_splits_do_not_overlap() -> None:
    for split, held in (("train", False), ("test", True)):
        rng = person_rng(SynthConfig(split=split), np.arange(COUNT), 0, torch.device("cpu"))  # type: ignore[arg-type]
        light = draw_lights(split, rng, torch.zeros(COUNT))  # type: ignore[arg-type]
        assert (held_out_light(light.key) == held).all()


def test_masculine_faces_have_larger_jaws(head: HeadModel) -> None:
    axis = sex_axis(head)
    assert abs(float(axis.norm()) - 1) < 1e-5
    man, woman = (head.landmarks(head.shape(s * axis), 68) for s in (1.5, -1.5))
    assert (man[57] - man[8]).norm() > (woman[57] - woman[8]).norm()
    assert (man[5] - man[11]).norm() > (woman[5] - woman[11]).norm()


def test_hair_held_out_is_known() -> None:
    from headcast.synth.hair_shells import load_styles

    styles = load_styles(HeadModel.load())
    assert set(TEST_HAIR) < set(styles)
    assert not set(FREE_HAIR) & set(styles)


@pytest.mark.parametrize("bad", [{"size": 0}, {"views": 0}, {"size": 100000}])
def test_impossible_configs_are_refused(bad: dict) -> None:
    with pytest.raises(HeadcastError, match="synth"):
        SynthConfig(**bad)
