"""`monai-levelset predict`: what a user finds after it, whatever happened in between."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_levelset.cli import main
from monai_levelset.data import DataError
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.evaluation import evaluate
from monai_levelset.prediction import SomeFailed, predict
from monai_levelset.prediction.bundle import BundlePredictor
from monai_levelset.prediction.ranks import Ranks

BUNDLE = "lv_mri_levelset_segmentation"


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three volumes with labels."""
    folder = tmp_path_factory.mktemp("data")
    generate_phantoms("lv", folder, cases=3, seed=5)
    return folder


@pytest.fixture
def images(phantoms: Path, tmp_path: Path) -> Path:
    """Copies of the volumes, with a file between them that is none."""
    shutil.copytree(phantoms / "images", tmp_path / "in")
    (tmp_path / "in/broken.nii.gz").write_text("no image")
    return tmp_path / "in"


def status(report: dict[str, Any]) -> dict[str, str]:
    return {case["id"]: case["status"] for case in report["cases"]}


def read_report(out: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return report


def test_a_bad_file_stops_nothing(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["predict", "--bundle", BUNDLE, "--input", str(images), "--out", str(out)]) == 3
    told = capsys.readouterr().err
    assert "failed: broken: " in told
    assert "error: 1 of 4 cases failed: broken: " in told
    report = read_report(out)
    assert status(report) == {"broken": "failed", "lv_000": "done", "lv_001": "done", "lv_002": "done"}
    assert report["counts"] == {"done": 3, "skipped": 0, "failed": 1, "not reached": 0}
    assert "not a gzip file" in report["cases"][0]["error"]
    assert (f"predict --bundle {BUNDLE} --input {images} --out {out}") in report["command"]
    assert 1e8 < report["peak_memory_bytes"] < 1e11
    assert set(report["weights"]) == {"model.pt", "shape_prior.pt", "inference.json"}
    for name in ("lv_000", "lv_001", "lv_002"):
        mask, image = nib.load(out / f"{name}.nii.gz"), nib.load(images / f"{name}.nii.gz")
        assert mask.shape == image.shape
        np.testing.assert_array_equal(mask.affine, image.affine)


def test_finished_cases_are_skipped_and_changed_ones_done_again(images: Path, tmp_path: Path) -> None:
    (images / "broken.nii.gz").unlink()
    out = tmp_path / "out"
    assert set(status(predict(BUNDLE, images, out)).values()) == {"done"}
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.nii.gz")}
    (out / "lv_000.nii.gz").unlink()
    shutil.copy(images / "lv_002.nii.gz", images / "lv_001.nii.gz")
    report = predict(BUNDLE, images, out)
    assert status(report) == {"lv_000": "done", "lv_001": "done", "lv_002": "skipped"}
    assert (out / "lv_002.nii.gz").stat().st_mtime_ns == before["lv_002.nii.gz"]
    same = [np.asarray(nib.load(out / f"{name}.nii.gz").dataobj) for name in ("lv_001", "lv_002")]
    np.testing.assert_array_equal(*same)
    assert set(status(predict(BUNDLE, images, out, device="cpu", preview=True)).values()) == {"done"}


def test_a_case_that_fails_now_keeps_no_result_of_before(images: Path, tmp_path: Path) -> None:
    (images / "broken.nii.gz").unlink()
    predict(BUNDLE, images, tmp_path / "out", preview=True)
    (images / "lv_001.nii.gz").write_text("no image any more")
    with pytest.raises(SomeFailed, match="1 of 3 cases failed: lv_001"):
        predict(BUNDLE, images, tmp_path / "out", preview=True)
    assert not list((tmp_path / "out").glob("lv_001*"))
    assert len(list((tmp_path / "out").glob("lv_00*"))) == 4


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [Ranks(k, 3, k).device for k in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert Ranks().device is None
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert Ranks(1, 3, 1).device is None


def test_results_do_not_lie_among_the_images(images: Path) -> None:
    with pytest.raises(ValueError, match="out: it lies in .*in, the folder of the images"):
        predict(BUNDLE, images, images / "out")
    assert not (images / "out").exists()


def test_other_weights_make_new_results(images: Path, tmp_path: Path) -> None:
    (images / "broken.nii.gz").unlink()
    shipped = Path("bundles") / BUNDLE / "models"
    mine = tmp_path / "mine.pt"
    shutil.copy(shipped / "model.pt", mine)
    predict(BUNDLE, images / "lv_000.nii.gz", tmp_path / "out", checkpoint=mine)
    assert status(predict(BUNDLE, images / "lv_000.nii.gz", tmp_path / "out", checkpoint=mine)) == {
        "lv_000": "skipped"
    }
    mine.write_bytes(b"damaged")
    with pytest.raises(DataError, match="mine.pt: "):
        predict(BUNDLE, images / "lv_000.nii.gz", tmp_path / "out", checkpoint=mine)


def test_entries_of_the_configuration_can_be_replaced(phantoms: Path, tmp_path: Path) -> None:
    image = phantoms / "images/lv_000.nii.gz"
    masks = [
        np.asarray(nib.load(tmp_path / name / "lv_000.nii.gz").dataobj)
        for name, settings in (("plain", None), ("coarse", {"spacing": [3.0, 3.0]}))
        if predict(BUNDLE, image, tmp_path / name, settings=settings)
    ]
    assert masks[0].shape == masks[1].shape
    assert (masks[0] != masks[1]).any()


def test_an_interrupted_run_goes_on(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, out = BundlePredictor.run, tmp_path / "out"

    def run(self: BundlePredictor, case: Any) -> None:
        if case.name == "lv_001":
            raise KeyboardInterrupt
        whole(self, case)

    monkeypatch.setattr(BundlePredictor, "run", run)
    assert main(["predict", BUNDLE, str(images), str(out)]) == 130
    assert status(read_report(out)) == {
        "broken": "failed",
        "lv_000": "done",
        "lv_001": "not reached",
        "lv_002": "not reached",
    }
    assert [path.name for path in out.glob("*.nii.gz")] == ["lv_000.nii.gz"]
    monkeypatch.setattr(BundlePredictor, "run", whole)
    assert main(["predict", BUNDLE, str(images), str(out)]) == 3
    assert read_report(out)["counts"] == {"done": 2, "skipped": 1, "failed": 1, "not reached": 0}


def test_all_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.nii.gz").write_text("no image")
    with pytest.raises(SomeFailed, match="the only case failed: a: .*not a gzip file") as caught:
        predict(BUNDLE, tmp_path / "a.nii.gz", tmp_path / "out")
    assert caught.value.exit_code == 1


def test_what_the_network_cannot_hold_is_told(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: BundlePredictor, case: Any) -> None:
        if case.name == "lv_000":
            raise MemoryError("4 TiB")
        raise RuntimeError("odd")

    monkeypatch.setattr(BundlePredictor, "run", run)
    with pytest.raises(SomeFailed):
        predict(BUNDLE, images, tmp_path / "out")
    cases = {case["id"]: case for case in read_report(tmp_path / "out")["cases"]}
    assert "out of memory (4 TiB). Use --device cpu" in cases["lv_000"]["error"]
    assert "RuntimeError: odd" in cases["lv_001"]["traceback"]


def test_probabilities_and_previews_lie_beside(phantoms: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = predict(BUNDLE, phantoms / "images", out, probabilities=True, preview=True, amp=True)
    assert report["cases"][0]["files"] == [
        "lv_000.nii.gz",
        "lv_000_probabilities.nii.gz",
        "lv_000_preview.png",
    ]
    mask, probabilities = (nib.load(out / f"lv_000{end}.nii.gz") for end in ("", "_probabilities"))
    assert probabilities.shape == (*mask.shape, 2)
    assert probabilities.get_data_dtype() == np.float32
    np.testing.assert_array_equal(probabilities.affine, mask.affine)
    inside = np.asarray(probabilities.dataobj)[..., 1]
    truth = np.asarray(nib.load(phantoms / "labels/lv_000.nii.gz").dataobj) > 0
    assert 2 * ((inside > 0.5) & truth).sum() / ((inside > 0.5).sum() + truth.sum()) > 0.7
    summary = evaluate(out, phantoms / "labels", tmp_path / "score", images=phantoms / "images")
    assert summary["extra"] == []
    assert summary["mean"]["dice"] > 0.8


def test_one_list_for_many_processes(images: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "monai_levelset.cli", "predict", BUNDLE, str(images), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode != 0  # one case is broken
    report = read_report(tmp_path / "out")
    assert report["processes"] == 2
    assert report["counts"] == {"done": 3, "skipped": 0, "failed": 1, "not reached": 0}
    alone = predict(BUNDLE, images / "lv_002.nii.gz", tmp_path / "alone")
    masks = [nib.load(tmp_path / f / alone["cases"][0]["files"][0]).get_fdata() for f in ("out", "alone")]
    np.testing.assert_array_equal(*masks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu7"}, "--device is cpu, cuda or cuda:NUMBER, got 'tpu7'"),
        ({"device": "cuda:99"}, r"--device cuda:99: this machine has \d+ usable GPU"),
        ({"points": "clicks.json"}, "clicks.json: this bundle takes no clicks; leave them out"),
        ({"space": "mm"}, "--space is voxel or world, got 'mm'"),
        ({"space": "world"}, "--space: the bundle lv_mri_levelset_segmentation has no such option"),
        ({"settings": {"spacin": 1}}, "--spacin: the bundle .* has no such option"),
        ({"interpolate": True}, "--interpolate: the bundle .* has no such option"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str, images: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        predict(BUNDLE, images, tmp_path / "out", **options)
    assert not (tmp_path / "out/report.json").exists()


def test_requests_that_cannot_be_met(images: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="typo: no such configuration; the bundle has baseline"):
        predict(BUNDLE, images, tmp_path / "out", overrides="typo")
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder"):
        predict(BUNDLE, tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(ValueError, match="segments what is clicked: give --points"):
        predict("prostate_mri_levelset_deepgrow", images, tmp_path / "out")
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(DataError, match="notes.txt: no reader for such files"):
        predict(BUNDLE, tmp_path / "notes.txt", tmp_path / "out")


def test_broken_files_do_not_matter_to_the_clicks_of_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate_phantoms("prostate", tmp_path / "data", cases=1, seed=1)
    source = tmp_path / "data/images"
    mask = np.asarray(nib.load(next((tmp_path / "data/labels").glob("*"))).dataobj)
    z = int(mask.sum((0, 1)).argmax())
    x, y = (np.flatnonzero(mask[..., z].any(axis)) for axis in (1, 0))
    clicks = [[x[0], y.mean(), z], [x[-1], y.mean(), z], [x.mean(), y[0], z], [x.mean(), y[-1], z]]
    name = next(source.glob("*")).name.removesuffix(".nii.gz")
    (source / "broken.nii.gz").write_text("no image")
    given = {key: [[float(v) for v in click] for click in clicks] for key in (name, "broken")}
    given[name] += [[float(x[0]), float(y[0]), float(z + 1)]]  # one click is no object
    (tmp_path / "clicks.json").write_text(json.dumps(given))
    with pytest.raises(SomeFailed, match="1 of 2 cases failed: broken"):
        predict("prostate_mri_levelset_deepgrow", source, tmp_path / "out", points=tmp_path / "clicks.json")
    warned = f"warning: {name}: "
    assert warned in capsys.readouterr().err
    assert "3 clicks are missing" in read_report(tmp_path / "out")["cases"][1]["warnings"][0]
    found = np.asarray(nib.load(tmp_path / f"out/{name}.nii.gz").dataobj)
    assert np.flatnonzero(found.any((0, 1))).tolist() == [z]
    overlap = 2 * (found[..., z].astype(bool) & (mask[..., z] > 0)).sum()
    assert overlap / (found[..., z].sum() + (mask[..., z] > 0).sum()) > 0.9


def test_cases_of_several_sequences(tmp_path: Path) -> None:
    generate_phantoms("brats", tmp_path / "data", cases=2, seed=1)
    items = json.loads((tmp_path / "data/datalist.json").read_text())
    image = next(item["image"] for section in items.values() if isinstance(section, list) for item in section)
    first = image[0] if isinstance(image, list) else image
    whole = nib.load(tmp_path / "data" / first)
    values = np.asarray(whole.dataobj)
    names = ("flair", "t1", "t1c", "t2")
    for case, kept in (("p1", names), ("p2", names[:2])):
        for k, name in enumerate(kept):
            channel = values[..., k] if values.ndim == 4 else values
            (tmp_path / "in" / case).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(channel, whole.affine), tmp_path / "in" / case / f"{name}.nii.gz")
    with pytest.raises(SomeFailed, match="1 of 2 cases failed: p2: .*the sequence t1c is missing"):
        predict("brats_mri_levelset_segmentation", tmp_path / "in", tmp_path / "out")
    assert nib.load(tmp_path / "out/p1.nii.gz").shape == values.shape[:3]
    alone = predict("brats_mri_levelset_segmentation", tmp_path / "in/p1/t1.nii.gz", tmp_path / "one")
    assert status(alone) == {"p1": "done"}
