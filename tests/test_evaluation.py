from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_levelset.bundles import find_bundle
from monai_levelset.data.errors import DataError
from monai_levelset.data.image_files import find_files
from monai_levelset.evaluation import evaluate
from monai_levelset.prediction import predict
from tests.dicom_files import write_series


def cube(start: int, side: int = 4) -> np.ndarray:
    volume = np.zeros((12, 12, 6), dtype=np.uint8)
    volume[start : start + side, 3:7, 1:4] = 1
    return volume


def save(path: Path, array: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 2.0)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        Image.fromarray(array).save(path)
    else:
        nib.save(nib.Nifti1Image(array, np.diag([*spacing, 1.0])), path)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Case a perfect, b shifted by 2 of 4, c without a prediction; one prediction has no label."""
    for name, array in {"a": cube(3), "b": cube(3), "c": cube(3)}.items():
        save(tmp_path / "labels" / f"{name}.nii.gz", array)
        save(tmp_path / "images" / f"{name}.nii.gz", array * 100 + 5)
    for name, array in {"a": cube(3), "b": cube(5), "stray": cube(1)}.items():
        save(tmp_path / "predictions" / f"{name}.nii.gz", array)
    return {name: tmp_path / name for name in ("predictions", "labels", "images", "out")}


def run(folders: dict[str, Path], **options: Any) -> dict[str, Any]:
    return evaluate(folders["predictions"], folders["labels"], folders["out"], **options)


def test_scores_and_files(folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    summary = run(folders, images=folders["images"])
    assert [(case["id"], case["dice"], case["missed"]) for case in summary["cases"]] == [
        ("a", 1.0, 0),
        ("b", 0.5, 0),
        ("c", 0.0, 1),
    ]
    assert summary["mean"]["dice"] == pytest.approx(0.5)
    assert summary["cases"][1]["hd95"] == summary["cases"][1]["hd"] == pytest.approx(2.0)
    assert [case["rvd"] for case in summary["cases"]] == [0, 0, -1]
    assert summary["cases"][2]["hd95"] == pytest.approx(np.sqrt(12**2 + 12**2 + 12**2))
    assert (summary["n"], summary["missed"], summary["extra"], summary["unit"]) == (3, 1, ["stray"], "mm")
    printed = capsys.readouterr()
    assert "without label, not scored: stray" in printed.err
    assert "without prediction, missed: c" in printed.err
    assert "3 cases, 1 missed" in printed.out
    assert sorted(p.name for p in folders["out"].iterdir()) == [
        "cases.csv",
        "overlays.png",
        "report.html",
        "summary.json",
    ]


def test_csv_json_and_page_hold_the_same_numbers(folders: dict[str, Path]) -> None:
    summary = run(folders)
    assert json.loads((folders["out"] / "summary.json").read_text(encoding="utf-8")) == summary
    with (folders["out"] / "cases.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [{k: v if k == "id" else float(v) for k, v in row.items()} for row in rows] == summary["cases"]
    page = (folders["out"] / "report.html").read_text(encoding="utf-8")
    assert all(f'data-value="{case["hd95"]!r}"' in page for case in summary["cases"])
    assert {"python", "monai", "torch", "numpy"} <= summary["versions"].keys()
    assert summary["command"].startswith("monai-levelset evaluate --predictions ")


def test_overlay_has_red_and_blue_contours_of_the_cases(folders: dict[str, Path]) -> None:
    run(folders, images=folders["images"])
    with Image.open(folders["out"] / "overlays.png") as image:
        red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")).astype(int), -1, 0)
    assert ((red > 230) & (green < 80) & (blue < 80)).sum() > 300
    assert ((red < 80) & (blue > 230)).sum() > 300


def test_png_predictions_any_foreground_value(tmp_path: Path) -> None:
    label = np.zeros((20, 30), dtype=np.uint8)
    label[5:10, 5:15] = 1
    save(tmp_path / "labels/x.png", label)
    save(tmp_path / "predictions/x.png", label * 255)
    folders = {name: tmp_path / name for name in ("predictions", "labels", "out")}
    assert run(folders)["mean"]["dice"] == 1
    assert run(folders)["unit"] == "pixels"
    save(tmp_path / "predictions/x.png", np.roll(label, 2, axis=1))
    summary = run(folders, spacing=(0.5, 7.0))
    assert (summary["unit"], summary["cases"][0]["hd95"]) == ("mm", pytest.approx(1.0))


def test_png_prediction_for_a_nifti_label_and_a_postfix(tmp_path: Path) -> None:
    label = np.zeros((30, 20), dtype=np.uint8)
    label[5:15, 5:10] = 1
    save(tmp_path / "labels/x.nii.gz", label[..., None])
    save(tmp_path / "predictions/x/x_seg.png", label.T)
    folders = {name: tmp_path / name for name in ("predictions", "labels", "out")}
    assert run(folders, postfix="_seg")["mean"]["dice"] == 1
    with pytest.raises(FileNotFoundError, match="no file name in common.*--postfix"):
        run(folders)


def test_classes(folders: dict[str, Path]) -> None:
    save(folders["labels"] / "a.nii.gz", cube(3) * 2)
    summary = run(folders, classes={"whole": [1, 2], "core": 2})
    assert (summary["cases"][0]["dice_whole"], summary["cases"][0]["dice_core"]) == (1.0, 0.0)
    assert """--classes '{"whole": [1, 2], "core": 2}'""" in summary["command"]
    assert run(folders, classes=1)["cases"][1]["dice"] == 0.5


@pytest.mark.parametrize(
    ("array", "spacing", "what"),
    [(cube(3)[:-1], (1.0, 1.0, 2.0), "shape"), (cube(3), (1.0, 1.0, 3.0), "affine")],
)
def test_another_grid_is_an_error_naming_both_files(
    folders: dict[str, Path], array: np.ndarray, spacing: tuple[float, float, float], what: str
) -> None:
    save(folders["predictions"] / "b.nii.gz", array, spacing)
    with pytest.raises(ValueError, match=rf"predictions/b\.nii\.gz and .*labels/b\.nii\.gz differ in {what}"):
        run(folders)
    assert not list(folders["out"].iterdir())


def test_image_of_another_grid_is_an_error(folders: dict[str, Path]) -> None:
    save(folders["images"] / "a.nii.gz", cube(3)[:, :-1])
    with pytest.raises(ValueError, match=r"images/a\.nii\.gz and .*labels/a\.nii\.gz"):
        run(folders, images=folders["images"])


def test_bad_requests(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give --labels, --out"):
        evaluate(folders["predictions"])
    with pytest.raises(ValueError, match="either --predictions or --bundle"):
        run(folders, bundle="x")
    with pytest.raises(ValueError, match="--bundle needs --images"):
        evaluate(labels=folders["labels"], out=folders["out"], bundle="x")
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        evaluate(tmp_path / "nowhere", folders["labels"], folders["out"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty: holds no image file"):
        evaluate(folders["predictions"], tmp_path / "empty", folders["out"])
    save(folders["labels"] / "a.png", cube(3)[..., 0])
    with pytest.raises(ValueError, match="same name 'a'"):
        run(folders)


GRID = np.diag([-1.0, -1.0, 2.0, 1.0])


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")
def test_dicom_folders_are_images(tmp_path: Path) -> None:
    scan = cube(3).astype(np.int16) * 100
    write_series(tmp_path / "data/p1/CT 1", scan, GRID)
    write_series(tmp_path / "data/p2/CT 1", scan, GRID, names="{:03d}")
    for name in ("LICENSE", "DICOMDIR", ".DS_Store", "notes.txt"):
        (tmp_path / "data/p2/CT 1" / name).write_bytes(bytes(128) + b"DICM" * (name == "DICOMDIR"))
    save(tmp_path / "data/p3/c.nii.gz", scan)
    (tmp_path / "data/.cache").mkdir()
    save(tmp_path / "data/.cache/d.nii.gz", scan)
    root = tmp_path / "data"
    assert find_files(root) == {
        "c": root / "p3/c.nii.gz",
        "p1_CT 1": root / "p1/CT 1",
        "p2_CT 1": root / "p2/CT 1",
    }
    assert find_files(root / "p2/CT 1") == {"CT 1": root / "p2/CT 1"}
    save(root / "p1_CT 1.nii", scan)
    with pytest.raises(ValueError, match="have the same name 'p1_CT 1'"):
        find_files(root)


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")
def test_dicom_folders_that_are_no_volume(tmp_path: Path) -> None:
    scan = cube(3).astype(np.int16) * 100
    write_series(tmp_path, scan, GRID, skip=[3])
    with pytest.raises(DataError, match=r"IM0002.dcm and .*IM0004.dcm: 1 slice missing"):
        find_files(tmp_path)
    write_series(tmp_path, scan, GRID, names="other{}", SeriesInstanceUID="1.2.4")
    with pytest.raises(DataError, match=r"slices of 2 series.*prepare dicom"):
        find_files(tmp_path)


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")
def test_a_dicom_image_lies_under_its_contours(tmp_path: Path) -> None:
    """The label of a DICOM folder has the folder's name."""
    write_series(tmp_path / "images/p1/CT", cube(3).astype(np.int16) * 100, GRID)
    for kind in ("labels", "predictions"):
        (tmp_path / kind).mkdir()
        nib.save(nib.Nifti1Image(cube(3), GRID), tmp_path / kind / "p1_CT.nii.gz")
    summary = evaluate(
        tmp_path / "predictions", tmp_path / "labels", tmp_path / "out", images=tmp_path / "images"
    )
    assert summary["mean"]["dice"] == 1
    nib.save(nib.Nifti1Image(cube(3), np.diag([-1.0, -1.0, 3.0, 1.0])), tmp_path / "labels/p1_CT.nii.gz")
    with pytest.raises(ValueError, match=r"differ in affine"):
        evaluate(tmp_path / "predictions", tmp_path / "labels", tmp_path / "out")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle that thresholds: inference.json with the ids every bundle of the collection has."""
    root = tmp_path / "threshold_segmentation"
    save_keys = {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "resample": False}
    save_keys |= {"output_postfix": "", "separate_folder": False, "print_log": False}
    config = {
        "bundle_root": ".",
        "device": "cpu",
        "dataset_dir": "missing",
        "output_dir": "missing",
        "datalist": [],
        "network_def": {"_target_": "torch.nn.Identity"},
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {
                    "_target_": "LoadImaged",
                    "keys": "image",
                    "ensure_channel_first": True,
                    "reader": "NibabelReader",
                }
            ],
        },
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': i} for i in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [{"_target_": "AsDiscreted", "keys": "pred", "threshold": 50.0}, save_keys],
        },
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network_def",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "run": ["$@evaluator.run()"],
    }
    (root / "configs").mkdir(parents=True)
    (root / "configs" / "inference.json").write_text(json.dumps(config), encoding="utf-8")
    (root / "configs" / "metadata.json").write_text(json.dumps({"version": "0.0.1"}), encoding="utf-8")
    return root


def test_bundle_predicts_then_is_scored(folders: dict[str, Path], bundle: Path) -> None:
    summary = evaluate(labels=folders["labels"], out=folders["out"], images=folders["images"], bundle=bundle)
    assert [case["dice"] for case in summary["cases"]] == [1.0, 1.0, 1.0]
    assert sorted(p.name for p in (folders["out"] / "predictions").glob("*.nii.gz")) == [
        "a.nii.gz",
        "b.nii.gz",
        "c.nii.gz",
    ]


def test_clicks_for_a_bundle_that_takes_none(folders: dict[str, Path], bundle: Path) -> None:
    places = {"labels": folders["labels"], "out": folders["out"], "images": folders["images"]}
    with pytest.raises(ValueError, match=r"mine.json: this bundle takes no clicks"):
        evaluate(bundle=bundle, clicks="mine.json", **places)
    assert not (folders["out"] / "predictions").exists()
    assert "clicks" not in evaluate(bundle=bundle, **places)


def test_bundle_found_by_name(bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.move(bundle, tmp_path / "bundles" / bundle.name)
    assert find_bundle(bundle.name).resolve() == tmp_path / "bundles" / bundle.name
    with pytest.raises(FileNotFoundError, match=rf"typo: no bundle .*{bundle.name}"):
        find_bundle("typo")


def test_bundle_on_an_empty_folder(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(FileNotFoundError, match="images: holds no image file"):
        predict(bundle, tmp_path / "images", tmp_path / "out")


def in_browser(page: Path, script: str, *options: str) -> str:
    """What a script, run in the page by a browser without a screen, leaves as the page's text."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs chromium")
    text = page.read_text(encoding="utf-8")
    changed = page.with_name("changed.html")
    changed.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    fixed = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom")
    command = [browser, *fixed, *options, f"file://{changed}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_the_report_sorts_in_a_browser(folders: dict[str, Path]) -> None:
    run(folders)
    click = "const b = document.querySelectorAll('table.sortable th button'), order = () => [...document"
    click += ".querySelectorAll('table.sortable tbody tr')].map(r => r.cells[0].textContent).join('');"
    click += "let s = ''; for (const i of [1, 1, 0]) { b[i].click(); s += order() + ' '; }"
    click += "document.body.textContent = 'sorted: ' + s;"
    assert "sorted: cba abc abc" in in_browser(folders["out"] / "report.html", click)


def test_the_report_fits_a_phone_and_loads_nothing(folders: dict[str, Path]) -> None:
    run(folders)
    look = "const loaded = performance.getEntriesByType('resource').filter(r => !r.name.startsWith('data:'));"
    look += "const wide = document.documentElement.scrollWidth > window.innerWidth;"
    look += "document.body.textContent = `width ${window.innerWidth} wide ${wide} loaded ${loaded.length}`;"
    shown = in_browser(folders["out"] / "report.html", look, "--window-size=500,900")
    assert "width 500 wide false loaded 0" in shown
