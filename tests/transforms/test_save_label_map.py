"""Label maps on disk: their image's name, kind of file and grid."""

from __future__ import annotations

from pathlib import Path

import itk
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import LoadImage
from PIL import Image

from monai_levelset.transforms import SaveLabelMapd
from tests.dicom_files import LPS, write_series

TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
AFFINE = np.eye(4)
AFFINE[:3, :3], AFFINE[:3, 3] = TURN @ np.diag([0.7, 0.9, 2.5]), [12.25, -33.5, 101.75]


def scan(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16)


def itk_image(values: np.ndarray) -> itk.Image:
    rank = values.ndim
    image = itk.image_from_array(np.ascontiguousarray(values.T))
    lps = (LPS @ AFFINE)[:3]
    image.SetOrigin(lps[:rank, 3].tolist())
    image.SetSpacing(np.linalg.norm(lps[:, :rank], axis=0).tolist())
    directions = lps[:rank, :rank] / np.linalg.norm(lps[:, :rank], axis=0)
    image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(directions)))
    return image


def mask_of(path: Path) -> tuple[MetaTensor, np.ndarray]:
    image = LoadImage(ensure_channel_first=True)(path)
    mask = image > 0
    return MetaTensor(mask.float(), meta=image.meta), mask[0].numpy()


@pytest.mark.parametrize("name", ["a.b.nii.gz", "c.nii"])
@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4, 1), (5, 4)])
def test_nifti(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    nib.save(nib.Nifti1Image(scan(shape), AFFINE), tmp_path / name)
    mask, expected = mask_of(tmp_path / name)
    SaveLabelMapd("pred", tmp_path / "out")({"pred": mask})
    saved = nib.load(tmp_path / "out" / name)
    np.testing.assert_array_equal(np.asarray(saved.dataobj), expected)
    np.testing.assert_array_equal(saved.affine, nib.load(tmp_path / name).affine)
    assert (saved.shape, saved.get_data_dtype()) == (shape, np.uint8)


@pytest.mark.parametrize(
    ("name", "result"),
    [("a.mha", "a.mha"), ("a.mhd", "a.mha"), ("a.nrrd", "a.nrrd"), ("A.1.NRRD", "A.1.nrrd")],
)
@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4, 1), (5, 4)])
def test_formats_of_itk(tmp_path: Path, name: str, result: str, shape: tuple[int, ...]) -> None:
    original = itk_image(scan(shape))
    itk.imwrite(original, str(tmp_path / name.lower()))
    (tmp_path / name.lower()).rename(tmp_path / name)
    mask, expected = mask_of(tmp_path / name)
    SaveLabelMapd("pred", tmp_path / "out")({"pred": mask})
    assert [path.name for path in (tmp_path / "out").iterdir()] == [result]
    saved = itk.imread(str(tmp_path / "out" / result))
    np.testing.assert_array_equal(itk.array_from_image(saved).T, expected)
    assert itk.array_from_image(saved).dtype == np.uint8
    for what in ("GetOrigin", "GetSpacing"):
        np.testing.assert_allclose(getattr(saved, what)(), getattr(original, what)(), atol=1e-6)
    directions = [itk.array_from_matrix(i.GetDirection()) for i in (saved, original)]
    np.testing.assert_allclose(*directions, atol=1e-6)


def test_dicom_folders_become_nifti_under_their_path(tmp_path: Path) -> None:
    affine = LPS @ AFFINE  # right-handed, so that slices rise with their number
    for folder in ("p1/CT.1", "p2/CT.1"):
        write_series(tmp_path / "in" / folder, scan((5, 4, 3)), affine)
        mask, expected = mask_of(tmp_path / "in" / folder)
        SaveLabelMapd("pred", tmp_path / "out", data_root_dir=tmp_path / "in")({"pred": mask})
        SaveLabelMapd("pred", tmp_path / folder[:2], output_postfix="x")({"pred": mask})
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["p1_CT.1.nii.gz", "p2_CT.1.nii.gz"]
    assert [path.name for path in (tmp_path / "p2").iterdir()] == ["CT.1_x.nii.gz"]
    saved = nib.load(tmp_path / "out/p2_CT.1.nii.gz")
    np.testing.assert_allclose(saved.affine, affine, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(saved.dataobj), expected)
    np.testing.assert_array_equal(np.asarray(saved.dataobj), scan((5, 4, 3)) > 0)


@pytest.mark.parametrize("binary", [True, False])
def test_pictures_become_png(tmp_path: Path, binary: bool) -> None:
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "a.jpg")
    mask, _ = mask_of(tmp_path / "a.jpg")
    mask[:, 1, 2] = 1
    SaveLabelMapd("pred", tmp_path / "out", binary=binary)({"pred": mask})
    saved = np.asarray(Image.open(tmp_path / "out/a.png"))
    assert (saved.shape, saved.dtype) == ((4, 6), np.uint8)
    assert saved[2, 1] == saved.sum() == (255 if binary else 1)


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nib.save(nib.Nifti1Image(scan((5, 4, 3)), AFFINE), tmp_path / "a.nii.gz")
    mask, _ = mask_of(tmp_path / "a.nii.gz")

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(nib, "save", full)
    with pytest.raises(OSError, match="no space left"):
        SaveLabelMapd("pred", tmp_path / "out")({"pred": mask})
    assert list((tmp_path / "out").iterdir()) == []


def test_missing_keys(tmp_path: Path) -> None:
    assert SaveLabelMapd("pred", tmp_path, allow_missing_keys=True)({"a": 1}) == {"a": 1}
    with pytest.raises(KeyError):
        SaveLabelMapd("pred", tmp_path)({"a": torch.zeros(1)})


def test_more_regions_than_eight_bits(tmp_path: Path) -> None:
    mask = MetaTensor(torch.arange(300.0).reshape(1, 20, 15), meta={"filename_or_obj": "scans/a.png"})
    with pytest.raises(
        ValueError, match=r"a.png: the label map holds the value 299, an 8-bit file 255 at most"
    ):
        SaveLabelMapd("pred", tmp_path, binary=False)({"pred": mask})
    assert list(tmp_path.iterdir()) == []


def test_named_after_an_entry(tmp_path: Path) -> None:
    mask = MetaTensor(torch.ones(1, 4, 4, 2), meta={"filename_or_obj": "case_1/flair.nii.gz"})
    SaveLabelMapd("pred", tmp_path, name_key="id")({"pred": mask, "id": "case_1"})
    assert [path.name for path in tmp_path.iterdir()] == ["case_1.nii.gz"]
