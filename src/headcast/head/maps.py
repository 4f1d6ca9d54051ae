"""Maps of a person's skin in the head's UV."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, UInt8

__all__ = ["SkinMaps"]

NORMAL_SCALE, NORMAL_ZERO = 127.5, 1.0  # an 8-bit value v stands for v / NORMAL_SCALE - NORMAL_ZERO


@dataclass(frozen=True)
class SkinMaps:
    """Images in the head's UV, origin at the top left, all of one size; None: unknown.

    Attributes:
        albedo: (H, W, 3) linear reflectance in 0..1; None in an avatar, whose texture holds it.
        micronormal: (H, W, 3) unit tangent-space normals of pores and fine wrinkles, +Y up (OpenGL's).
        specular: (H, W) reflectance at normal incidence (F0) relative to 0.04.
        roughness: (H, W) perceptual roughness in 0..1.
        ao: (H, W) ambient occlusion, 1 is open.
        provenance: what each map was made from and how, in words, by map name.
    """

    albedo: Float[np.ndarray, "h w 3"] | None = None
    micronormal: Float[np.ndarray, "h w 3"] | None = None
    specular: Float[np.ndarray, "h w"] | None = None
    roughness: Float[np.ndarray, "h w"] | None = None
    ao: Float[np.ndarray, "h w"] | None = None
    provenance: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_bytes(
        cls, micronormal: UInt8[np.ndarray, "h w 3"], specular: UInt8[np.ndarray, "h w"]
    ) -> SkinMaps:
        """Decode the maps that an ``.avatar`` file stores; half precision represents all 256 values."""
        values = np.arange(256, dtype=np.float32)
        normals = (values / NORMAL_SCALE - NORMAL_ZERO).astype(np.float16)
        factors = (values / 255).astype(np.float16)
        return cls(micronormal=normals[micronormal], specular=factors[specular])

    def micronormal_bytes(self) -> UInt8[np.ndarray, "h w 3"] | None:
        """Encode the normals as (n + 1) / 2, as files and glTF store them."""
        if self.micronormal is None:
            return None
        return _to_bytes((self.micronormal.astype(np.float32) + NORMAL_ZERO) * NORMAL_SCALE)

    def specular_bytes(self) -> UInt8[np.ndarray, "h w"] | None:
        """Encode the specular map with 1 as 255."""
        return None if self.specular is None else _to_bytes(self.specular.astype(np.float32) * 255)


def _to_bytes(values: Float[np.ndarray, "*s"]) -> UInt8[np.ndarray, "*s"]:
    return values.clip(0, 255).round().astype(np.uint8)
