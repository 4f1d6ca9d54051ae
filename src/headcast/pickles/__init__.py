"""Foreign pickles and torch checkpoints opened without running a byte of them.

``load_restricted`` is the only door: model files that other people pickled (FLAME, official checkpoints) come
back as containers, numpy arrays, sparse matrices and torch tensors.
"""

from __future__ import annotations

from headcast.pickles.load import load_restricted
from headcast.pickles.modules import state_dict_of
from headcast.pickles.values import Name, Record, Sparse

__all__ = ["Name", "Record", "Sparse", "load_restricted", "state_dict_of"]
