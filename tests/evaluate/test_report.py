"""Reports: what a cell says, what stands in JSON and in the table, rows that survive an end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from headcast.errors import HeadcastError
from headcast.evaluate.catalogue import comparison_figures, cross_figures, motion_figures, set_figures
from headcast.evaluate.networks import EvaluationNetworks
from headcast.evaluate.report import Report, summarize_values
from headcast.evaluate.report_files import as_json, as_markdown, figure_text, write_report
from headcast.evaluate.set_distances import add_set_distances
from headcast.evaluate.store import Measured, Store
from headcast.metrics.figure import Figure

UP = Figure(key="psnr", title="PSNR", unit="dB", mask="the face oval", note="one mean squared error")
DOWN = Figure(key="akd", title="AKD", unit="px", better="low", network="MediaPipe", lost=1000.0)


def filled() -> Report:
    report = Report(protocol="self-reenactment", figures={f.key: f for f in (UP, DOWN)})
    for k in range(6):
        report.add("fit", f"c{k}", [{"psnr": 20.0 + k, "akd": float(k)}])
        report.add("input held still", f"c{k}", [{"psnr": 10.0 + k}])
    report.groups = {"hair: long": [f"c{k}" for k in range(6)], "hair: bald": ["c1"]}
    report.skipped = {"broken.mp4": "broken.mp4: is a text file"}
    report.settings = {"missing": ["LPIPS: give --lpips FILE"]}
    report.sheet = [
        [("c0 real", np.zeros((300, 400, 3), np.uint8)), ("c0 fit", np.full((64, 64, 3), 9, np.uint8))]
    ]
    return report


def test_the_tail_is_where_it_hurts() -> None:
    values = [float(i) for i in range(101)]
    up, down = summarize_values(values, UP), summarize_values([*values, float("nan")], DOWN)
    assert up is not None and down is not None
    assert (up.mean, up.median, up.tail, up.count) == (50, 50, 10, 101)
    assert (down.tail, down.count) == (90, 101)
    assert summarize_values([float("nan")], UP) is None


def test_json_says_what_numbers_mean() -> None:
    data = json.loads(json.dumps(as_json(filled()), allow_nan=False))
    assert (
        data["legend"]["psnr"]["mask"] == "the face oval" and data["legend"]["akd"]["network"] == "MediaPipe"
    )
    assert {"network", "crop", "mask", "span", "note", "unit", "better"} <= set(data["legend"]["akd"])
    assert data["results"]["fit"]["figures"]["psnr"] == {
        "mean": 22.5,
        "median": 22.5,
        "tail": 20.5,
        "count": 6,
    }
    groups = data["results"]["fit"]["groups"]
    assert groups["hair: bald"] == {"items": 1, "figures": "too few"} and groups["hair: long"]["items"] == 6
    assert data["skipped"] and data["rows"]["fit"]["c3"] == [{"psnr": 23.0, "akd": 3.0}]


def test_the_table_has_legend_counts_groups_and_what_is_missing() -> None:
    text = "\n".join(as_markdown(filled()))
    assert "| PSNR (dB) ↑ | 22.5; 22.5 (20.5), n 6 | 12.5; 12.5 (10.5), n 6 |" in text
    assert "| AKD (px) ↓ | 2.5; 2.5 (4.5), n 6 | — |" in text
    assert "| PSNR (dB) | none | whole image | the face oval | sRGB display values 0..1 |" in text
    assert "| hair: bald | 1 | all | too few |" in text and "| hair: long | 6 | fit | 22.5 |" not in text
    assert "- LPIPS: give --lpips FILE" in text and "- broken.mp4: broken.mp4: is a text file" in text


def test_files(tmp_path: Path) -> None:
    data, table, sheet = write_report(filled(), tmp_path)
    assert json.loads(data.read_text())["protocol"] == "self-reenactment" and table.read_text().startswith(
        "# self"
    )
    from headcast.image import load_image

    assert sheet is not None and load_image(sheet).rgb.shape[1] > 500


@pytest.mark.parametrize(
    "value,text", [(0.0, "0"), (0.12345, "0.123"), (12.34, "12.3"), (123.4, "123"), (2.0, "2")]
)
def test_three_digits(value: float, text: str) -> None:
    assert figure_text(value) == text


def test_rows_come_back_while_their_facts_hold(tmp_path: Path) -> None:
    store = Store(tmp_path, {"seed": 0})
    found = Measured([{"psnr": 1.5}], {"ours": np.array([[1.25, 2.0]], np.float32)})
    assert store.get("fit", "c0") is None
    store.put("fit", "c0", found, more=["v1"])
    again = Store(tmp_path, {"seed": 0}).get("fit", "c0", more=["v1"])
    assert (
        again is not None
        and again.rows == found.rows
        and (again.features["ours"] == found.features["ours"]).all()
    )
    assert (
        store.get("fit", "c0", more=["v2"]) is None
        and Store(tmp_path, {"seed": 1}).get("fit", "c0", ["v1"]) is None
    )
    assert store.once("fit", "c0", lambda: pytest.fail("measured again"), more=["v1"]).rows == found.rows
    store.path("fit", "c0").write_text('{"facts": ')
    assert store.get("fit", "c0", more=["v1"]) is None


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(HeadcastError, match="cannot be written"):
        Store(tmp_path / "file" / "out", {})


def test_sets_need_enough_and_name_counts() -> None:
    rng = np.random.default_rng(0)
    real, fake = rng.normal(0, 1, (20, 3)), rng.normal(1, 1, (12, 3))
    report = filled()
    add_set_distances(
        report,
        {"real": {"ours": [real]}, "fit": {"ours": [fake[:4], fake[4:]]}, "few": {"ours": [fake[:3]]}},
        "real",
    )
    assert report.sets["fit"]["fid_ours"][0] > 1 and report.sets["fit"]["kid_ours"][1] == 12
    assert "few" not in report.sets and "real" not in report.sets


def test_every_figure_says_what_it_is() -> None:
    made = [
        *comparison_figures(EvaluationNetworks(), ["face", "foreground", "hair", "whole"]),
        *motion_figures(),
        *set_figures(EvaluationNetworks(), "the real frames"),
        *cross_figures(EvaluationNetworks()),
    ]
    assert len({f.key for f in made}) >= 20
    assert all(f.mask and f.crop and f.network and f.span for f in made)
    keys = {f.key for f in made}
    assert not keys & {"lpips", "perceptual", "csim", "fid_ours", "fvd"}  # never without their networks
