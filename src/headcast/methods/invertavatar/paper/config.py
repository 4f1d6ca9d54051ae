"""Sizes of InvertAvatar's networks: the paper's, and tiny ones that show that training runs."""

from __future__ import annotations

from dataclasses import dataclass

from headcast.nets.irse import IRSE_50, BodySizes

__all__ = ["PAPER", "TINY", "InvertConfig"]


@dataclass(frozen=True)
class InvertConfig:
    """Sizes of generator and encoders.

    Attributes:
        side: of neural textures and tri-planes, pixels.
        raw_side: of the volume rendering, pixels; the image has four times that side.
        channel_base, channel_most: a synthesis block of side n has min(base / n, most) channels.
        code, style, label: lengths of z, w and the camera's label.
        plane_channels: of a plane, a texture and the rendered features.
        decoder_width: hidden units of the decoder. super_widths: channels of the super-resolution's blocks.
        coarse, fine: samples along a ray, stratified and importance sampled.
        cube_side: of the cube that the planes span, world units.
        near, far: where the volume begins and ends, world units from the camera's distance to the origin.
        body: IR-SE body of the three encoders, four stages. latent_width: channels of E_latent's pyramid.
        up_widths: channels of the U-Nets' four up blocks. final_width: of E_tri's last one.
        units_per_metre, origin: the world of our training heads (head frame, metres), so that the face
            fills the region that textures are rasterised to. The published network's is FaceVerse's.
    """

    side: int = 256
    raw_side: int = 128
    channel_base: int = 32768
    channel_most: int = 512
    code: int = 512
    style: int = 512
    label: int = 25
    plane_channels: int = 32
    decoder_width: int = 64
    super_widths: tuple[int, int] = (256, 128)
    coarse: int = 48
    fine: int = 48
    cube_side: float = 1.0
    near: float = -0.45
    far: float = 0.6
    body: BodySizes = IRSE_50
    latent_width: int = 512
    up_widths: tuple[int, int, int, int] = (512, 384, 256, 96)
    final_width: int = 96
    units_per_metre: float = 2.7
    origin: tuple[float, float, float] = (0.0, 0.012, 0.03)

    @property
    def image_side(self) -> int:
        """Side of the super-resolved image, pixels."""
        return 4 * self.raw_side

    @property
    def latents(self) -> int:
        """Number of latents of W+: two for every block of a synthesis network."""
        return 2 * (self.side.bit_length() - 2)

    def channels(self, side: int) -> int:
        """Return the number of channels of a synthesis network's block."""
        return min(self.channel_base // side, self.channel_most)


PAPER = InvertConfig()
TINY = InvertConfig(
    side=128,
    raw_side=32,
    channel_base=1024,
    channel_most=16,
    code=16,
    style=16,
    plane_channels=8,
    decoder_width=16,
    super_widths=(16, 8),
    coarse=8,
    fine=8,
    body=((8, 1), (8, 1), (16, 2), (16, 1)),
    latent_width=16,
    up_widths=(16, 16, 16, 16),
    final_width=8,
)
"""The same parts, narrow: for tests and dry runs; learns little."""
