"""DICOM-SEG that another program reads."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_levelset.data.image_files import find_files
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.prediction import predict
from tests.dicom_files import write_series

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")


def test_a_segmentation_lies_on_its_slices(tmp_path: Path) -> None:
    hd = pytest.importorskip("highdicom")
    generate_phantoms("liver", tmp_path / "data", cases=1, seed=3)
    scan = nib.load(next((tmp_path / "data/images").glob("*.nii.gz")))
    affine = scan.affine.copy()
    values = np.asarray(scan.dataobj)
    for axis in range(2):  # as scanners write them: columns to the left, rows to the back
        if affine[axis, axis] > 0:
            affine[:3, 3] += affine[:3, axis] * (values.shape[axis] - 1)
            affine[:3, axis] *= -1
            values = np.flip(values, axis)
    write_series(tmp_path / "in/patient/CT", values.astype(np.int16), affine)
    report = predict("liver_ct_levelset_segmentation", tmp_path / "in", tmp_path / "out", dicom_seg=True)
    assert report["cases"][0]["files"] == ["patient_CT.nii.gz", "patient_CT.dcm"]
    mask = nib.load(tmp_path / "out/patient_CT.nii.gz")
    expected = np.asarray(mask.dataobj)
    assert expected.any()
    segmentation = hd.seg.segread(tmp_path / "out/patient_CT.dcm")
    assert segmentation.get_segment_description(1).SegmentLabel == "liver"
    assert segmentation.PatientID == "7"
    volume = segmentation.get_volume(combine_segments=True)
    found = np.zeros_like(expected)
    to_voxel = np.linalg.inv(mask.affine)
    for index in np.argwhere(volume.array > 0):
        lps = (volume.affine @ [*index, 1])[:3]
        found[tuple(np.rint(to_voxel @ [-lps[0], -lps[1], lps[2], 1])[:3].astype(int))] = 1
    np.testing.assert_array_equal(found, expected)
    assert list(find_files(tmp_path / "out")) == ["patient_CT"]  # a segmentation is no image


def test_without_highdicom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "highdicom", None)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.nii.gz").touch()
    with pytest.raises(ValueError, match="--dicom_seg needs highdicom"):
        predict("lv_mri_levelset_segmentation", tmp_path / "in", tmp_path / "out", dicom_seg=True)
