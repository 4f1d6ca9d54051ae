"""Protocols of skin: known answers, seams, windows by size, photos that only change their light."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.errors import HeadcastError
from headcast.evaluate.networks import EvaluationNetworks as Evaluators
from headcast.evaluate.protocols import evaluate
from headcast.evaluate.setting import Setting
from headcast.methods.uhr_texture.data import make_looks, write_looks
from headcast.methods.uhr_texture.network import resize_maps
from headcast.methods.uhr_texture.protocols.skin_detail import OURS, window_rows, windows_in
from headcast.methods.uhr_texture.protocols.skin_images import (
    exaggerate_slopes,
    read_skin_images,
    relight_maps,
    slope_correlation,
)
from headcast.methods.uhr_texture.protocols.skin_maps import (
    CALIBRATED,
    DELIT,
    INPUT,
    SEAMS,
    TRUE,
    UNTRAINED,
    Options,
    fitted_prior,
)
from headcast.methods.uhr_texture.protocols.skin_rows import map_row
from headcast.methods.uhr_texture.protocols.skin_seams import seam_ratios
from headcast.methods.uhr_texture.protocols.skin_steadiness import (
    CHANGES,
    SIDE,
    changed_images,
    photos_of,
    shift_frame,
)


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small heads in two lights each, with two close windows."""
    folder = tmp_path_factory.mktemp("looks")
    for number in (0, 1):
        made = make_looks("test", 606, np.array([number]), 128, 256, torch.device("cpu"), 2, 2, (4, 8))
        write_looks(made, folder / f"test_{number:05d}.safetensors")
    return folder


def asked(data: Path, out: Path, **more: object) -> Setting:
    """Of the bundled networks."""
    return Setting(
        subjects=("uhr",), data=data, out=out, networks=Evaluators(), device=torch.device("cpu"), **more
    )  # type: ignore[arg-type]


def test_maps_of_the_truth_are_right_and_flat_ones_follow_nothing(looks: Path) -> None:
    image = next(iter(read_skin_images(looks, 4)))
    truth, skin = image.maps[8:15], image.maps[15]
    same = map_row(truth, truth, skin, None)
    assert same["albedo_psnr"] > 100 and same["micronormal_ssim"] == pytest.approx(1)
    assert same["slopes"] == pytest.approx(1, abs=1e-5) and "albedo_perceptual" not in same
    flat = truth.clone()
    flat[3:6] = torch.tensor([0.5, 0.5, 1.0]).view(3, 1, 1)
    assert map_row(flat, truth, skin, None)["slopes"] == 0
    darker = truth.clone()
    darker[:3] *= 0.7
    row = map_row(darker, truth, skin, None)
    assert (
        row["albedo_psnr"] < 25 < row["albedo_psnr_gained"]
    )  # of one gain in linear light almost nothing is left
    assert row["mean_r"] == pytest.approx(0.7 * same["mean_r"], rel=1e-4)


def test_both_stages_and_baselines_on_every_image(looks: Path, tmp_path: Path) -> None:
    options = Options(seams=64)
    report, (_, table, sheet) = evaluate("skin-maps", asked(looks, tmp_path, limit=4, options=options))
    assert len(report.rows[INPUT]) == 4 and SEAMS not in report.rows and sheet is not None
    assert report.cells(DELIT)["slopes"].mean == 0 < report.cells("uhr")["slopes"].mean
    mine, untrained = report.cells("uhr"), report.cells(UNTRAINED)
    assert (
        abs(untrained["slopes"].mean) < 1e-4 and mine["specular_psnr"].mean > untrained["specular_psnr"].mean
    )
    assert report.sets[TRUE]["distance"] == (0, 2) and report.sets[INPUT]["distance"][0] > 0
    assert all(0.5 < v < 2 for v, _ in report.sets[SEAMS].values()) and len(report.sets[SEAMS]) == 12
    assert any(f"less {CALIBRATED}" in note for note in report.notes) and "| truth |" in table.read_text()
    again = evaluate("skin-maps", asked(looks, tmp_path, limit=4, options=options))[0]
    assert again.rows == report.rows and again.sets == report.sets


def test_images_without_a_face_cannot_be_fitted_and_are_left_out(looks: Path, tmp_path: Path) -> None:
    image = next(iter(read_skin_images(looks, 4)))
    prior = fitted_prior(image.maps[:3], 32)
    truth = resize_maps(image.maps[None, 3:8], 32, 32)[0]
    both = (prior[2:].sum(0) > 0.3) & (truth[2:].sum(0) > 0.3)
    assert both.float().mean() > 0.2 and (prior - truth)[2:, both].abs().median() < 0.1
    with pytest.raises(HeadcastError, match="face"):
        fitted_prior(torch.zeros(3, 64, 64), 32)


def test_a_step_at_borders_shows() -> None:
    sums = np.ones(
        (3, 3, 2, 2, 2)
    )  # map; border, between, everywhere; kind; with patches or without; sum, count
    sums[0, 0, 0, 0, 0] = 1.5  # albedo's gradient at borders, with patches
    ratios = seam_ratios([{f"sum_{i}": v for i, v in enumerate(sums.ravel())}])
    assert ratios["albedo_gradient_border"] == 1.5 and ratios["albedo_gradient_between"] == 1
    assert ratios["specular_fine_border"] == 1


def test_windows_by_how_fine_they_are(looks: Path, tmp_path: Path) -> None:
    windows = list(windows_in(looks))
    assert windows and all(w.side >= 128 and w.mask.float().mean() >= 1 / 3 for w in windows)
    w = windows[0]
    perfect = torch.cat([w.maps[8:15], w.maps[8:11]])
    row = window_rows(perfect, w)[OURS]
    assert row["correlation"] == pytest.approx(1, abs=1e-5) and row["fine_explained"] == pytest.approx(1)
    report, _ = evaluate("skin-detail", asked(looks, tmp_path))
    assert sorted(i for g in report.groups.values() for i in g) == sorted(x.name for x in windows)
    assert np.isfinite(report.cells(OURS)["correlation"].mean)


def test_relighting_and_exaggerated_slopes() -> None:
    maps = torch.full((7, 4, 4), 0.5)
    maps[5] = 1
    normal = torch.tensor([0.5, 0.5, 1.0]).view(3, 1, 1).expand(3, 4, 4).clone()
    normal[:, 0] = 0  # off the head
    lit = relight_maps(maps, normal)
    assert (lit[:, 0] == 0).all() and (lit[:, 1:] > 0.3).all()
    assert (exaggerate_slopes(maps[3:6]) == maps[3:6]).all()
    slope = torch.rand(2, 4, 4)
    assert slope_correlation(slope, -slope, torch.ones(4, 4, dtype=torch.bool)) == pytest.approx(-1, abs=1e-5)


def test_photos_that_change_their_light_alone(tmp_path: Path) -> None:
    rgb = torch.rand(3, SIDE, SIDE) * 0.6 + 0.2
    normal = torch.zeros(3, SIDE, SIDE)
    normal[0] = 1  # facing right
    changed = changed_images(rgb, normal, torch.Generator().manual_seed(0))
    assert tuple(changed) == CHANGES[:-1]
    assert changed["lit from the left"].mean() < rgb.mean() < changed["lit from the right"].mean()
    ramp = torch.linspace(0, 1, SIDE).expand(1, SIDE, SIDE)
    there_and_back = shift_frame(shift_frame(ramp), back=True)
    assert (
        (there_and_back - ramp)[:, 30:-30, 30:-30].abs().max() < 1e-3 < (shift_frame(ramp) - ramp).abs().max()
    )
    with pytest.raises(HeadcastError, match="public-domain portraits"):
        photos_of(tmp_path, 2)
    (tmp_path / "portraits_pd.csv").write_text(
        "id,split,black_and_white\na,train,no\nb,train,yes\nc,test,no\nd,train,no\n"
    )
    assert [p.stem for p in photos_of(tmp_path, 2)] == ["a", "d"]


def test_mistakes(looks: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    with pytest.raises(HeadcastError, match="give uhr"):
        evaluate("skin-maps", replace(asked(looks, tmp_path), subjects=("fit",)))
    with pytest.raises(HeadcastError, match="NAME=FILE"):
        evaluate("skin-maps", asked(looks, tmp_path, options=Options(compare=("x",))))
    with pytest.raises(HeadcastError, match="no skin with its truth here"):
        evaluate("skin-detail", asked(tmp_path, tmp_path / "out"))
