"""Further clicks in the click bundles: from a file of clicks or a viewer's request to the label map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import SaveImaged
from PIL import Image

from monai_levelset.data import load_section, simulated_clicks, write_clicks
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.levelset import signed_distance

from .click_corrections import ClickedBundle, measure
from .clicks import in_world, with_stub
from .common import Array, read_png, results
from .fundus import CUP, DISC, FUNDUS_BUNDLE, photo
from .liver import read_mask, write_nifti
from .prostate import AFFINE, PROSTATE_BUNDLE, SHAPE, gland, scan

Points = list[list[float]]
ON = [[26, 21, 3], [11, 15, 3]]
"""On slice 3, whose ellipse is around (17, 16.5): one pixel outside it and one inside."""
OFF = [[17, 22, 3]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_stub(PROSTATE_BUNDLE, tmp_path_factory.mktemp("prostate"), size=256)


@pytest.fixture(scope="module")
def fundus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = {"level": -99.0, "confidence": 0.4}
    return with_stub(FUNDUS_BUNDLE, tmp_path_factory.mktemp("fundus"), size=256, network=network)


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Points:
    """The extreme points of every slice of the gland."""
    file = write_nifti(tmp_path_factory.mktemp("label") / "a.nii", gland(), AFFINE)
    found: Any = simulated_clicks([file], {"prostate": [1]})["a"]
    return list(found["prostate"])


def off_contour(plane: Array, pixel: Any) -> float:
    phi = signed_distance(torch.from_numpy(np.ascontiguousarray(plane > 0)).float()[None, None])
    return float(phi[0, 0][tuple(pixel)].abs())


def predicted(bundle: Path, folder: Path, clicks: Any, **options: Any) -> Array:
    """What `monai-levelset predict --points` writes for the gland's scan."""
    write_nifti(folder / "in/a.nii.gz", scan(gland()), AFFINE)
    write_clicks({"a": clicks}, folder / "clicks.json")
    found = results(bundle, folder / "in", folder / "out", points=folder / "clicks.json", **options)
    return read_mask(found["a"])


def check_clicks_hold(mask: Array) -> None:
    for x, y, z in ON:
        assert off_contour(mask[..., z], (x, y)) <= 1
    for x, y, z in OFF:
        assert not mask[x, y, z]


@pytest.fixture(scope="module")
def before(bundle: Path, clicks: Points, tmp_path_factory: pytest.TempPathFactory) -> Array:
    mask = predicted(bundle, tmp_path_factory.mktemp("before"), clicks)
    assert all(off_contour(mask[..., 3], click[:2]) > 1.5 for click in ON)
    assert mask[tuple(OFF[0])]
    return mask


def test_further_clicks_of_a_file_hold(bundle: Path, clicks: Points, before: Array, tmp_path: Path) -> None:
    mask = predicted(bundle, tmp_path, {"prostate": [*clicks, *ON], "background": OFF})
    check_clicks_hold(mask)
    others = np.arange(SHAPE[2]) != 3
    np.testing.assert_array_equal(mask[..., others], before[..., others])
    changed = mask[..., 3] != before[..., 3]
    assert 5 < changed.sum() < 0.3 * before[..., 3].sum()


def test_background_clicks_alone_segment_nothing(bundle: Path, clicks: Points, tmp_path: Path) -> None:
    """A slice with fewer than four clicks stays empty, whatever lies outside."""
    others = [click for click in clicks if click[2] != 3]
    three = [click for click in clicks if click[2] == 3][:3]
    mask = predicted(bundle, tmp_path, {"prostate": [*others, *three], "background": OFF})
    assert not mask[..., 3].any()
    assert mask[..., 2].any()


def test_slices_between_clicked_ones_are_corrected(bundle: Path, clicks: Points, tmp_path: Path) -> None:
    ends: Any = [click for click in clicks if click[2] in (1, 5)]
    plain = predicted(bundle, tmp_path / "plain", {"prostate": ends}, interpolate=True)
    assert plain[tuple(OFF[0])]
    mask = predicted(bundle, tmp_path, {"prostate": ends, "background": OFF}, interpolate=True)
    assert not mask[tuple(OFF[0])]
    others = np.arange(SHAPE[2]) != 3
    np.testing.assert_array_equal(mask[..., others], plain[..., others])
    assert mask[..., 3].sum() > 0.7 * plain[..., 3].sum()


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 0, 2)])
def test_any_order_of_the_axes_and_mm(
    order: tuple[int, ...], bundle: Path, clicks: Points, tmp_path: Path
) -> None:
    expected = predicted(bundle, tmp_path / "as it is", {"prostate": [*clicks, *ON], "background": OFF})
    flip = np.diag([-1.0, 1, -1, 1])
    flip[:3, 3] = [SHAPE[0] - 1, 0, SHAPE[2] - 1]
    affine = (AFFINE @ flip)[:, [*order, 3]]
    write_nifti(tmp_path / "in/a.nii.gz", scan(gland())[::-1, :, ::-1].transpose(order), affine)
    stored = {
        name: in_world(affine, [[(flip @ [*p, 1])[a] for a in order] for p in points])
        for name, points in {"prostate": [*clicks, *ON], "background": OFF}.items()
    }
    write_clicks({"a": stored}, tmp_path / "clicks.json")
    found = results(bundle, tmp_path / "in", tmp_path / "out", points=tmp_path / "clicks.json", space="world")
    mask = read_mask(found["a"]).transpose(np.argsort(order))[::-1, :, ::-1]
    check_clicks_hold(mask)
    assert (mask != expected).sum() <= 2  # mirrored floating-point numbers may round to the other side


def test_the_request_of_a_viewer(bundle: Path, clicks: Points, before: Array, tmp_path: Path) -> None:
    """As MONAI Label sends it: all clicks every time, each list possibly missing, a label's name beside."""
    parser = ConfigParser()
    parser.read_config(bundle / "configs/inference.json")
    parser.update({"bundle_root": str(bundle), "device": "cpu", "output_dir": str(tmp_path)})
    network, inferer = parser.get_parsed_content("network_def").eval(), parser.get_parsed_content("inferer")
    image = write_nifti(tmp_path / "a.nii.gz", scan(gland()), AFFINE)
    four = [click for click in clicks if click[2] == 3]

    def label(**request: Any) -> Array:
        data: dict[str, Any] = {"image": str(image), "label": "prostate", "model": "m", **request}
        for transform in parser.get_parsed_content("preprocessing").transforms:
            data = transform(data)
        with torch.no_grad():
            data["pred"] = inferer(data["image"][None], network)[0]
        for transform in parser.get_parsed_content("postprocessing").transforms:
            data = data if isinstance(transform, SaveImaged) else transform(data)
        return np.asarray(data["pred"])

    np.testing.assert_array_equal(label(foreground=four)[..., 3], before[..., 3])
    for empty in ({}, {"background": OFF}, {"foreground": None, "background": OFF}, {"background": None}):
        assert not label(**empty).any()
    fifth = label(foreground=[*four, ON[0]], background=None)
    assert off_contour(fifth[..., 3], ON[0][:2]) <= 1
    everything = label(foreground=[ON[1], *four[::-1], ON[0]], background=OFF)
    check_clicks_hold(everything)
    with pytest.raises((RuntimeError, ValueError)) as error:
        label(foreground=four, background=[[1]])
    assert "'background' cannot be used" in str(error.value) + str(error.value.__cause__)


def test_structures_of_a_photograph_have_clicks_of_their_own(fundus: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(np.ascontiguousarray(photo().swapaxes(0, 1))).save(tmp_path / "in/a.png")
    further: list[list[int]] = [[44, 42]]

    def label(name: str, content: Any) -> Array:
        write_clicks({"a": content}, tmp_path / f"{name}.json")
        found = results(fundus, tmp_path / "in", tmp_path / name, points=tmp_path / f"{name}.json")
        return read_png(found["a"])

    plain = label("plain", {"disc": DISC, "cup": CUP})
    outside = [14, 31]
    content = {"disc": [*DISC, *further], "cup": [*CUP, [34, 38]], "background": [outside]}
    corrected = label("corrected", content)
    assert plain[tuple(outside)] == 1
    assert corrected[tuple(outside)] == 0
    assert off_contour(plain > 0, further[0]) > 1.5
    assert all(off_contour(corrected > 0, pixel) <= 1 for pixel in further + DISC[1:])  # the first is outside
    assert all(off_contour(corrected == 2, pixel) <= 1 for pixel in [*CUP, [34, 38]])
    assert (corrected > 0).sum() > 0.8 * (plain > 0).sum()


@pytest.mark.slow
@pytest.mark.parametrize("jitter", [0.0, 2.0])
def test_further_clicks_bring_the_contour_nearer(jitter: float, tmp_path: Path) -> None:
    """With the shipped weights, on a phantom they have not seen."""
    generate_phantoms("prostate", tmp_path, cases=4, seed=7)
    items = load_section(tmp_path, "test")[:1]
    rows = measure(ClickedBundle(PROSTATE_BUNDLE.name), items, jitter=jitter)
    dices, distances = ([row[key] for row in rows] for key in ("dice", "asd"))
    assert min(dices[1:]) > dices[0]
    assert dices[-1] > dices[1]
    assert max(distances[1:]) < distances[0]
    assert distances[-1] < 0.9 * distances[0]
