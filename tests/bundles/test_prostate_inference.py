"""Inference of the prostate bundle with a network that needs no training: where results lie, and of what."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, verify_net_in_out
from monai.transforms import SaveImaged
from PIL import Image

from monai_levelset.cli import main
from monai_levelset.data import simulated_clicks, write_clicks
from monai_levelset.data.grids import read_grid
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.evaluation import evaluate
from monai_levelset.prediction import predict
from tests.dicom_files import write_series

from .clicks import in_world, with_stub
from .common import Array, dice, read_png, reason, results, run_workflow, write_png
from .liver import read_mask, write_nifti
from .prostate import AFFINE, PROSTATE_BUNDLE, SHAPE, gland, scan, write_itk

TILT = np.eye(4)
TILT[:3, :3] = nib.eulerangles.euler2mat(0.15, -0.2, 0.3)
PROSTATE = {"prostate": [1]}
Points = list[list[float]]
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_stub(PROSTATE_BUNDLE, tmp_path_factory.mktemp("prostate"))


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Points:
    """The extreme points of every slice of the gland."""
    file = write_nifti(tmp_path_factory.mktemp("label") / "a.nii", gland(), AFFINE)
    found = simulated_clicks([file], PROSTATE)["a"]
    assert isinstance(found, dict)
    return found["prostate"]


@pytest.fixture(scope="module")
def expected(bundle: Path, clicks: Points, tmp_path_factory: pytest.TempPathFactory) -> Array:
    """What the clicks on all slices give."""
    mask = segment(bundle, tmp_path_factory.mktemp("expected"), clicks)
    assert dice(mask, gland()) > 0.97
    return mask


def segment(bundle: Path, folder: Path, clicks: Any, **settings: Any) -> Array:
    """The mask of the gland's scan for these clicks."""
    write_nifti(folder / "in/a.nii.gz", scan(gland()), AFFINE)
    write_clicks({"a": clicks}, folder / "clicks.json")
    places = {"dataset_dir": folder / "in", "output_dir": folder / "out", "clicks": folder / "clicks.json"}
    run_workflow(bundle, "inference", **places, **settings)
    return read_mask(folder / "out/a.nii.gz")


def of_slices(clicks: Points, *slices: int) -> Points:
    return [click for click in clicks if click[2] in slices]


def slices_of(mask: Array) -> list[int]:
    """Slices that hold anything."""
    return np.flatnonzero(mask.any((0, 1))).tolist()


@pytest.fixture(scope="module")
def predictions(bundle: Path, clicks: Points, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folder of images in all formats, and folder of results."""
    images, out = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("out")
    values, plane = scan(gland()), [click[:2] for click in of_slices(clicks, 3)]
    right_handed = AFFINE if np.linalg.det(AFFINE) > 0 else AFFINE @ np.diag([1, 1, -1, 1])
    write_nifti(images / "mr.nii.gz", values, AFFINE)
    write_nifti(images / "float.nii", values.astype(np.float32), AFFINE)
    write_nifti(images / "tilted.nii.gz", values, TILT @ AFFINE)
    write_nifti(images / "single.nii.gz", values[..., 3:4], AFFINE)
    write_nifti(images / "slice.1.nii.gz", values[..., 3], AFFINE)
    for name in ("meta.mha", "detached.mhd", "sub/nearly.nrrd"):
        write_itk(images / name, values, AFFINE)
    write_itk(images / "turned.nrrd", values, TILT @ AFFINE)
    write_itk(images / "plane.mha", values[..., 3], AFFINE)
    write_series(images / "patient 1/T2", values, right_handed)
    write_png(images / "picture.png", values[..., 3].astype(np.uint8))
    grey = Image.fromarray(np.ascontiguousarray(values[..., 3].astype(np.uint8).T))
    Image.merge("RGB", [grey] * 3).save(images / "photo.jpg", quality=95)
    made: dict[str, Any] = {Path(name).name.split(".")[0]: clicks for name in VOLUMES if "T2" not in name}
    made |= {"patient 1_T2": {"prostate": clicks}, "single": [[*click, 0] for click in plane]}
    made |= {"slice.1": plane, "plane": {"prostate": plane}, "picture": plane, "photo": plane}
    write_clicks(made, out / "clicks.json")
    predict(bundle, images, out / "masks", points=out / "clicks.json")
    return images, out / "masks"


VOLUMES = {
    "mr.nii.gz": "mr.nii.gz",
    "float.nii": "float.nii",
    "tilted.nii.gz": "tilted.nii.gz",
    "meta.mha": "meta.mha",
    "detached.mhd": "detached.mha",
    "sub/nearly.nrrd": "nearly.nrrd",
    "turned.nrrd": "turned.nrrd",
    "patient 1/T2": "patient 1_T2.nii.gz",
}
PLANES = {name: name for name in ("single.nii.gz", "slice.1.nii.gz", "plane.mha")}
PICTURES = {"picture.png": "picture.png", "photo.jpg": "photo.png"}


def test_every_image_has_its_result(predictions: tuple[Path, Path]) -> None:
    names = {path.name for path in predictions[1].iterdir() if path.name not in ("report.json", ".cases")}
    assert names == {*VOLUMES.values(), *PLANES.values(), *PICTURES.values()}


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


def test_formats_and_oblique_grids_change_nothing(predictions: tuple[Path, Path], expected: Array) -> None:
    for result in VOLUMES.values():
        np.testing.assert_array_equal(read_mask(predictions[1] / result), expected, err_msg=result)


def test_a_slice_or_picture_alone_is_segmented_as_in_its_volume(
    predictions: tuple[Path, Path], expected: Array
) -> None:
    _, out = predictions
    for name in PLANES:
        np.testing.assert_array_equal(np.squeeze(read_mask(out / name)), expected[..., 3], err_msg=name)
    np.testing.assert_array_equal(read_png(out / "picture.png"), expected[..., 3] * 255)
    assert dice(read_png(out / "photo.png"), expected[..., 3]) > 0.97


ORDERS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


@pytest.mark.parametrize("space", ["voxel", "world"])
@pytest.mark.parametrize("tilt", [np.eye(4), TILT], ids=["straight", "tilted"])
def test_all_48_orders_of_the_axes_give_the_same_mask(
    space: str, tilt: Array, bundle: Path, clicks: Points, expected: Array, tmp_path: Path
) -> None:
    values, made = scan(gland()), {}
    for number, (order, flips) in enumerate(ORDERS):
        flip = np.diag([*flips, 1.0])
        flip[:3, 3] = [(n - 1) * (f < 0) for n, f in zip(SHAPE, flips, strict=True)]
        turned = values[tuple(slice(None, None, f) for f in flips)].transpose(order)
        affine = (tilt @ AFFINE @ flip)[:, [*order, 3]]
        write_nifti(tmp_path / f"in/{number:02d}.nii", turned, affine)
        stored = [[(flip @ [*click, 1])[a] for a in order] for click in clicks]  # a flip is its own inverse
        made[f"{number:02d}"] = stored if space == "voxel" else in_world(affine, stored)
    write_clicks(made, tmp_path / "clicks.json")
    places = {"dataset_dir": tmp_path / "in", "output_dir": tmp_path / "out"}
    run_workflow(bundle, "inference", **places, clicks=tmp_path / "clicks.json", space=space)
    for number, (order, flips) in enumerate(ORDERS):
        mask = read_mask(tmp_path / f"out/{number:02d}.nii").transpose(np.argsort(order))
        back = mask[tuple(slice(None, None, f) for f in flips)]
        np.testing.assert_array_equal(back, expected, err_msg=f"{order} {flips}")


@pytest.mark.parametrize("slices", [(3,), (2, 4), (1, 2, 5)])
def test_only_what_was_clicked_is_segmented(
    slices: tuple[int, ...], bundle: Path, clicks: Points, expected: Array, tmp_path: Path
) -> None:
    mask = segment(bundle, tmp_path, of_slices(clicks, *slices))
    np.testing.assert_array_equal(mask, expected * np.isin(np.arange(SHAPE[2]), slices))


def test_slices_between_clicked_ones_are_filled(bundle: Path, clicks: Points, tmp_path: Path) -> None:
    mask = segment(bundle, tmp_path, of_slices(clicks, 1, 5), interpolate=True)
    assert slices_of(mask) == [1, 2, 3, 4, 5]
    for k in range(1, 6):
        assert dice(mask[..., k], gland()[..., k]) > 0.93


def test_the_order_of_clicks_does_not_matter(
    bundle: Path, clicks: Points, expected: Array, tmp_path: Path
) -> None:
    shuffled = [clicks[k] for k in np.random.default_rng(0).permutation(len(clicks))]
    np.testing.assert_array_equal(segment(bundle, tmp_path, {"prostate": shuffled}), expected)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_slice_without_all_four_clicks_stays_empty(
    number: int,
    bundle: Path,
    clicks: Points,
    expected: Array,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mask = segment(bundle, tmp_path, of_slices(clicks, 2) + of_slices(clicks, 4)[:number])
    np.testing.assert_array_equal(mask, expected * (np.arange(SHAPE[2]) == 2))
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING and "clicked" in r.msg]
    assert len(told) == 1
    assert "a.nii.gz: no result where not all four were clicked" in told[0]
    assert f"{4 - number} click{'s are' if number < 3 else ' is'} missing (slice 4" in told[0]


def test_an_image_without_clicks_among_others_is_empty(bundle: Path, clicks: Points, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_nifti(tmp_path / f"in/{name}.nii.gz", scan(gland()), AFFINE)
    write_clicks({"a": clicks}, tmp_path / "clicks.json")
    found = results(bundle, tmp_path / "in", tmp_path / "out", points=tmp_path / "clicks.json")
    assert read_mask(found["a"]).any()
    nothing = read_mask(found["b"])
    assert nothing.shape == SHAPE
    assert not nothing.any()


ODD: dict[str, Points] = {
    "repeated": [[20, 15, 3]] * 4,
    "collinear": [[10, 12, 3], [15, 14, 3], [20, 16, 3], [25, 18, 3]],
    "on one row": [[10, 15, 3], [15, 15, 3], [20, 15, 3], [25, 15, 3]],
    "segments apart": [[10, 5, 3], [11, 25, 3], [9, 14, 3], [10, 16, 3]],
    "outside": [[-9, 15, 3], [99, 17, 3], [18, -4, 3], [17, 60, 3]],
    "all beyond one corner": [[90, 80, 3], [95, 81, 3], [92, 70, 3], [93, 99, 3]],
    "between pixels": [[10.2, 15.7, 3.2], [25.5, 16.1, 2.8], [17.4, 9.5, 3], [18, 22.3, 3]],
    "five": [[10, 15, 3], [25, 15, 3], [18, 9, 3], [18, 23, 3], [18, 15, 3]],
}


@pytest.mark.parametrize("points", ODD.values(), ids=ODD.keys())
def test_odd_clicks_give_a_result_near_them(points: Points, bundle: Path, tmp_path: Path) -> None:
    mask = segment(bundle, tmp_path, points)
    assert mask.shape == SHAPE
    assert set(slices_of(mask)) <= {3}
    inside = np.array(points)[:, :2].clip(0, np.array(SHAPE[:2]) - 1)
    low, high = inside.min(0), inside.max(0)
    reach = np.maximum(0.2 * (high - low), (16 - (high - low)) / 2) + 2
    for place in np.argwhere(mask[..., 3]):
        assert (place >= low - reach).all()
        assert (place <= high + reach).all()


@pytest.mark.parametrize(("z", "clicked"), [(-5, 0), (0.4, 0), (6.4, 6), (40, 6)])
def test_clicks_belong_to_the_nearest_slice(
    z: float, clicked: int, bundle: Path, clicks: Points, tmp_path: Path
) -> None:
    write_nifti(tmp_path / "in/a.nii.gz", scan(np.repeat(gland()[..., 3:4], SHAPE[2], 2)), AFFINE)
    write_clicks({"a": [[*click[:2], z] for click in of_slices(clicks, 3)]}, tmp_path / "clicks.json")
    found = results(bundle, tmp_path / "in", tmp_path / "out", points=tmp_path / "clicks.json")
    assert slices_of(read_mask(found["a"])) == [clicked]


def test_a_result_is_that_of_its_own_slice_alone(
    bundle: Path, clicks: Points, expected: Array, tmp_path: Path
) -> None:
    """Each crop is normalised by itself: however bright the rest of the volume is."""
    values = scan(gland()).astype(np.float32)
    values *= 10.0 ** np.arange(SHAPE[2])
    write_nifti(tmp_path / "in/a.nii.gz", values, AFFINE)
    write_clicks({"a": clicks}, tmp_path / "clicks.json")
    found = results(bundle, tmp_path / "in", tmp_path / "out", points=tmp_path / "clicks.json")
    np.testing.assert_array_equal(read_mask(found["a"]), expected)


def test_transforms_one_by_one_on_a_request(
    bundle: Path, clicks: Points, expected: Array, tmp_path: Path
) -> None:
    """As MONAI Label runs a bundle: no data list, the device's name, other entries in the dictionary."""
    parser = ConfigParser()
    parser.read_config(bundle / "configs/inference.json")
    parser["bundle_root"], parser["device"] = str(bundle), "cpu"
    parser["output_dir"] = str(tmp_path)
    network = parser.get_parsed_content("network_def").to("cpu").eval()
    inferer = parser.get_parsed_content("inferer")
    image = write_nifti(tmp_path / "a.nii.gz", scan(gland()), AFFINE)
    for number in range(5):
        request = {"image": str(image), "model": "x", "device": "cpu", "background": [], "slice": 3}
        data: dict[str, Any] = {**request, "foreground": of_slices(clicks, 3)[:number]}
        for transform in parser.get_parsed_content("preprocessing").transforms:
            data = transform(data)
        assert data["model"] == "x"
        with torch.no_grad():
            data["pred"] = inferer(data["image"][None], network)[0]
        for transform in parser.get_parsed_content("postprocessing").transforms:
            data = data if isinstance(transform, SaveImaged) else transform(data)
        label = data["pred"]
        assert (label.shape, label.dtype) == (SHAPE, torch.uint8)
        np.testing.assert_allclose(label.affine, AFFINE, atol=1e-6)
        wanted = expected * (np.arange(SHAPE[2]) == 3) * (number == 4)
        np.testing.assert_array_equal(label.numpy(), wanted)


def no_clicks(folder: Path) -> tuple[dict[str, Any], list[str]]:
    return {}, ["clicks: no image has a click", "Give a JSON file"]


def no_file(folder: Path) -> tuple[dict[str, Any], list[str]]:
    return {"clicks": folder / "typo.json"}, ["typo.json: the file with the clicks does not exist"]


def of_another_image(folder: Path) -> tuple[dict[str, Any], list[str]]:
    write_clicks({"b": [[1, 2, 3]]}, folder / "clicks.json")
    return {"clicks": folder / "clicks.json"}, ["clicks.json: there is no image 'b'; there are a."]


def in_two_coordinates(folder: Path) -> tuple[dict[str, Any], list[str]]:
    write_clicks({"a": [[1, 2]]}, folder / "clicks.json")
    return {"clicks": folder / "clicks.json"}, ["'a' has the click [1, 2], but a click is three numbers"]


def of_another_structure(folder: Path) -> tuple[dict[str, Any], list[str]]:
    write_clicks({"a": {"disc": [[1, 2, 3]]}}, folder / "clicks.json")
    return {"clicks": folder / "clicks.json"}, ["'a' has clicks of 'disc'; structures are prostate."]


def no_weights(folder: Path) -> tuple[dict[str, Any], list[str]]:
    write_clicks({"a": [[1, 2, 3]]}, folder / "clicks.json")
    checkpoint = {"clicks": folder / "clicks.json", "checkpoint": folder / "none.pt"}
    return checkpoint, ["none.pt: the checkpoint does not exist"]


@pytest.mark.parametrize(
    "case",
    [no_clicks, no_file, of_another_image, in_two_coordinates, of_another_structure, no_weights],
    ids=lambda case: case.__name__,
)
def test_inference_refuses(case: Any, bundle: Path, tmp_path: Path) -> None:
    write_nifti(tmp_path / "in/a.nii.gz", scan(gland()), AFFINE)
    settings, words = case(tmp_path)
    places = {"dataset_dir": tmp_path / "in", "output_dir": tmp_path / "out"}
    with pytest.raises(RuntimeError) as error:
        run_workflow(bundle, "inference", **places, **settings)
    assert [word for word in words if word not in reason(error.value)] == []
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def write_case(folder: Path) -> None:
    write_nifti(folder / "images/a.nii.gz", scan(gland()), AFFINE)
    write_nifti(folder / "labels/a.nii.gz", gland(), AFFINE)
    write_nifti(folder / "images/unlabelled.nii.gz", scan(gland()), AFFINE)


def evaluated(folder: Path, words: Sequence[str | Path]) -> dict[str, Any]:
    """Summary of `monai-levelset evaluate`."""
    places = ("--images", folder / "images", "--labels", folder / "labels", "--out", folder / "out")
    assert main(["evaluate", *map(str, (*places, *words))]) == 0
    summary: dict[str, Any] = json.loads((folder / "out/summary.json").read_text())
    return summary


def test_evaluation_clicks_by_itself(bundle: Path, clicks: Points, expected: Array, tmp_path: Path) -> None:
    write_case(tmp_path)
    summary = evaluated(tmp_path, ["--bundle", bundle])
    assert summary["clicks"] == "simulated from the labels"
    assert json.loads((tmp_path / "out/clicks.json").read_text()) == {"a": {"prostate": clicks}}
    assert summary["mean"]["dice"] == pytest.approx(dice(expected, gland()), abs=1e-6)
    assert summary["extra"] == ["unlabelled"]


def test_evaluation_with_a_users_clicks(bundle: Path, clicks: Points, tmp_path: Path) -> None:
    write_case(tmp_path)
    write_clicks({"a": of_slices(clicks, 3)}, tmp_path / "mine.json")
    summary = evaluated(tmp_path, ["--bundle", bundle, "--clicks", tmp_path / "mine.json"])
    assert summary["clicks"] == str(tmp_path / "mine.json")
    assert "--clicks" in summary["command"]
    assert not (tmp_path / "out/clicks.json").exists()
    assert slices_of(read_mask(tmp_path / "out/predictions/a.nii.gz")) == [3]
    with pytest.raises(ValueError, match="--clicks is for the predictions of a --bundle"):
        evaluate(tmp_path / "x", tmp_path / "labels", tmp_path / "out", clicks=tmp_path / "mine.json")
    (tmp_path / "other").mkdir()
    write_nifti(tmp_path / "other/b.nii.gz", gland(), AFFINE)
    places = {"images": tmp_path / "images", "out": tmp_path / "out"}
    with pytest.raises(FileNotFoundError, match="no file name in common, so nothing is clicked"):
        evaluate(labels=tmp_path / "other", bundle=bundle, **places)


def test_the_network_of_the_configuration_runs_on_a_phantom(tmp_path: Path) -> None:
    """With random weights and smaller crops: what matters is that all parts fit."""
    generate_phantoms("prostate", tmp_path / "data", cases=1, seed=0)
    parser = ConfigParser()
    parser.read_config(PROSTATE_BUNDLE / "configs/inference.json")
    torch.manual_seed(0)
    torch.save(parser.get_parsed_content("network_def").state_dict(), tmp_path / "model.pt")
    labels = sorted((tmp_path / "data/labels").iterdir())
    write_clicks(simulated_clicks(labels, PROSTATE, axcodes="PLS", every=6), tmp_path / "clicks.json")
    places = {"dataset_dir": tmp_path / "data/images", "output_dir": tmp_path / "out"}
    settings = {"clicks": tmp_path / "clicks.json", "checkpoint": tmp_path / "model.pt", "size": [64, 64]}
    run_workflow(PROSTATE_BUNDLE, "inference", **places, **settings)
    for label in labels:
        assert read_grid(tmp_path / "out" / label.name).shape == read_grid(label).shape


def test_the_network_takes_and_gives_what_the_metadata_says() -> None:
    configs = PROSTATE_BUNDLE / "configs"
    verify_net_in_out("network_def", configs / "metadata.json", config_file=str(configs / "inference.json"))
