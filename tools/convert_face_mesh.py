"""The convolutions of MediaPipe's face mesh network as safetensors, to train the identity network from.

python tools/convert_face_mesh.py face_landmarker.task --out face_mesh.safetensors

``face_landmarks_detector.tflite`` (Apache-2.0, The MediaPipe Authors) is taken from the task file; needs
ai-edge-litert. The features are compared with the original's on a random image.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from headcast.priors.embedding.network import SIDE, FaceBackbone
from headcast.weights import save_tensors

MEMBER = "face_landmarks_detector.tflite"
TOLERANCE = 1e-3
KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "PRELU")


def read_layers(interpreter: Any) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yield kind and weights of every layer in the order of execution."""
    operators = interpreter._get_ops_details()
    stored = {int(o["outputs"][0]): int(o["inputs"][0]) for o in operators if o["op_name"] == "DEQUANTIZE"}
    for o in operators:
        if o["op_name"] in KINDS:
            numbers = [stored.get(int(i), int(i)) for i in o["inputs"][1:]]
            yield o["op_name"], [np.array(interpreter.get_tensor(i), np.float32) for i in numbers]


def fill_layer(layer: nn.Module, kind: str, weights: list[np.ndarray]) -> None:
    """Copy the weights of one layer, from channels last to channels first."""
    if isinstance(layer, nn.PReLU):
        assert kind == "PRELU"
        layer.weight.data.copy_(torch.from_numpy(weights[0]).flatten())
        return
    assert isinstance(layer, nn.Conv2d) and kind != "PRELU"
    order = (3, 0, 1, 2) if kind == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2)
    layer.weight.data.copy_(torch.from_numpy(weights[0]).permute(order))
    assert layer.bias is not None
    layer.bias.data.copy_(torch.from_numpy(weights[1]))


def main() -> None:
    """Write the file, unless the features differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("task", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    a = parser.parse_args()
    from ai_edge_litert.interpreter import Interpreter

    with zipfile.ZipFile(io.BytesIO(a.task.read_bytes())) as archive:
        content = archive.read(MEMBER)
    interpreter = Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    x = np.random.default_rng(0).random((1, SIDE, SIDE, 3), np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    backbone = FaceBackbone()
    layers = read_layers(interpreter)
    for layer in (m for m in backbone.modules() if isinstance(m, nn.Conv2d | nn.PReLU)):
        fill_layer(layer, *next(layers))
    with torch.no_grad():
        found = backbone(torch.from_numpy(x).permute(0, 3, 1, 2))[-1].permute(0, 2, 3, 1).numpy()
    last = [o for o in interpreter._get_ops_details() if o["op_name"] == "PRELU"][-1]
    original = interpreter.get_tensor(int(last["outputs"][0]))
    difference = float(np.abs(found - original).max())
    if difference > TOLERANCE * float(np.abs(original).max()):
        raise SystemExit(f"{a.task}: features differ by {difference}")
    tensors = {k: v.half() for k, v in backbone.state_dict().items()}
    save_tensors(a.out, tensors, {"source": MEMBER, "licence": "Apache-2.0"})
    print(f"{a.out}: features differ by {difference:.1e} at most from the original's")


if __name__ == "__main__":
    main()
