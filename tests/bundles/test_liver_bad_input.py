"""What the liver bundle cannot segment is said before anything is written, with the way out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import itk
import nibabel as nib
import numpy as np
import pytest
import torch

from monai_levelset.networks import ShallowFCN
from tests.dicom_files import write_series

from .common import Array, check_nothing_was_trained, reason, run_workflow, write_png
from .liver import LIVER_BUNDLE, write_nifti

Settings = dict[str, Any]
Case = Callable[[Path, Array], tuple[Settings, list[str]]]
AFFINE = np.diag([-2.2, -2.2, 5.0, 1.0])
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")


@pytest.fixture
def ct(liver_data: Path) -> Array:
    return np.asarray(nib.load(liver_data / "images/liver_000.nii.gz").dataobj)[:, :, 10:16]


def mr(data: Path, ct: Array) -> tuple[Settings, list[str]]:
    write_nifti(data / "mr.nii.gz", ct.astype(np.float32).clip(-200) * 3 + 600, AFFINE)
    return {}, ["mr.nii.gz: no CT in HU: its values go from 0 to", "`must_be_hu`"]


def saved_without_rescaling(data: Path, ct: Array) -> tuple[Settings, list[str]]:
    write_nifti(data / "raw.nii.gz", ct + 1024, AFFINE)
    return {}, ["raw.nii.gz: no CT in HU", "Save it with its rescaling"]


def picture_without_its_settings(data: Path, ct: Array) -> tuple[Settings, list[str]]:
    data.mkdir()
    write_png(data / "a.png", (ct[..., 0].clip(0, 280) / 280 * 255).astype(np.uint8))
    return {}, ["a.png: a picture holds no Hounsfield units", "slices.json as a second configuration"]


def ct_with_the_settings_of_pictures(data: Path, ct: Array) -> tuple[Settings, list[str]]:
    write_nifti(data / "ct.nii.gz", ct, AFFINE)
    return {"configs": ["slices"]}, ["ct.nii.gz: values from -1", "leave slices.json out"]


def coronal_slice(data: Path, ct: Array) -> tuple[Settings, list[str]]:
    write_nifti(data / "coronal.nii", ct[:, 80], AFFINE[:, [0, 2, 1, 3]])
    return {}, ["coronal.nii: this slice is not axial", "Give the volume"]


def missing_slice(data: Path, ct: Array) -> tuple[Settings, list[str]]:
    write_series(data / "p1", ct, AFFINE, skip=[3])
    return {}, ["IM0002.dcm and", "IM0004.dcm: 1 slice missing", "Copy the series again"]


def mixed_series(data: Path, ct: Array) -> tuple[Settings, list[str]]:
    write_series(data / "p1", ct, AFFINE)
    write_series(data / "p1", ct[..., :2], AFFINE, names="other{}", SeriesInstanceUID="1.9", PatientID="8")
    return {}, ["p1: slices of 2 series of 2 patients", "folder of its own", "prepare dicom"]


def truncated_slice(data: Path, ct: Array) -> tuple[Settings, list[str]]:
    write_series(data / "p1", ct, AFFINE)
    path = data / "p1/IM0003.dcm"
    path.write_bytes(path.read_bytes()[:300])
    return {}, ["p1", "again"]


def given_series_with_a_missing_slice(data: Path, ct: Array) -> tuple[Settings, list[str]]:
    """Also where the list of images is given and no folder is searched."""
    write_series(data / "p1", ct, AFFINE, skip=[3])
    return {"datalist": [str(data / "p1")]}, ["IM0004.dcm: 1 slice missing"]


def truncated_raw(data: Path, ct: Array) -> tuple[Settings, list[str]]:
    data.mkdir()
    itk.imwrite(itk.image_from_array(np.ascontiguousarray(ct.T)), str(data / "a.mhd"))
    raw = data / "a.raw"
    raw.write_bytes(raw.read_bytes()[:-5000])
    return {}, ["a.mhd: cannot be read", "truncated", "Copy or convert it again"]


def unknown_format(data: Path, ct: Array) -> tuple[Settings, list[str]]:
    data.mkdir()
    np.save(data / "a.npy", ct)
    return {}, ["data: holds no image file (.nii.gz", "no DICOM slices"]


def empty_folder(data: Path, ct: Array) -> tuple[Settings, list[str]]:
    data.mkdir()
    return {}, ["data: holds no image file"]


def no_prior(data: Path, ct: Array) -> tuple[Settings, list[str]]:
    write_nifti(data / "ct.nii.gz", ct, AFFINE)
    return {"shape_prior": data / "prior.pt"}, ["prior.pt: no shape prior here", "Train the bundle"]


def no_weights(data: Path, ct: Array) -> tuple[Settings, list[str]]:
    write_nifti(data / "ct.nii.gz", ct, AFFINE)
    return {"checkpoint": data / "model.pt"}, ["model.pt: the checkpoint does not exist", "train first"]


def weights_of_the_other_bundle(data: Path, ct: Array) -> tuple[Settings, list[str]]:
    write_nifti(data / "ct.nii.gz", ct, AFFINE)
    torch.save(ShallowFCN().state_dict(), data.parent / "lv.pt")
    return {"checkpoint": data.parent / "lv.pt"}, ["lv.pt: this checkpoint belongs to another network"]


CASES: list[Case] = [
    *(mr, saved_without_rescaling, picture_without_its_settings, ct_with_the_settings_of_pictures),
    *(coronal_slice, missing_slice, mixed_series, truncated_slice, given_series_with_a_missing_slice),
    *(truncated_raw, unknown_format, empty_folder, no_prior, no_weights, weights_of_the_other_bundle),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_inference_refuses(case: Case, ct: Array, tmp_path: Path) -> None:
    spoilt, words = case(tmp_path / "data", ct)
    network = ShallowFCN(channels=[16, 32, 64], pools=[2, 2, 2], ups=[[16, 8]])
    torch.save(network.state_dict(), tmp_path / "model.pt")
    torch.save(torch.zeros(1, 1, 72, 72), tmp_path / "prior.pt")
    weights = {"checkpoint": tmp_path / "model.pt", "shape_prior": tmp_path / "prior.pt"}
    settings = {"dataset_dir": tmp_path / "data", "output_dir": tmp_path / "out", **weights, **spoilt}
    configs = ["inference", *settings.pop("configs", [])]
    with pytest.raises(RuntimeError) as error:
        run_workflow(LIVER_BUNDLE, *configs, **settings)
    assert [word for word in words if word not in reason(error.value)] == []
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def no_codes(folder: Path) -> tuple[Settings, list[str]]:
    return {"axcodes": "PPS"}, ["axcodes must be three letters"]


def nothing_large_enough(folder: Path) -> tuple[Settings, list[str]]:
    """Pixels so coarse that no liver is a shape any more."""
    return {"spacing": [30.0, 30.0]}, ["No labelled training mask has", "pixels or more"]


def nothing_unlabelled(folder: Path) -> tuple[Settings, list[str]]:
    return {"keep": "unlabeled"}, ["keep='unlabeled' leaves no case", "`labeled_fraction` below 1"]


def shifted_label(folder: Path) -> tuple[Settings, list[str]]:
    for path in (folder / "labels").iterdir():
        label = nib.load(path)
        write_nifti(path, np.asarray(label.dataobj), label.affine @ np.diag([1, 1, 1.2, 1]))
    return {}, ["problems in the data", ".nii.gz: its affine differs from its image's", "Resample it"]


@pytest.mark.parametrize(
    "case",
    [no_codes, nothing_large_enough, nothing_unlabelled, shifted_label],
    ids=lambda case: case.__name__,
)
def test_training_refuses(
    case: Callable[[Path], tuple[Settings, list[str]]],
    liver_data: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    shutil.copytree(liver_data, tmp_path / "data")
    spoilt, words = case(tmp_path / "data")
    folders = {name: tmp_path / name for name in ("ckpt_dir", "output_dir")}
    settings = {"dataset_dir": tmp_path / "data", "max_updates": 2, "log_interval": 1, **folders, **spoilt}
    with pytest.raises(RuntimeError) as error:
        run_workflow(LIVER_BUNDLE, "train", run_id="training", **settings)
    assert [word for word in words if word not in reason(error.value)] == []
    check_nothing_was_trained(tmp_path, caplog.text)
