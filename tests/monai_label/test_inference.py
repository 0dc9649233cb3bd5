"""What a viewer gets of each bundle, over HTTP, beside what the bundle gives directly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from monai_levelset.data import write_clicks
from monai_levelset.prediction import predict

from .conftest import BUNDLES, TASKS
from .server import LabelServer, values
from .studies import ORIENTATIONS, Study, axial_clicks, extreme_voxels

AUTOMATIC = [name for name in TASKS if name.endswith("segmentation") and "natural" not in name]
PROSTATE, FUNDUS, NATURAL = (
    "prostate_mri_levelset_deepgrow",
    "fundus_levelset_deepgrow",
    "natural_levelset_segmentation",
)


@pytest.fixture(scope="session")
def directly(
    all_studies: dict[str, list[Study]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Path]]:
    """Bundle -> study -> the label map that the bundle makes of it without a server."""
    found = {}
    for bundle in [*AUTOMATIC, NATURAL]:
        images = tmp_path_factory.mktemp("images")
        for study in all_studies[bundle]:
            (images / study.image.name).symlink_to(study.image)
        out = tmp_path_factory.mktemp("direct")
        report = predict(BUNDLES / bundle, images, out)
        found[bundle] = {case["id"]: out / case["files"][0] for case in report["cases"]}
    return found


def test_the_models_that_a_viewer_lists(server: LabelServer) -> None:
    info = server.get("info/")
    assert sorted(info["models"]) == sorted(TASKS)
    assert sorted(info["trainers"]) == sorted(TASKS)
    kinds = {name: model["type"] for name, model in info["models"].items()}
    assert kinds == {n: "deepgrow" if n.endswith("deepgrow") else "segmentation" for n in TASKS}
    assert {info["models"][name]["dimension"] for name in (PROSTATE, FUNDUS)} == {2}
    labels = {name: model["labels"] for name, model in info["models"].items()}
    assert labels["lits_tumor_ct_levelset_segmentation"] == {"liver": 1, "lesion": 2}
    assert labels[PROSTATE] == {"prostate": 1}
    assert all(model["config"]["model_filename"][0] == "model.pt" for model in info["models"].values())


@pytest.mark.parametrize("orientation", range(len(ORIENTATIONS)), ids=ORIENTATIONS)
@pytest.mark.parametrize("bundle", AUTOMATIC)
def test_a_volume_in_any_orientation(
    server: LabelServer,
    all_studies: dict[str, list[Study]],
    directly: dict[str, dict[str, Path]],
    bundle: str,
    orientation: int,
) -> None:
    study = all_studies[bundle][orientation]
    found, expected = server.infer(bundle, study.id), nibabel.load(directly[bundle][study.id])
    np.testing.assert_allclose(found.affine, nibabel.load(study.image).affine, atol=1e-4)
    assert values(expected).any()
    np.testing.assert_array_equal(values(found), values(expected))


def test_a_photograph(
    server: LabelServer, all_studies: dict[str, list[Study]], directly: dict[str, dict[str, Path]]
) -> None:
    for study in all_studies[NATURAL]:
        found = server.infer_picture(NATURAL, study.id)
        with Image.open(directly[NATURAL][study.id]) as expected:
            np.testing.assert_array_equal(found, np.asarray(expected).T)


def test_what_the_server_says_of_a_result(server: LabelServer, all_studies: dict[str, list[Study]]) -> None:
    bundle = "lits_tumor_ct_levelset_segmentation"
    answer = server.infer_json(bundle, all_studies[bundle][0].id)
    assert answer["label_names"] == {"liver": 1, "lesion": 2}
    assert answer["latencies"]["total"] > 0


def clicked_directly(study: Study, clicks: list[list[int]], folder: Path) -> NDArray[Any]:
    """The prostate bundle's label map of these clicks without a server."""
    folder.mkdir()
    write_clicks({study.id: clicks}, folder / "clicks.json")
    report = predict(BUNDLES / PROSTATE, study.image, folder / "out", points=folder / "clicks.json")
    return values(nibabel.load(folder / "out" / report["cases"][0]["files"][0]))


@pytest.mark.parametrize("orientation", range(len(ORIENTATIONS)), ids=ORIENTATIONS)
def test_clicks_in_any_orientation(
    server: LabelServer, all_studies: dict[str, list[Study]], orientation: int, tmp_path: Path
) -> None:
    study = all_studies[PROSTATE][orientation]
    clicks = axial_clicks(study)
    found = server.infer(PROSTATE, study.id, foreground=clicks, background=[], label="prostate")
    np.testing.assert_allclose(found.affine, nibabel.load(study.image).affine, atol=1e-4)
    label, truth = values(found), study.truth() > 0
    np.testing.assert_array_equal(label, clicked_directly(study, clicks, tmp_path / "direct"))
    clicked = np.zeros_like(truth)
    axis = next(axis for axis in range(3) if len({click[axis] for click in clicks}) == 2)
    np.moveaxis(clicked, axis, 0)[sorted({click[axis] for click in clicks})] = True
    assert set(np.unique(label)) == {0, 1}
    assert not label[~clicked].any()
    both, either = (label > 0) & truth & clicked, ((label > 0) | truth) & clicked
    assert both.sum() / either.sum() > 0.85


def test_a_viewer_posts_every_click(server: LabelServer, all_studies: dict[str, list[Study]]) -> None:
    study = all_studies[PROSTATE][0]
    clicks = axial_clicks(study, slices=1)
    for number in range(5):
        label = values(
            server.infer(PROSTATE, study.id, foreground=clicks[:number], background=[], slice=clicks[0][2])
        )
        assert label.any() == (number == 4)
    assert not values(server.infer(PROSTATE, study.id)).any()


def test_more_clicks_correct_the_contour(server: LabelServer, all_studies: dict[str, list[Study]]) -> None:
    study = all_studies[PROSTATE][0]
    clicks = axial_clicks(study, slices=1)
    k = clicks[0][2]
    before = values(server.infer(PROSTATE, study.id, foreground=clicks))
    inside = np.argwhere(before[..., k]).mean(0).round().astype(int).tolist()
    edge = [*inside, k]
    while before[tuple(edge)]:
        edge[0] += 1
    edge[0] -= 6
    after = values(server.infer(PROSTATE, study.id, foreground=clicks, background=[edge]))
    assert before[tuple(edge)] == 1
    assert after[tuple(edge)] == 0
    assert 0.5 * before.sum() < after.sum() < before.sum()


def test_clicks_in_a_photograph(server: LabelServer, all_studies: dict[str, list[Study]]) -> None:
    study = all_studies[FUNDUS][0]
    with Image.open(study.label) as image:
        truth = np.asarray(image).T == 2
    clicks = [[x, y, 0] for x, y in extreme_voxels(truth)]
    found = server.infer_picture(FUNDUS, study.id, foreground=clicks, background=[], slice=0)
    assert found.shape == truth.shape
    assert set(np.unique(found)) == {0, 1}
    assert 2 * (truth & (found > 0)).sum() / (truth.sum() + (found > 0).sum()) > 0.85
    assert not server.infer_picture(FUNDUS, study.id).any()


def test_the_documentation_shows_what_the_server_says(server: LabelServer) -> None:
    page = (BUNDLES.parent / "docs" / "monai-label.md").read_text()
    shown = json.loads(page.split("<!-- info -->")[1].split("```")[1].removeprefix("json"))
    models = server.get("info/")["models"]
    assert shown == {n: {key: m[key] for key in ("type", "labels", "dimension")} for n, m in models.items()}
