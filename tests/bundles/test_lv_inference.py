"""Inference of the left-ventricle bundle: every format and orientation comes back on its own grid."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from .common import dice, read_png, results, run_workflow, write_png
from .lv import ventricle

OBLIQUE = np.array([[1.2, 0.5, 1.0, -80.0], [-0.6, 1.2, 2.0, 30.0], [0.35, -0.4, 7.7, 5.0], [0, 0, 0, 1.0]])


def write_nifti(path: Path, values: np.ndarray, affine: np.ndarray = OBLIQUE) -> None:
    nib.save(nib.Nifti1Image(values.astype(np.int16), affine), path)


def volume(seed: int, size: tuple[int, int] = (150, 134), depth: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    images, masks = zip(*(ventricle(rng, size) for _ in range(depth)), strict=True)
    return np.stack(images, 2), np.stack(masks, 2)


@pytest.fixture(scope="module")
def predictions(
    lv_trained: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, dict[str, np.ndarray]]:
    """Folder of images, folder of results, and the true masks."""
    images, out = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("out")
    values, masks = volume(0)
    truth = {
        "last.nii.gz": masks,
        "first.nii": masks.transpose(2, 0, 1),
        "middle.nii.gz": masks.transpose(0, 2, 1),
    }
    write_nifti(images / "last.nii.gz", values)
    write_nifti(images / "first.nii", values.transpose(2, 0, 1), OBLIQUE[:, [2, 0, 1, 3]])
    write_nifti(images / "middle.nii.gz", values.transpose(0, 2, 1), OBLIQUE[:, [0, 2, 1, 3]])
    write_nifti(images / "slice.1.nii.gz", values[..., 1])
    write_nifti(images / "single.nii.gz", values[..., 1:2])
    truth |= {"slice.1.nii.gz": masks[..., 1], "single.nii.gz": masks[..., 1:2]}
    for name, size in (("wide.png", (200, 150)), ("small.png", (96, 110))):
        image, truth[name] = ventricle(np.random.default_rng(5), size)
        write_png(images / name, image)
    found = results(lv_trained, images, out)
    assert {path.name for path in found.values()} == set(truth)
    return images, out, truth


@pytest.mark.parametrize(
    "name", ["last.nii.gz", "first.nii", "middle.nii.gz", "slice.1.nii.gz", "single.nii.gz"]
)
def test_nifti_results_lie_on_the_images_grid(predictions: tuple[Path, Path, dict], name: str) -> None:
    images, out, truth = predictions
    image, result = nib.load(images / name), nib.load(out / name)
    assert result.shape == image.shape
    np.testing.assert_array_equal(result.affine, image.affine)
    assert result.get_data_dtype() == np.uint8
    mask = np.asarray(result.dataobj)
    assert set(np.unique(mask)) == {0, 1}
    assert dice(mask, truth[name]) > 0.7


@pytest.mark.parametrize("name", ["wide.png", "small.png"])
def test_png_results_have_the_images_size(predictions: tuple[Path, Path, dict], name: str) -> None:
    images, out, truth = predictions
    image, mask = read_png(images / name), read_png(out / name)
    assert mask.shape == image.shape
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}
    assert dice(mask, truth[name]) > 0.7


def test_axis_order_and_being_alone_change_nothing(predictions: tuple[Path, Path, dict]) -> None:
    _, out, _ = predictions
    read = {path.name: np.asarray(nib.load(path).dataobj) for path in out.glob("*.nii*")}
    np.testing.assert_array_equal(read["first.nii"].transpose(1, 2, 0), read["last.nii.gz"])
    np.testing.assert_array_equal(read["middle.nii.gz"].transpose(0, 2, 1), read["last.nii.gz"])
    np.testing.assert_array_equal(read["slice.1.nii.gz"], read["last.nii.gz"][..., 1])
    np.testing.assert_array_equal(read["single.nii.gz"][..., 0], read["last.nii.gz"][..., 1])


def test_resampling_comes_back(lv_trained: Path, tmp_path: Path) -> None:
    """Pixels of half the size, in a volume and in a slice: `spacing` makes it as large as known."""
    values, masks = volume(3, size=(140, 130), depth=2)
    fine = [np.kron(array, np.ones((2, 2, 1), array.dtype)) for array in (values, masks)]
    affine = np.diag([0.7, -0.7, 8.0, 1.0])
    (tmp_path / "images").mkdir()
    write_nifti(tmp_path / "images/volume.nii.gz", fine[0], affine)
    write_nifti(tmp_path / "images/slice.nii.gz", fine[0][..., 0], affine)
    settings = {"dataset_dir": tmp_path / "images", "output_dir": tmp_path / "out", "output_postfix": "lv"}
    run_workflow(lv_trained, "inference", spacing=[1.4, 1.4], **settings)
    for name, truth in (("volume_lv.nii.gz", fine[1]), ("slice_lv.nii.gz", fine[1][..., 0])):
        result = nib.load(tmp_path / "out" / name)
        assert result.shape == truth.shape
        np.testing.assert_array_equal(
            result.affine, nib.load(tmp_path / "images" / name.replace("_lv", "")).affine
        )
        assert dice(np.asarray(result.dataobj), truth) > 0.7


def test_preprocessing_is_that_of_training(lv_trained: Path, lv_data: Path) -> None:
    train, inference = ConfigParser(), ConfigParser()
    train.read_config(lv_trained / "configs/train.json")
    inference.read_config(lv_trained / "configs/inference.json")
    case = {"image": str(lv_data / "test-0.png"), "label": str(lv_data / "test-0-label.png")}
    trained_on = train.get_parsed_content("validate#preprocessing")(case)["image"]
    seen = inference.get_parsed_content("preprocessing")({"image": case["image"]})["image"]
    assert seen.shape == (1, 120, 120)
    torch.testing.assert_close(seen.as_tensor(), torch.as_tensor(trained_on))
