"""How narrow the prior about an expected expression weight is, as a fraction of the reader's own error.

The reader and the fit see the same landmarks. Where the fit weighs them once more against an identity that
is still free, it draws weights off what they most likely are; there a narrower prior is right. On real faces
the weights of lips and of raised brows also make up for what the identity basis lacks of a person, so that
these stay wide as long as one photo tells all. Chosen on synthetic heads that the reader had not seen and on
points set by hand on six people (``docs/results/perception.md``).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float

from headcast.head.names import EXPRESSIONS

__all__ = ["prior_width"]

PHOTO = {"": 0.8, "eye": 0.2, "cheek": 0.2, "nose": 0.2, "jawLeft": 0.2, "jawRight": 0.2, "jawForward": 0.2}
PHOTO |= {"browDown": 0.3}
"""One photo of a person: fractions by the beginning of the weight's name, later ones first."""

PERSON = {"": 0.4, "browDown": 0.3}
"""The person's own offset is known, from the avatar's photo or from several frames."""


@cache
def prior_width(own_offset_known: bool) -> Float[np.ndarray, "52"]:
    """Return the standard deviations of expected weights as fractions of the reader's error."""
    table = PERSON if own_offset_known else PHOTO
    out = np.array([[v for k, v in table.items() if name.startswith(k)][-1] for name in EXPRESSIONS])
    out.setflags(write=False)
    return out
