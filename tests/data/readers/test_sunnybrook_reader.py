"""The reader hands `prepare` the slices that `convert_sunnybrook` writes, and sees mixed patients."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_levelset.data import DataError, convert_sunnybrook, load_datalist, prepare
from monai_levelset.data.readers.sunnybrook import read_sunnybrook


def layouts() -> Any:
    """The functions of the neighbouring test that write the official layouts."""
    spec = spec_from_file_location("layouts", Path(__file__).parents[1] / "test_sunnybrook.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def source(tmp_path: Path) -> Path:
    module = layouts()
    root: Path = module.write_challenge_layout(tmp_path / "source")
    for number, image in enumerate(sorted(root.rglob("*.dcm"))):
        module.write_dicom(image, number)  # no two patients have the same image
    return root


def set_patient(image: Path, value: str) -> None:
    import pydicom

    dataset = pydicom.dcmread(image)
    dataset.PatientID = value
    dataset.save_as(image)


def test_prepare_writes_what_the_conversion_writes(source: Path, tmp_path: Path) -> None:
    ours = prepare("sunnybrook", source, tmp_path / "ours", workers=1)
    theirs = convert_sunnybrook(source, tmp_path / "theirs")
    assert ours.counts == theirs.counts
    for section in ours.counts:
        pairs = zip(
            load_datalist(ours.datalist, section), load_datalist(theirs.datalist, section), strict=True
        )
        for mine, other in pairs:
            assert (mine["id"], mine["patient"]) == (other["id"], other["patient"])
            assert mine["spacing"][:2] == other["spacing"]
            for role in ("image", "label"):
                first, second = nib.load(mine[role]), nib.load(other[role])
                np.testing.assert_array_equal(first.get_fdata(), second.get_fdata())
                np.testing.assert_array_equal(first.affine, second.affine)


def test_a_series_with_another_patients_image_is_refused(source: Path, tmp_path: Path) -> None:
    images = sorted((source / "challenge_training" / "SC-HF-I-1").iterdir())
    for image in images:
        set_patient(image, "A1")
    assert len(read_sunnybrook(source).cases) == 6
    set_patient(images[0], "B2")
    with pytest.raises(DataError, match="says patient [AB][12], the other images of SC-HF-I-01 say"):
        prepare("sunnybrook", source, tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


def test_one_broken_image_and_one_odd_contour_are_told_together(source: Path, tmp_path: Path) -> None:
    image = source / "challenge_training" / "SC-HF-I-1" / "IM-0004-0048.dcm"
    image.write_bytes(image.read_bytes()[:-100])
    contour = next(source.rglob("SC-N-10/contours-manual/IRCCI-expert/IM-0001-0008-icontour-manual.txt"))
    contour.write_text("900 900\n910 900\n910 910\n")
    with pytest.raises(DataError) as caught:
        prepare("sunnybrook", source, tmp_path / "out", workers=1)
    assert f"{image}: not a readable DICOM image" in str(caught.value)
    assert f"{contour}: the contour lies outside its image" in str(caught.value)
