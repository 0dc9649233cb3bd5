"""The liver bundle on real CT, where there is any: what is read, how it lies, and where the result lies."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from numpy.typing import NDArray
from scipy import ndimage

from monai_levelset.data.grids import read_array, read_grid
from monai_levelset.data.readers.dicom import read_chaos
from monai_levelset.data.readers.slices8bit import read_liver_slices

from .common import Array, dice, read_png, results, run_workflow
from .liver import LIVER_BUNDLE, on_network_axes, read_mask

SCANS = ("chaos_case/DICOM_anon", "dcmqi_3slice/ct-3slice", "totalsegmentator_example/example_ct_sm.nii.gz")


@pytest.fixture(scope="module")
def liver_root(data_root: Path) -> Path:
    if not (data_root / "liver").is_dir():
        pytest.skip("no real liver CT")
    return data_root / "liver"


@pytest.fixture(scope="module")
def chaos_label(liver_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The PNG masks of the CHAOS case as a NIfTI volume."""
    (case,) = read_chaos(liver_root / "chaos_case").cases
    (_, (label,)) = case.convert(case, tmp_path_factory.mktemp("chaos"))
    return label


def network_input(path: Path, *names: str) -> NDArray[np.float32]:
    """What the network is given, in units of the window: 0 to 1."""
    parser = ConfigParser()
    parser.read_config([LIVER_BUNDLE / f"configs/{name}.json" for name in ("inference", *names)])
    image = parser.get_parsed_content("preprocessing")({"image": str(path)})["image"]
    assert isinstance(image, torch.Tensor)
    return np.asarray(image[0]) * 0.25 + 0.4


def label_of(root: Path, scan: str, chaos_label: Path) -> Array:
    """The liver on the network's axes."""
    files = {SCANS[0]: chaos_label, SCANS[1]: root / "dcmqi_3slice/liver_seg.nrrd"}
    if scan in files:
        return on_network_axes(files[scan])[0] > 0
    return on_network_axes(root / "totalsegmentator_example/example_seg.nii.gz")[0] == 5


def body_of(image: NDArray[np.float32]) -> tuple[Array, Array]:
    """First and last row and column of what is thicker than three pixels, as the table is not."""
    thick = ndimage.binary_opening(image > 0.15, np.ones((3, 3, 1)[: image.ndim]))
    inside = np.argwhere(thick)
    return np.percentile(inside, 1, axis=0)[:2], np.percentile(inside, 99, axis=0)[:2]


@pytest.mark.parametrize("scan", SCANS)
def test_reading_gives_hounsfield_units(liver_root: Path, scan: str, chaos_label: Path) -> None:
    values, _ = on_network_axes(liver_root / scan)
    label = label_of(liver_root, scan, chaos_label)
    assert label.shape == values.shape
    corner = values[: values.shape[0] // 12, : values.shape[1] // 12]
    assert np.median(corner) < -950  # air
    assert values.max() > 500  # bone
    assert 30 < np.median(values[label]) < 160  # liver, with and without contrast


@pytest.mark.parametrize("scan", SCANS)
def test_the_spine_is_at_the_bottom_and_the_liver_at_the_left(
    liver_root: Path, scan: str, chaos_label: Path
) -> None:
    image = network_input(liver_root / scan)
    assert 70 < image.shape[0] < 110  # pixels of 4 mm
    label = label_of(liver_root, scan, chaos_label)
    low, high = body_of(image)
    centre = np.argwhere(label).mean(0)[:2] / np.array(label.shape[:2]) * image.shape[:2]
    place = (centre - low) / (high - low)
    assert 0.15 < place[0] < 0.75
    assert place[1] < 0.42
    middle = slice(round(low[1] + 0.4 * (high - low)[1]), round(low[1] + 0.6 * (high - low)[1]))
    bone = np.argwhere(image[:, middle] > 0.98)[:, 0]
    assert (np.median(bone) - low[0]) / (high - low)[0] > 0.6


@pytest.mark.parametrize("orientation", ["flipped", "mirrored"])
def test_pictures_look_as_ct_does(
    liver_root: Path, orientation: str, chaos_label: Path, tmp_path: Path
) -> None:
    """Prepared and through `slices.json` they are as large and lie as CT; the liver is about as bright."""
    sizes, places, grey = [], [], []
    cases = read_liver_slices(liver_root / "msd_slices").cases
    files = [case for case in cases if case.extra["orientation"] == orientation][::10]
    for case in files:
        assert case.convert is not None
        (picture,), (mask,) = case.convert(case, tmp_path)
        label = read_png(mask).T > 0
        low, high = body_of(network_input(picture, "slices"))
        sizes.append(high - low)
        places.append((np.argwhere(label).mean(0) / 256 * 96 - low) / (high - low))
        grey.append(np.median(read_png(picture).T[label]))
    assert len(files) > 20
    ct = network_input(liver_root / SCANS[0])
    low, high = body_of(ct)
    np.testing.assert_allclose(np.median(sizes, axis=0) / (high - low), 1, atol=0.2)
    found = np.median(places, axis=0)
    assert found[0] < 0.5
    assert found[1] < 0.35
    values, _ = on_network_axes(liver_root / SCANS[0])
    of_ct = np.median(values[label_of(liver_root, SCANS[0], chaos_label)]) / 280 * 255
    assert 0.7 < of_ct / np.median(grey) < 1.4


def test_results_lie_on_the_scans(liver_root: Path, liver_trained: Path, tmp_path: Path) -> None:
    run_workflow(
        *(liver_trained, "inference"),
        dataset_dir=liver_root,
        datalist=[str(liver_root / scan) for scan in SCANS],
        output_dir=tmp_path,
    )
    names = ("chaos_case_DICOM_anon.nii.gz", "dcmqi_3slice_ct-3slice.nii.gz", "example_ct_sm.nii.gz")
    assert {path.name for path in tmp_path.iterdir()} == set(names)
    for scan, name in zip(SCANS, names, strict=True):
        original, found = read_grid(liver_root / scan), read_grid(tmp_path / name)
        assert found.shape == original.shape
        np.testing.assert_allclose(found.affine, original.affine, atol=1e-4)  # type: ignore[arg-type]
        assert nib.load(tmp_path / name).get_data_dtype() == np.uint8
        assert set(np.unique(read_mask(tmp_path / name))) <= {0, 1}


@pytest.mark.skipif(not (LIVER_BUNDLE / "models/model.pt").is_file(), reason="the bundle has no weights")
def test_the_shipped_weights_find_the_liver(liver_root: Path, chaos_label: Path, tmp_path: Path) -> None:
    """Trained on 8-bit slices of other patients."""
    found = results(LIVER_BUNDLE, liver_root / SCANS[0], tmp_path)
    truth, _ = read_array(chaos_label)
    assert dice(read_mask(found["DICOM_anon"]), truth) > 0.85
