"""An avatar rendered from several sides and with several expressions."""

from __future__ import annotations

import torch
from tests.fake_avatar import FakeAvatar

from headcast.avatar.views import orbit_cameras, render_views
from headcast.head.names import EXPRESSION_INDEX


def test_every_camera_sees_every_expression_in_order() -> None:
    avatar = FakeAvatar()
    params, camera = avatar.source.params, avatar.source.camera
    cameras = orbit_cameras(camera, params.translation, [(0, 0), (40, 0), (0, 20)])
    assert cameras[0] is camera
    assert float(cameras[1].center[0]) > 0.5  # +X: the subject's left
    assert float(cameras[2].center[1]) > 0.3  # from above
    views = list(render_views(avatar, params, cameras, [{}, {"jawOpen": 0.7}]))
    assert [v.camera for v in views] == cameras * 2
    jaw = [float(v.params.expression[EXPRESSION_INDEX["jawOpen"]]) for v in views]
    assert torch.tensor(jaw).allclose(torch.tensor([0.0] * 3 + [0.7] * 3))
    assert not torch.equal(views[0].rendering.alpha, views[1].rendering.alpha)
    assert not torch.equal(views[0].rendering.alpha, views[3].rendering.alpha)
    for v in views:
        assert torch.equal(v.premultiplied, v.rendering.rgb * v.rendering.alpha[..., None])
