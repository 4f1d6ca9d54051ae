"""The viewer's rig on heads of other makers, whose lids have weights of their own on each side, or none."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.avatar.export.heads import synthetic_avatar
from tests.web.browser import browser, opened

from headcast.avatar.export.html import write_html
from headcast.head.foreign.lids import no_lids
from headcast.head.model import HeadModel
from headcast.view import front_view

MOVED = """(b) => { const s = headcast.stage;
  s.weights[s.rig.names.at("eyeBlinkLeft")] = b; s.weights[s.rig.names.at("eyeBlinkRight")] = b / 2;
  s.stale = true; s.draw(); return Array.from(s.rig.pieces[0].position); }"""


def sided(head: HeadModel) -> None:
    """As on ICT: stacked, and here unlike each other."""
    for name in ("lid_partner", "lid_share", "lid_spread", "lid_clearance"):
        shared = getattr(head, name)
        setattr(head, name, torch.stack([shared, shared * 0.9]))


def bare(head: HeadModel) -> None:
    """As on FLAME."""
    for name, value in no_lids().items():
        setattr(head, name, torch.from_numpy(value).to(getattr(head, name).dtype))


@pytest.mark.parametrize("change", [sided, bare])
def test_lids_move_as_with_us(change: Callable[[HeadModel], None], tmp_path: Path) -> None:
    made = synthetic_avatar(shells=False)
    avatar = replace(made, bound=replace(made.bound, head=deepcopy(made.head)))
    change(avatar.head)
    write_html(avatar, tmp_path / "somebody.html")
    with browser() as window:
        page = opened(window, tmp_path / "somebody.html")
        for blink in (0.0, 0.5, 1.0):
            shown = torch.tensor(page.page.evaluate(MOVED, blink)).view(-1, 3)
            params = front_view(avatar).params.with_expression(
                {"eyeBlinkLeft": blink, "eyeBlinkRight": blink / 2}
            )
            assert (shown - avatar.head(params)).norm(dim=-1).max() < 1e-4, blink
        assert not page.complaints
