"""Published pickles become state dicts without running what they carry."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.head.synthetic_flame import synthetic

from headcast.errors import HeadcastError
from headcast.head.model import JOINTS, HeadModel
from headcast.methods.portrait4d import importing, network, weights
from headcast.methods.portrait4d.network import SMALL, Synthesizer
from headcast.methods.portrait4d.pdfgc import PDFGC
from headcast.methods.portrait4d.recipes.static import StaticRecipe
from headcast.pickles.importing import import_weights
from headcast.weights import load_tensors

TINY = replace(
    SMALL,
    resnet_width=4,
    resnet_blocks=(1, 1, 1, 1),
    global_width=8,
    detail_widths=(4, 8),
    token_width=16,
    canonical_widths=(8, 8),
    triplane_widths=(8, 8),
    background_width=4,
    super_widths=(8, 8),
    transformer_blocks=1,
)


class Persistent:
    """As StyleGAN keeps a network: its source, and its attributes as the state."""

    def __init__(self, module: torch.nn.Module) -> None:
        source = "import os\nos.abort()"
        self.meta = {"module_src": source, "class_name": "TriPlaneReconstructor", "state": module.__dict__}

    def __reduce__(self) -> tuple:
        return sys.exit, (self.meta,)


class Deformer(torch.nn.Module):
    """Stands for the published deformer, whose buffers are FLAME's."""

    def __init__(self, **buffers: np.ndarray) -> None:
        super().__init__()
        self.flame_deform = torch.nn.Module()
        self.flame_deform.flame_model = torch.nn.Module()
        for name, value in (buffers or {"v_template": np.zeros((5023, 3))}).items():
            self.flame_deform.flame_model.register_buffer(name, torch.from_numpy(value).float())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Imported weights go here; the official sizes are small ones."""
    monkeypatch.setenv("HEADCAST_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(importing, "OFFICIAL", TINY)
    return tmp_path


def test_a_published_pickle_gives_its_tensors_and_nothing_of_flame(folder: Path) -> None:
    torch.manual_seed(1)
    net = Synthesizer(TINY)
    wanted = {k: v.clone() for k, v in net.state_dict().items()}
    net.add_module("deformer", Deformer())
    path = folder / "portrait4d-v2-vfhq512.pkl"
    path.write_bytes(pickle.dumps({"G": None, "D": Call(sys.exit, 3), "G_ema": Persistent(net)}))
    made = import_weights("portrait4d", path)
    tensors, _, _ = load_tensors(made)
    assert tensors.keys() == wanted.keys() and all(torch.equal(tensors[k], v) for k, v in wanted.items())
    Synthesizer(TINY).load_state_dict(tensors)
    assert "FLAME" in made.with_suffix(".json").read_text()


def test_the_published_world_has_its_origin_at_flames_neck(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up = synthetic()
    config = replace(TINY, style_dim=12)  # by which files are told apart
    for module in (importing, weights):
        monkeypatch.setattr(module, "OFFICIAL", config)
    net = Synthesizer(config)
    arrays = {k: made_up.arrays[k] for k in ("v_template", "J_regressor")}
    net.add_module("deformer", Deformer(**arrays))
    path = folder / "portrait4d-v2-vfhq512.pkl"
    path.write_bytes(pickle.dumps({"G_ema": Persistent(net)}))
    tensors, _, _ = load_tensors(import_weights("portrait4d", path))
    assert not any("flame" in k for k in tensors)
    origin = tensors[importing.ORIGIN].double().numpy()
    # the made-up file is our head, bent, turned by 4 degrees about x and moved by (0, -21, -30) mm
    joints = arrays["J_regressor"] @ arrays["v_template"]
    ours = HeadModel.load().joint_neutral.double().numpy()
    assert np.linalg.norm(origin - joints[1]) > 0.03
    # its neck joint is made of vertices at the height and depth of our joint between skull and neck
    assert np.abs(origin - ours[JOINTS.index("head")])[1:].max() < 0.015
    eyes = np.mean([ours[JOINTS.index(x)] for x in ("eyeLeft", "eyeRight")], 0)
    assert np.allclose(eyes - origin, joints[3:].mean(0) - joints[1], atol=1e-6)

    torch.save(PDFGC().state_dict(), folder / "motion_model.pth")
    import_weights("pdfgc", folder / "motion_model.pth")
    weights.read_networks.cache_clear()
    placed = weights.load_portrait4d().psi.config
    weights.read_networks.cache_clear()
    assert np.allclose(placed.origin, origin) and np.allclose(
        np.subtract(placed.centre, origin), weights.LOOK_AT
    )
    assert TINY.origin == (0, 0, 0) and weights.place_official(TINY, None).centre == pytest.approx(
        TINY.centre
    )


@pytest.mark.parametrize("option", ["start", "teacher"])
def test_training_from_imported_weights_stays_in_their_world(option: str, tmp_path: Path) -> None:
    origin = torch.tensor([0.01, -0.12, -0.04])
    file = tmp_path / "imported.safetensors"
    save_file(Synthesizer(network.TINY).state_dict() | {importing.ORIGIN: origin}, file)
    recipe = StaticRecipe(size="tiny", **{option: str(file)})
    assert recipe.config == weights.place_official(network.TINY, origin)
    networks = recipe.networks(0)
    assert networks["synthesizer"].config.origin == pytest.approx(origin.tolist())
    assert torch.equal(recipe.shipped(networks)[importing.ORIGIN], origin)
    ours = StaticRecipe(size="tiny")
    assert ours.config == network.TINY and importing.ORIGIN not in ours.shipped(ours.networks(0))


class Call:
    """Pickles as a call."""

    def __init__(self, function: object, *args: object) -> None:
        self.made = function, args

    def __reduce__(self) -> tuple:
        return self.made  # type: ignore[return-value]


def test_another_network_is_refused_in_one_line(folder: Path) -> None:
    path = folder / "other.pkl"
    path.write_bytes(pickle.dumps({"G_ema": Persistent(torch.nn.Linear(2, 2))}))
    with pytest.raises(HeadcastError, match=r"other.pkl: is no checkpoint of the Portrait4D") as e:
        import_weights("portrait4d", path)
    assert "\n" not in str(e.value) and not list(folder.glob("weights/*"))


def test_the_motion_encoder_is_imported(folder: Path) -> None:
    net = PDFGC()
    torch.save({f"module.{k}": v for k, v in net.state_dict().items()}, folder / "motion_model.pth")
    tensors, _, _ = load_tensors(import_weights("pdfgc", folder / "motion_model.pth"))
    missing = net.load_state_dict(tensors, strict=False)
    assert all(k.endswith("num_batches_tracked") for k in missing.missing_keys)
    assert torch.equal(tensors["model.conv1.weight"], net.model.conv1.weight)
