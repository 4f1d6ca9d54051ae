"""Measurements. Importing the package keeps torch's idle threads from spinning beside the kernels' own."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is first imported
