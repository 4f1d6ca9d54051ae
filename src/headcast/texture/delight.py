"""De-light a photo: linear colours divided by the light's shading give albedo; shading it gives the photo."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

__all__ = ["FLOOR", "scale_light", "shading_at", "soften_light"]

FLOOR = 0.4  # darkest shading over all directions, as a fraction of the mean
BRIGHTEST = 0.97  # albedo that the lightest 0.2 % of texels may reach


def soften_light(light: Float[np.ndarray, "9 3"] | None) -> Float[np.ndarray, "9 3"]:
    """Soften a light until no direction is darker than ``FLOOR`` of its mean; ambient light for None.

    Dividing by less would turn noise into texture and cast shadows into dirt.
    """
    from headcast.render.shading import SH_CONSTANTS, sh_basis

    out = np.zeros((9, 3))
    out[0] = 1 / SH_CONSTANTS[0]
    if light is None or not np.isfinite(light).all() or (light[0] <= 0).any():
        return out
    rng = np.random.default_rng(0)
    d = rng.normal(size=(400, 3))
    basis = sh_basis(torch.from_numpy(d / np.linalg.norm(d, axis=1, keepdims=True))).numpy()
    mean = light[0] * SH_CONSTANTS[0]
    swing = basis[:, 1:] @ light[1:]
    worst = float((-swing / mean).max())
    out = light.astype(np.float64).copy()
    out[1:] *= min(1.0, (1 - FLOOR) / max(worst, 1e-6))
    return out


def shading_at(normal: Float[np.ndarray, "n 3"], light: Float[np.ndarray, "9 3"]) -> Float[np.ndarray, "n 3"]:
    """Shade white at unit world normals under the light; linear colours divided by it are albedo."""
    from headcast.render.shading import shade

    shading = shade(torch.from_numpy(normal), torch.from_numpy(light.astype(np.float32))).numpy()
    return np.maximum(shading, 1e-3)


def scale_light(albedo: Float[np.ndarray, "n 3"], weight: Float[np.ndarray, "n"]) -> float:
    """Find how much brighter the light must be taken so that nearly no albedo exceeds white."""
    visible = albedo[weight > 0.3]
    if len(visible) == 0:
        return 1.0
    return max(1.0, float(np.quantile(visible[:: max(1, len(visible) // 200000)].max(1), 0.998)) / BRIGHTEST)
