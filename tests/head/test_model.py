"""HeadModel: what moves, skinning, gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headcast.head.combine import combine
from headcast.head.model import HeadModel
from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS
from headcast.head.params import GAZE_LIMITS, HeadParams
from headcast.rotation import axis_angle_to_matrix

HEAD = HeadModel.load()
REST = HeadParams.neutral(HEAD.identities)


def posed(weights: dict[str, float], **changes: torch.Tensor) -> torch.Tensor:
    return HEAD(REST.with_expression(weights).replace(**changes))


def chin(v: torch.Tensor) -> torch.Tensor:
    return HEAD.landmarks(v, 68)[8]


def test_rest_is_the_neutral_head() -> None:
    assert (posed({}) - HEAD.neutral).norm(dim=-1).max() < 1e-4


def test_jaw_open_lowers_the_chin() -> None:
    moved = chin(posed({"jawOpen": 1.0})) - chin(HEAD.neutral)
    assert moved[1] < -0.025
    turned = chin(posed({}, jaw=torch.tensor([0.3, 0.0, 0.0]))) - chin(HEAD.neutral)
    assert turned[1] < -0.015


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_expression_moves_its_side(name: str) -> None:
    rest = {"jawOpen": 1.0} if name == "mouthClose" else {}
    d = (posed({**rest, name: 1.0}) - posed(rest)).norm(dim=-1)
    assert d.max() > 0.0015
    if name.startswith(("jaw", "mouthLeft", "mouthRight")) or not name.endswith(("Left", "Right")):
        return
    left = d[HEAD.neutral[:, 0] > 0.02].sum()
    right = d[HEAD.neutral[:, 0] < -0.02].sum()
    assert (left > 2 * right) == name.endswith("Left")


def test_tongue_reaches_past_the_lips() -> None:
    v = posed({"tongueOut": 1.0})
    tongue = v[HEAD.region_mask("tongue"), 2].max()
    assert 0.022 < float(tongue - v[HEAD.region_mask("lips"), 2].max()) < 0.032


def test_smile_widens_and_mouth_close_closes() -> None:
    def between(v: torch.Tensor, a: int, b: int) -> torch.Tensor:
        q = HEAD.landmarks(v, 68)
        return (q[a] - q[b]).abs()

    smile = posed({"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0})
    assert between(smile, 48, 54)[0] > between(HEAD.neutral, 48, 54)[0] + 0.004
    assert between(posed({"jawOpen": 1.0}), 62, 66)[1] > 0.02
    for w in (0.3, 0.6, 1.0):
        assert between(posed({"jawOpen": w, "mouthClose": w}), 62, 66)[1] < 0.0015


def test_gaze_turns_the_iris_about_the_eye() -> None:
    gaze = torch.tensor([[0.3, -0.2], [0.3, -0.2]])
    v = posed({}, gaze=gaze)
    for part, joint, sides in (("eyeLeft", 4, 473), ("eyeRight", 5, 468)):
        center = HEAD.joint_neutral[joint]
        d = HEAD.landmarks(v)[sides] - center
        yaw, pitch = torch.atan2(d[0], d[2]), torch.asin(d[1] / d.norm())
        assert torch.allclose(torch.stack([yaw, pitch]), gaze[0], atol=0.03), part
    down = 0.2 / GAZE_LIMITS["Down"]
    weights = {"eyeLookOutLeft": 0.3 / GAZE_LIMITS["Out"], "eyeLookInRight": 0.3 / GAZE_LIMITS["In"]}
    by_weight = posed({**weights, "eyeLookDownLeft": down, "eyeLookDownRight": down})
    assert torch.allclose(by_weight, v, atol=1e-5)


def test_neck_leaves_the_shoulders_and_turns_the_head() -> None:
    turn = torch.tensor([0.0, 0.5, 0.0])
    v = posed({}, neck=turn)
    low = HEAD.region_mask("shoulders") & (HEAD.skin_weights[:, 0] > 0.99)
    assert torch.allclose(v[low], HEAD.neutral[low], atol=1e-5)
    eyes = v[HEAD.region_mask("iris")] - v[HEAD.region_mask("iris")].mean(0)
    rest = HEAD.neutral[HEAD.region_mask("iris")]
    assert torch.allclose(eyes, (rest - rest.mean(0)) @ axis_angle_to_matrix(turn).T, atol=1e-4)


@given(st.tuples(*[st.floats(-3, 3)] * 3), st.tuples(*[st.floats(-1, 1)] * 3))
def test_pose_is_rigid_and_round_trips(rotation: tuple, translation: tuple) -> None:
    r, t = torch.tensor(rotation), torch.tensor(translation)
    v = HEAD(REST.replace(rotation=r, translation=t))
    back = (v - t) @ axis_angle_to_matrix(r)
    assert torch.allclose(back, posed({}), atol=2e-6)


def test_weights_outside_the_range_do_not_break() -> None:
    for value in (-0.3, 1.3):
        v = HEAD(REST.replace(expression=torch.full((52,), value)))
        assert torch.isfinite(v).all()


def test_batches_agree_with_single_frames() -> None:
    g = torch.Generator().manual_seed(0)
    sizes = ((41,), (52,), (3,), (3,), (3,), (3,), (2, 2))
    many = HeadParams(*[torch.randn(2, 3, *n, generator=g) * 0.2 for n in sizes])
    assert torch.allclose(HEAD(many)[1, 2], HEAD(many[1, 2]), atol=1e-6)


def test_double_precision_and_gradients() -> None:
    head = HeadModel.load().double()
    g = torch.Generator().manual_seed(1)
    teeth = head.faces[head.part_faces("teethLower")[:3], 0]
    pick = torch.cat([head.lid_index[0, ::40], teeth, torch.tensor([0, 1000])])

    def f(*values: torch.Tensor) -> torch.Tensor:
        identity, expression, rotation, neck, jaw, gaze = values
        identity = torch.nn.functional.pad(identity, (0, 38))
        return head(
            HeadParams(
                identity=identity,
                expression=expression,
                rotation=rotation,
                translation=rotation * 0,
                neck=neck,
                jaw=jaw,
                gaze=gaze,
            )
        )[pick]

    sizes = ((3,), (52,), (3,), (3,), (3,), (2, 2))
    values = [(torch.rand(*n, generator=g, dtype=torch.float64) * 0.3 + 0.05).requires_grad_() for n in sizes]
    assert f(*values).dtype == torch.float64
    assert torch.autograd.gradcheck(f, values, eps=1e-6, atol=1e-6, fast_mode=True)


@given(st.lists(st.floats(0, 1), min_size=52, max_size=52))
def test_rules_keep_what_they_promise(weights: list[float]) -> None:
    e = combine(torch.tensor(weights))
    i = EXPRESSION_INDEX
    assert e[i["mouthClose"]] <= e[i["jawOpen"]] + 1e-6
    assert e[i["jawOpen"]] >= 0.4 * e[i["tongueOut"]] - 1e-6
    same = [i[n] for n in EXPRESSIONS if n.startswith(("brow", "cheek", "nose"))]
    assert torch.equal(e[same], torch.tensor(weights)[same])
