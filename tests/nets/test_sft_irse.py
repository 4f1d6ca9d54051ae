"""Channel-split SFT, and the body of IR-SE-50."""

from __future__ import annotations

import torch

from headcast.nets.irse import IRSE_50, IrseBody
from headcast.nets.sft import modulate_last_channels


def test_the_first_channels_stay() -> None:
    x = torch.randn(2, 5, 3, 3)
    scale, shift = torch.randn(2, 2, 3, 3), torch.randn(2, 2, 3, 3)
    out = modulate_last_channels(x, (scale, shift))
    assert torch.equal(out[:, :3], x[:, :3])
    torch.testing.assert_close(out[:, 3:], x[:, 3:] * scale + shift)


def test_the_published_body_has_24_bottlenecks_whose_stages_halve_the_side() -> None:
    with torch.device("meta"):
        body = IrseBody(3, IRSE_50)
        assert len(body.body) == 24 and body.firsts == [0, 3, 7, 21] and body.lasts == [2, 6, 20, 23]
        taps = body.taps(torch.empty(1, 3, 64, 64), body.lasts)
    assert [tuple(x.shape[1:]) for x in taps] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]


@torch.no_grad()
def test_taps_come_in_the_order_asked_for() -> None:
    torch.manual_seed(0)
    body = IrseBody(3, ((4, 1), (4, 2))).eval()
    x = torch.randn(1, 3, 8, 8)
    last, first = body.taps(x, (2, 0))
    assert last.shape[-1] == 2 and first.shape[-1] == 4
    torch.testing.assert_close(first, body.body[0](body.input_layer(x)))
