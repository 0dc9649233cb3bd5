"""Inference of the fundus bundle with a network whose results follow from the clicks alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, verify_net_in_out
from monai.transforms import SaveImaged
from PIL import Image

from monai_levelset.data import simulated_clicks, write_clicks
from monai_levelset.data.grids import read_array
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.evaluation import evaluate

from .clicks import in_world, with_stub
from .common import Array, dice, read_png, reason, results, run_workflow
from .fundus import CUP, DISC, FUNDUS_BUNDLE, SIZE, confident, photo
from .liver import write_nifti

LEVEL = 0.4
BOTH = {"disc": DISC, "cup": CUP}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its network says object where the confidence map is above a level, whatever the picture shows."""
    network = {"level": -99.0, "confidence": LEVEL}
    return with_stub(FUNDUS_BUNDLE, tmp_path_factory.mktemp("fundus"), size=128, network=network)


def save(path: Path, colours: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(colours.swapaxes(0, 1))).save(path)
    return path


def segment(bundle: Path, folder: Path, clicks: Any, **settings: Any) -> Array:
    """The label map of the photograph for these clicks."""
    save(folder / "in/a.png", photo())
    write_clicks({"a": clicks}, folder / "clicks.json")
    places = {"dataset_dir": folder / "in", "output_dir": folder / "out", "clicks": folder / "clicks.json"}
    run_workflow(bundle, "inference", **places, **settings)
    label = read_png(folder / "out/a.png")
    assert (label.shape, label.dtype) == (SIZE, np.uint8)
    return label


def test_disc_and_cup_make_one_label_map(bundle: Path, tmp_path: Path) -> None:
    label = segment(bundle, tmp_path, BOTH)
    assert set(np.unique(label)) == {0, 1, 2}
    assert dice(label > 0, confident(DISC, LEVEL)) > 0.98
    assert dice(label == 2, confident(CUP, LEVEL)) > 0.98


@pytest.mark.parametrize(("clicks", "value"), [({"disc": DISC}, 1), ({"cup": DISC}, 2), (DISC, 1)])
def test_one_structure_alone(clicks: Any, value: int, bundle: Path, tmp_path: Path) -> None:
    label = segment(bundle, tmp_path, clicks)
    assert set(np.unique(label)) == {0, value}
    assert dice(label, confident(DISC, LEVEL)) > 0.98


def test_a_cup_does_not_leave_its_disc(bundle: Path, tmp_path: Path) -> None:
    beside = [[x + 16, y] for x, y in CUP]
    label = segment(bundle, tmp_path, {"disc": DISC, "cup": beside})
    disc, cup = confident(DISC, LEVEL), confident(beside, LEVEL)
    assert (cup & ~disc).sum() > 20
    assert dice(label > 0, disc) > 0.98
    assert dice(label == 2, cup & disc) > 0.97


def test_a_structure_without_all_four_clicks_is_left_out(bundle: Path, tmp_path: Path) -> None:
    label = segment(bundle, tmp_path, {"disc": DISC[:3], "cup": CUP})
    assert set(np.unique(label)) == {0, 2}
    assert dice(label, confident(CUP, LEVEL)) > 0.98
    label = segment(bundle, tmp_path, {"disc": DISC[:2], "cup": CUP[:1]})
    assert not label.any()


def grey(colours: Array) -> Array:
    return colours[..., 0]


def with_alpha(colours: Array) -> Array:
    return np.concatenate([colours, np.full_like(colours[..., :1], 255)], -1)


FORMATS = [(name, kind) for name in ("a.png", "a.jpg", "a.b.JPEG", "a.bmp", "a.tif") for kind in (None, grey)]


@pytest.mark.parametrize(("name", "kind"), [*FORMATS, ("a.png", with_alpha), ("a.tif", with_alpha)])
def test_formats(name: str, kind: Any, bundle: Path, tmp_path: Path) -> None:
    save(tmp_path / "in" / name, photo() if kind is None else kind(photo()))
    stem = name.rpartition(".")[0]
    write_clicks({stem: BOTH}, tmp_path / "clicks.json")
    found = results(bundle, tmp_path / "in", tmp_path / "out", points=tmp_path / "clicks.json")
    assert found[stem].name == f"{stem}.png"
    label = read_png(found[stem])
    assert label.shape == SIZE
    assert dice(label == 2, confident(CUP, LEVEL)) > 0.98


def test_a_slice_of_another_format_is_clicked_in_voxels_or_mm(bundle: Path, tmp_path: Path) -> None:
    affine = np.array([[-0.5, 0, 0, 9], [0, -0.5, 0, 4], [0, 0, 1, 0], [0, 0, 0, 1]])
    write_nifti(tmp_path / "in/a.nii.gz", grey(photo()), affine)
    masks = []
    for space, cup in (("voxel", CUP), ("world", in_world(affine, CUP))):
        write_clicks({"a": {"cup": cup}}, tmp_path / "clicks.json")
        places = {"dataset_dir": tmp_path / "in", "output_dir": tmp_path / space}
        run_workflow(bundle, "inference", **places, clicks=tmp_path / "clicks.json", space=space)
        masks.append(read_array(tmp_path / space / "a.nii.gz")[0])
    np.testing.assert_array_equal(*masks)
    assert dice(masks[0] == 2, confident(CUP, LEVEL)) > 0.98


ODD = {
    "repeated": [[30, 30]] * 4,
    "collinear": [[10, 10], [20, 20], [30, 30], [40, 40]],
    "segments apart": [[10, 5], [50, 6], [20, 40], [22, 50]],
    "outside": [[-20, 30], [99, 30], [30, -9], [30, 99]],
}


@pytest.mark.parametrize("points", ODD.values(), ids=ODD.keys())
def test_odd_clicks_give_a_result_near_them(points: Any, bundle: Path, tmp_path: Path) -> None:
    label = segment(bundle, tmp_path, {"disc": points})
    inside = np.array(points).clip(0, np.array(SIZE) - 1)
    low, high = inside.min(0), inside.max(0)
    reach = np.maximum(0.2 * (high - low), (16 - (high - low)) / 2) + 2
    found = np.argwhere(label)
    assert ((found >= low - reach) & (found <= high + reach)).all()


def test_the_network_sees_colours_and_maps_of_the_crop(bundle: Path, tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read_config(bundle / "configs/inference.json")
    colours = photo()
    request = {"image": str(save(tmp_path / "a.png", colours)), "foreground": {"cup": CUP}}
    data = parser.get_parsed_content("preprocessing")(request)
    seen = data["image"]
    assert seen.shape == (5, 128, 128, 1)
    # A pixel of the crop and its place in the picture.
    (top, *_), scale = data["points"][0], 128 / 25  # 17 pixels and 4 on either side
    row, column = (int(v) for v in top.round())
    assert [(row + 0.5) / scale - 0.5 + 18, (column + 0.5) / scale - 0.5 + 20] == pytest.approx(
        CUP[0], abs=0.2
    )
    expected = (colours[22, 32] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(seen[:3, row, column, 0], expected, atol=0.05)
    assert seen[3, row, column, 0] > 0.95
    assert set(np.argwhere(seen[3, ..., 0].numpy() > 0.98)[:, 1]) >= {column}


def test_transforms_one_by_one_on_a_request(bundle: Path, tmp_path: Path) -> None:
    """As MONAI Label runs a bundle: a list of clicks is one structure, and the result is 0 and 1."""
    parser = ConfigParser()
    parser.read_config(bundle / "configs/inference.json")
    parser["device"], parser["output_dir"] = "cpu", str(tmp_path)
    network, inferer = (parser.get_parsed_content(name) for name in ("network_def", "inferer"))
    for number in range(5):
        image = str(save(tmp_path / "a.png", photo()))
        data: dict[str, Any] = {"image": image, "foreground": CUP[:number], "model": "x"}
        for transform in parser.get_parsed_content("preprocessing").transforms:
            data = transform(data)
        with torch.no_grad():
            data["pred"] = inferer(data["image"][None], network.eval())[0]
        for transform in parser.get_parsed_content("postprocessing").transforms:
            data = data if isinstance(transform, SaveImaged) else transform(data)
        label = data["pred"].numpy()
        assert (label.shape, label.dtype) == (SIZE, np.uint8)
        assert set(np.unique(label)) == ({0, 1} if number == 4 else {0})
    assert dice(label, confident(CUP, LEVEL)) > 0.98


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": {"lens": CUP}}, ["'a' has clicks of 'lens'; structures are disc, cup."]),
        ({"a": {"cup": [[1]]}}, ["'a' has the click [1], but a click is two numbers"]),
        ({"b": CUP}, ["there is no image 'b'; there are a."]),
        (None, ["clicks: no image has a click"]),
    ],
)
def test_inference_refuses(content: Any, words: list[str], bundle: Path, tmp_path: Path) -> None:
    save(tmp_path / "in/a.png", photo())
    settings: dict[str, Any] = {"dataset_dir": tmp_path / "in", "output_dir": tmp_path / "out"}
    if content is not None:
        (tmp_path / "clicks.json").write_text(json.dumps(content))
        settings["clicks"] = tmp_path / "clicks.json"
    with pytest.raises(RuntimeError) as error:
        run_workflow(bundle, "inference", **settings)
    assert [word for word in words if word not in reason(error.value)] == []
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_evaluation_clicks_disc_and_cup(bundle: Path, tmp_path: Path) -> None:
    save(tmp_path / "images/a.png", photo())
    x, y = np.ogrid[: SIZE[0], : SIZE[1]]
    disc, cup = np.abs(x - 30) + np.abs(y - 30) <= 18, np.abs(x - 30) + np.abs(y - 32) <= 8
    save(tmp_path / "labels/a.png", disc.astype(np.uint8) + cup)
    summary = evaluate(
        labels=tmp_path / "labels",
        images=tmp_path / "images",
        bundle=bundle,
        out=tmp_path / "out",
        classes={"disc": [1, 2], "cup": 2},
    )
    assert summary["clicks"] == "simulated from the labels"
    assert json.loads((tmp_path / "out/clicks.json").read_text()) == {"a": BOTH}
    predicted = read_png(tmp_path / "out/predictions/a.png")
    np.testing.assert_array_equal(predicted, segment(bundle, tmp_path / "again", BOTH))
    for name, mask in (("disc", predicted > 0), ("cup", predicted == 2)):
        truth = {"disc": disc, "cup": cup}[name]
        assert summary["mean"][f"dice_{name}"] == pytest.approx(dice(mask, truth), abs=1e-6)


def test_the_network_of_the_configuration_runs_on_a_phantom(tmp_path: Path) -> None:
    """With random weights and smaller crops: what matters is that all parts fit."""
    generate_phantoms("fundus", tmp_path / "data", cases=1, seed=0)
    parser = ConfigParser()
    parser.read_config(FUNDUS_BUNDLE / "configs/inference.json")
    torch.manual_seed(0)
    torch.save(parser.get_parsed_content("network_def").state_dict(), tmp_path / "model.pt")
    labels = sorted((tmp_path / "data/labels").iterdir())
    write_clicks(simulated_clicks(labels, parser["structures"]), tmp_path / "clicks.json")
    places = {"dataset_dir": tmp_path / "data/images", "output_dir": tmp_path / "out"}
    settings = {"clicks": tmp_path / "clicks.json", "checkpoint": tmp_path / "model.pt", "size": [64, 64]}
    run_workflow(FUNDUS_BUNDLE, "inference", **places, **settings)
    for label in labels:
        assert read_array(tmp_path / "out" / label.name)[1].shape == read_array(label)[1].shape


def test_the_network_takes_and_gives_what_the_metadata_says() -> None:
    configs = FUNDUS_BUNDLE / "configs"
    verify_net_in_out("network_def", configs / "metadata.json", config_file=str(configs / "inference.json"))
