"""Convert official checkpoints of Portrait4D and PD-FGC to our state dicts (``headcast weights import``)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.head.flame import JOINTS as FLAME_JOINTS
from headcast.head.model import JOINTS, HeadModel
from headcast.methods.portrait4d.network import OFFICIAL, Synthesizer
from headcast.methods.portrait4d.pdfgc import PDFGC
from headcast.pickles.modules import state_dict_of

__all__ = ["ORIGIN", "convert_pdfgc", "convert_portrait4d", "neck_origin"]

Converted = tuple[dict[str, Tensor], dict[str, Any]]
GENERATORS = ("G_ema", "G")
FOREIGN = "deformer."
"""Buffers of the FLAME model inside the published pickles: not ours to store; only ``ORIGIN`` is kept."""
ORIGIN = "_origin"
"""Name of the stored tensor (3,): where FLAME's neck joint lies in our head frame, metres."""


def convert_portrait4d(content: Any) -> Converted:
    """Convert Ψ or Ψ3d of a published pickle (such as ``portrait4d-v2-vfhq512.pkl``), or a plain state dict.

    The pickles embed their network's source; the restricted loader gives their tensors without running it.
    """
    source = content
    if isinstance(content, dict):
        source = next((content[k] for k in GENERATORS if content.get(k) is not None), content)
    found = state_dict_of(source)
    state = {k: v for k, v in found.items() if not k.startswith(FOREIGN)}
    tensors = select_tensors(state, Synthesizer, "Portrait4D synthesizer", "portrait4d-v2-vfhq512.pkl")
    template, regressor = (
        next((v for k, v in found.items() if k.startswith(FOREIGN) and k.endswith(f".{name}")), None)
        for name in ("v_template", "J_regressor")
    )
    if isinstance(template, Tensor) and isinstance(regressor, Tensor):
        v, joints = template.detach().double().numpy(), regressor.detach().double().numpy()
        tensors[ORIGIN] = torch.from_numpy(neck_origin(v, joints, HeadModel.load())).float()
    return tensors, {
        "licence": "MIT (repository of its authors); parts of its training carry terms of their own: FLAME "
        "and Deep3DFaceRecon are non-commercial",
        "commercial": "unclear",
        "what": "Portrait4D's synthesizer at its official sizes; FLAME's buffers were left out",
    }


def neck_origin(
    template: Float[np.ndarray, "v 3"], regressor: Float[np.ndarray, "5 v"], head: HeadModel
) -> Float[np.ndarray, "3"]:
    """Locate FLAME's neck joint in our head frame, metres: both heads' eyeballs lie in one place.

    The published network's world is FLAME's, times three, with its origin there; both frames are metric and
    have the same axes.
    """
    joints = dict(zip(FLAME_JOINTS, regressor @ template, strict=True))
    ours = dict(zip(JOINTS, head.joint_neutral.double().numpy(), strict=True))
    sides = ("eyeLeft", "eyeRight")
    shift = np.mean([ours[s] for s in sides], 0) - np.mean([joints[s] for s in sides], 0)
    return joints["neck"] + shift


def convert_pdfgc(content: Any) -> Converted:
    """Convert the motion encoder of a published ``motion_model.pth``."""
    state = content.get("state_dict", content) if isinstance(content, dict) else {}
    state = {k.removeprefix("module."): v for k, v in state.items() if isinstance(k, str)}
    tensors = select_tensors(state, PDFGC, "PD-FGC motion encoder", "motion_model.pth")
    return tensors, {
        "licence": "that of PD-FGC, which its authors state; not checked here",
        "commercial": "unclear",
        "what": "PD-FGC's motion encoder, for Portrait4D's official weights",
    }


def select_tensors(state: dict[str, Any], kind: type[nn.Module], what: str, file: str) -> dict[str, Tensor]:
    """Select the tensors that a network needs, float32.

    Raises:
        HeadcastError: some are missing or of another shape.
    """
    with torch.device("meta"):
        network = kind(OFFICIAL) if kind is Synthesizer else kind()
        wanted = {
            k: v.shape for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")
        }
    wrong = [k for k, s in wanted.items() if not isinstance(state.get(k), Tensor) or state[k].shape != s]
    if wrong:
        raise HeadcastError(
            f"is no checkpoint of the {what} ({len(wrong)} of {len(wanted)} tensors are missing or of "
            f"another shape, '{wrong[0]}' first); use {file}"
        )
    return {k: state[k].float().clone() if state[k].is_floating_point() else state[k].clone() for k in wanted}
