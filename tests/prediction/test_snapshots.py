"""Level sets on their way, as a report shows them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_levelset.bundles import find_bundle, inference_config
from monai_levelset.data.click_files import write_clicks
from monai_levelset.data.click_simulation import simulated_clicks
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.evaluation import evaluate
from monai_levelset.prediction import predict
from monai_levelset.prediction.bundle import BundlePredictor
from monai_levelset.prediction.cases import find_cases
from monai_levelset.prediction.snapshots import level_set_snapshots


def snapshots(bundle: str, images: Path, out: Path, points: Path | None = None) -> dict[int, np.ndarray]:
    root = find_bundle(bundle).resolve()
    cases = find_cases(inference_config(root), images, points=points)
    settings = {"dataset_dir": str(images), "output_dir": str(out / "unused")}
    settings |= {} if points is None else {"clicks": str(points)}
    found = level_set_snapshots(BundlePredictor(root, cases, settings), cases[0])
    assert not list((out / "unused").glob("*"))
    assert found is not None
    return found


def read(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def test_a_refinement_ends_at_the_result(tmp_path: Path) -> None:
    generate_phantoms("lv", tmp_path, cases=1, seed=2)
    phis = snapshots("lv_mri_levelset_segmentation", tmp_path / "images", tmp_path)
    assert list(phis) == [0, 5, 10, 25, 50]
    predict("lv_mri_levelset_segmentation", tmp_path / "images", tmp_path / "out")
    expected = read(tmp_path / "out/lv_000.nii.gz") > 0
    differ = ((phis[50] > 0) != expected).sum() / expected.sum()
    assert differ < 0.01  # phi is interpolated, the mask is not
    assert ((phis[0] > 0) != expected).sum() / expected.sum() > differ


def test_an_evolution_in_a_network_ends_at_the_result(tmp_path: Path) -> None:
    generate_phantoms("prostate", tmp_path, cases=1, seed=2)
    bundle, clicks = "prostate_mri_levelset_deepgrow", tmp_path / "clicks.json"
    label = tmp_path / "labels/prostate_000.nii.gz"
    write_clicks(simulated_clicks({"prostate_000": label}, {"prostate": [1]}, axcodes="PLS", every=4), clicks)
    phis = snapshots(bundle, tmp_path / "images", tmp_path, clicks)
    assert list(phis) == [0, 1, 2, 3, 4, 5]
    predict(bundle, tmp_path / "images", tmp_path / "out", points=clicks)
    np.testing.assert_array_equal(phis[5] > 0, read(tmp_path / "out/prostate_000.nii.gz") > 0)
    assert (phis[0] > 0).sum() != (phis[5] > 0).sum()


@pytest.mark.parametrize(
    ("task", "bundle", "drawn"),
    [("lv", "lv_mri_levelset_segmentation", True), ("brats", "brats_mri_levelset_segmentation", False)],
)
def test_an_evaluation_draws_the_evolution_where_there_is_one(
    task: str, bundle: str, drawn: bool, tmp_path: Path
) -> None:
    generate_phantoms(task, tmp_path, cases=1, seed=2)
    evaluate(bundle=bundle, images=tmp_path / "images", labels=tmp_path / "labels", out=tmp_path / "out")
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert (tmp_path / "out/evolution.png").is_file() is drawn
    assert ("How the level set moved" in page) is drawn
