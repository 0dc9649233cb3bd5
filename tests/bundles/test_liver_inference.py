"""Inference of the liver bundle: every format, orientation and spacing comes back on its own grid."""

from __future__ import annotations

import itertools
import resource
from pathlib import Path

import itk
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import ResizeWithPadOrCrop
from scipy.ndimage import zoom

from monai_levelset.data import training_items
from monai_levelset.data.grids import read_grid
from monai_levelset.prediction import predict
from tests.dicom_files import write_series

from .common import Array, dice, monai_bundle, read_png, results, run_workflow, write_png
from .liver import LIVER_BUNDLE, on_network_axes, picture, read_mask, write_nifti

SLICES = slice(9, 21, 4)
TILT = np.eye(4)
TILT[:3, :3] = nib.eulerangles.euler2mat(0.15, -0.2, 0.3)
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")


def preprocessing(*names: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([LIVER_BUNDLE / f"configs/{name}.json" for name in ("inference", *names)])
    return parser


def network_input(path: Path, *names: str) -> torch.Tensor:
    """What the network is given of a file, `(1, rows, columns[, slices])`."""
    found = preprocessing(*names).get_parsed_content("preprocessing")({"image": str(path)})["image"]
    assert isinstance(found, torch.Tensor)
    return found.as_tensor()


@pytest.fixture(scope="module")
def case(liver_data: Path) -> tuple[Array, Array, Array]:
    """Three slices 20 mm apart of one phantom: HU, liver, affine."""
    name = "liver_001.nii.gz"
    image, label = (nib.load(liver_data / kind / name) for kind in ("images", "labels"))
    affine = image.affine @ np.diag([1, 1, 4, 1])
    affine[:3, 3] = image.affine[:3] @ [0, 0, SLICES.start, 1]
    return np.asarray(image.dataobj)[..., SLICES], np.asarray(label.dataobj)[..., SLICES], affine


def write_itk(path: Path, values: Array, affine: Array) -> None:
    image = itk.image_from_array(np.ascontiguousarray(values.T))
    lps = (np.diag([-1.0, -1, 1, 1]) @ affine)[:3]
    spacing = np.linalg.norm(lps[:, :3], axis=0)
    image.SetSpacing(spacing[: values.ndim].tolist())
    image.SetOrigin(lps[: values.ndim, 3].tolist())
    direction = (lps[:, :3] / spacing)[: values.ndim, : values.ndim]
    image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(direction)))
    path.parent.mkdir(parents=True, exist_ok=True)
    itk.imwrite(image, str(path))


@pytest.fixture(scope="module")
def predictions(
    case: tuple[Array, Array, Array], liver_trained: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Folder of images in all formats, and folder of results."""
    images, out = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("out")
    values, _, affine = case
    right_handed = affine if np.linalg.det(affine) > 0 else affine @ np.diag([1, 1, -1, 1])
    write_nifti(images / "ct.nii.gz", values, affine)
    write_nifti(images / "float.nii", values.astype(np.float32), affine)
    write_nifti(images / "tilted.nii.gz", values, TILT @ affine)
    write_nifti(images / "single.nii.gz", values[..., 1:2], affine)
    write_nifti(images / "slice.1.nii.gz", values[..., 1], affine)
    for name in ("meta.mha", "detached.mhd", "sub/nearly.nrrd"):
        write_itk(images / name, values, affine)
    write_itk(images / "plane.mha", values[..., 1], affine)
    write_itk(images / "turned.nrrd", values, TILT @ affine)
    write_series(images / "patient 1/CT", values, right_handed)
    (images / "patient 1/CT/LICENSE").write_text("free")
    predict(liver_trained, images, out)
    return images, out


VOLUMES = {
    "ct.nii.gz": "ct.nii.gz",
    "float.nii": "float.nii",
    "tilted.nii.gz": "tilted.nii.gz",
    "meta.mha": "meta.mha",
    "detached.mhd": "detached.mha",
    "sub/nearly.nrrd": "nearly.nrrd",
    "turned.nrrd": "turned.nrrd",
    "patient 1/CT": "patient 1_CT.nii.gz",
}
PLANES = {name: name for name in ("single.nii.gz", "slice.1.nii.gz", "plane.mha")}


def test_every_image_has_its_result(predictions: tuple[Path, Path]) -> None:
    names = {path.name for path in predictions[1].iterdir() if path.name not in ("report.json", ".cases")}
    assert names == {*VOLUMES.values(), *PLANES.values()}


@pytest.mark.parametrize(("name", "result"), (VOLUMES | PLANES).items())
def test_results_lie_on_the_images_grid(predictions: tuple[Path, Path], name: str, result: str) -> None:
    images, out = predictions
    original, found = read_grid(images / name), read_grid(out / result)
    assert found.shape == original.shape
    assert original.affine is not None
    assert found.affine is not None
    np.testing.assert_allclose(found.affine, original.affine, atol=1e-4)
    mask = read_mask(out / result)
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 1}
    if name.endswith((".nii", ".nii.gz")):
        np.testing.assert_array_equal(nib.load(out / result).affine, nib.load(images / name).affine)
        assert nib.load(out / result).get_data_dtype() == np.uint8


def test_formats_and_oblique_grids_change_nothing(
    predictions: tuple[Path, Path], case: tuple[Array, Array, Array]
) -> None:
    _, out = predictions
    expected = read_mask(out / "ct.nii.gz")
    assert dice(expected, case[1]) > 0.7
    for result in VOLUMES.values():
        np.testing.assert_array_equal(read_mask(out / result), expected, err_msg=result)


def test_a_slice_alone_is_segmented_as_in_its_volume(predictions: tuple[Path, Path]) -> None:
    _, out = predictions
    expected = read_mask(out / "ct.nii.gz")[..., 1]
    assert expected.any()
    for name in PLANES:
        np.testing.assert_array_equal(np.squeeze(read_mask(out / name)), expected, err_msg=name)


ORDERS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


def test_all_48_orders_of_the_axes_give_the_same_mask(
    case: tuple[Array, Array, Array], liver_trained: Path, tmp_path: Path
) -> None:
    values, label, affine = (case[0][..., 1:], case[1][..., 1:], case[2])
    for number, (order, flips) in enumerate(ORDERS):
        flip = np.diag([*flips, 1.0])
        flip[:3, 3] = [(n - 1) * (f < 0) for n, f in zip(values.shape, flips, strict=True)]
        turned = values[tuple(slice(None, None, f) for f in flips)].transpose(order)
        write_nifti(tmp_path / f"in/{number:02d}.nii", turned, (affine @ flip)[:, [*order, 3]])
    found = results(liver_trained, tmp_path / "in", tmp_path / "out")
    assert len(found) == 48
    expected = read_mask(found["00"])
    assert dice(expected, label) > 0.7
    for number, (order, flips) in enumerate(ORDERS):
        mask = read_mask(found[f"{number:02d}"]).transpose(np.argsort(order))
        back = mask[tuple(slice(None, None, f) for f in flips)]
        np.testing.assert_array_equal(back, expected, err_msg=f"{order} {flips}")


def test_a_mirrored_grid_is_a_mirrored_body(
    case: tuple[Array, Array, Array], liver_trained: Path, tmp_path: Path
) -> None:
    """Left and right swapped in the affine alone gives what swapped voxels give, and the other way up too."""
    values, _, affine = case
    for axis in (0, 1):
        mirrored = affine @ np.diag([-1.0 if a == axis else 1.0 for a in range(4)])
        write_nifti(tmp_path / f"in/grid{axis}.nii", values, mirrored)
        write_nifti(tmp_path / f"in/voxels{axis}.nii", np.flip(values, axis), affine)
    found = results(liver_trained, tmp_path / "in", tmp_path / "out")
    straight = network_input(write_nifti(tmp_path / "a.nii", values, affine))
    for axis in (0, 1):
        mask = read_mask(found[f"grid{axis}"])
        np.testing.assert_array_equal(mask, np.flip(read_mask(found[f"voxels{axis}"]), axis))
        # the file's x becomes columns (2), its y rows (1)
        seen = network_input(tmp_path / f"in/grid{axis}.nii")
        torch.testing.assert_close(seen, straight.flip(2 - axis))


@pytest.mark.parametrize("factors", [(0.5, 1, 1), (2, 1.5, 1), (0.4, 2.1, 1)])
def test_unequal_pixels(
    factors: tuple[float, ...], case: tuple[Array, Array, Array], liver_trained: Path, tmp_path: Path
) -> None:
    values, label, affine = case
    resized = zoom(values, factors, order=1, grid_mode=True, mode="nearest")
    scale = np.diag([*(n / m for n, m in zip(values.shape, resized.shape, strict=True)), 1.0])
    write_nifti(tmp_path / "in/a.nii", resized, affine @ scale)
    found = results(liver_trained, tmp_path / "in", tmp_path / "out")
    truth = zoom(label.astype(float), factors, order=1, grid_mode=True, mode="nearest") > 0.5
    assert dice(read_mask(found["a"]), truth) > 0.7


def test_pictures(case: tuple[Array, Array, Array], liver_trained: Path, tmp_path: Path) -> None:
    """Slices of 8 bits through `slices.json`, of two sizes."""
    volume, _ = on_network_axes(write_nifti(tmp_path / "ct.nii.gz", *case[::2]))
    truth, _ = on_network_axes(write_nifti(tmp_path / "label.nii.gz", *case[1:]))
    (tmp_path / "in").mkdir()
    grey, mask = picture(volume[..., 1], 235), picture(truth[..., 1], 235, label=True)
    write_png(tmp_path / "in/a.png", grey)
    write_png(tmp_path / "in/wide.png", np.pad(grey, ((0, 9), (20, 30))))
    settings = {"dataset_dir": tmp_path / "in", "output_dir": tmp_path / "out"}
    run_workflow(liver_trained, "inference", "slices", **settings)
    found = read_png(tmp_path / "out/a.png")
    assert (found.shape, found.dtype, set(np.unique(found))) == ((235, 235), np.uint8, {0, 255})
    assert dice(found, mask) > 0.7
    wide = read_png(tmp_path / "out/wide.png")
    assert wide.shape == (244, 285)
    assert dice(wide[:235, 20:255], mask) > 0.7


def test_a_picture_looks_to_the_network_as_its_ct(case: tuple[Array, Array, Array], tmp_path: Path) -> None:
    """Pixels of 1.5 mm are what `slices.json` takes pictures for: sizes, grey values, orientation agree."""
    path = write_nifti(tmp_path / "ct.nii.gz", *case[::2])
    volume, spacing = on_network_axes(path)
    size = round(volume.shape[0] * spacing[0] / 1.5)
    write_png(tmp_path / "a.png", picture(volume[..., 1], size))
    ct, png = network_input(path)[..., 1], network_input(tmp_path / "a.png", "slices")
    assert png.shape == ct.shape == (1, 88, 88)
    assert np.corrcoef(png.flatten(), ct.flatten())[0, 1] > 0.98
    assert float((png - ct).abs().mean()) < 0.1  # of a standard deviation


def test_preprocessing_is_that_of_training(liver_data: Path, tmp_path: Path) -> None:
    """Of a slice cut for training, and of the same slice in its volume."""
    train = ConfigParser()
    train.read_config(LIVER_BUNDLE / "configs/train.json")
    items = training_items(liver_data, "validation", cache_dir=tmp_path, axcodes=train["axcodes"])
    pad = ResizeWithPadOrCrop(train["field_size"], value=-1.6)  # air
    whole = network_input(next((liver_data / "images").glob(items[0]["id"][:9] + "*")))
    assert whole.shape == (1, 88, 88, 28)
    for k in (0, 13, 27):
        seen = train.get_parsed_content("validate#preprocessing")(items[k])["image"]
        torch.testing.assert_close(torch.as_tensor(seen), pad(whole[..., k]).as_tensor())


def test_the_network_is_the_papers_size() -> None:
    network = preprocessing().get_parsed_content("network_def")
    assert sum(parameter.numel() for parameter in network.parameters()) == 23_938


@pytest.mark.slow
def test_a_large_scan_needs_little_memory(liver_trained: Path, tmp_path: Path) -> None:
    """512 x 512 x 200 voxels: 200 MiB as float32, of which several copies exist at a time."""
    values = np.random.default_rng(0).integers(-900, 200, (64, 64, 25)).repeat(8, 0).repeat(8, 1).repeat(8, 2)
    write_nifti(tmp_path / "in/a.nii", values.astype(np.int16), np.diag([-0.8, -0.8, 1.0, 1.0]))
    done = monai_bundle(
        *("run", "--bundle_root", liver_trained, "--config_file", liver_trained / "configs/inference.json"),
        *("--dataset_dir", tmp_path / "in", "--output_dir", tmp_path / "out"),
    )
    assert done.returncode == 0, done.stderr
    assert read_grid(tmp_path / "out/a.nii").shape == (512, 512, 200)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # GiB
    assert peak < 4
