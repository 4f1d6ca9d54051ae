"""torch and numba imported without what only tracing needs still do what commands ask of them."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from headcast.lean_import import import_numba, import_torch
import_torch()
import_numba()
import torch
assert "torch._decomp" not in sys.modules and "scipy" not in sys.modules
generator = torch.Generator().manual_seed(3)
a = torch.randn(4, 4, generator=generator)
assert torch.equal(a, torch.randn(4, 4, generator=torch.Generator().manual_seed(3)))
layer = torch.nn.Conv2d(3, 2, 3)
layer(torch.ones(1, 3, 8, 8)).square().sum().backward()
assert layer.weight.grad.abs().sum() > 0
assert torch.linalg.svdvals(a).shape == (4,) and torch.fft.rfft(a).is_complex()
torch.nn.functional.grid_sample(torch.ones(1, 1, 4, 4), torch.zeros(1, 2, 2, 2), align_corners=False)
import torch._meta_registrations  # whoever traces gets the real one
assert hasattr(torch._meta_registrations, "register_meta")
import scipy.linalg
import numba, numpy as np
assert numba.njit(lambda x: x.sum())(np.ones(5)) == 5
"""


def test_what_is_left_out_is_not_missed_and_comes_back() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
