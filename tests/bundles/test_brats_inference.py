"""The brain-tumour bundle's inference: layouts of sequences, exact grids, odd volumes, and clear refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_levelset.data import load_section
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.evaluation import evaluate

from .brats import BRATS_BUNDLE, SEQUENCES, split_sequences
from .common import Array, dice, reason, run_workflow


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom head of four sequences."""
    folder = tmp_path_factory.mktemp("brats") / "data"
    generate_phantoms("brats", folder, cases=3, seed=7)
    return Path(load_section(folder, "test")[0]["image"])


def segment(images: Path, out: Path, **settings: Any) -> dict[str, Array]:
    run_workflow(BRATS_BUNDLE, "inference", dataset_dir=images, output_dir=out, **settings)
    return {path.name: np.asarray(nib.load(path).dataobj) for path in sorted(out.iterdir())}


@pytest.fixture(scope="module")
def expected(case: Path, tmp_path_factory: pytest.TempPathFactory) -> Array:
    """What the shipped weights find in the case."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "in").mkdir()
    (folder / "in" / case.name).symlink_to(case)
    (mask,) = segment(folder / "in", folder / "out").values()
    return mask


def test_the_shipped_weights_find_a_phantoms_tumour(case: Path, expected: Array) -> None:
    truth = np.asarray(nib.load(case.parents[1] / "labels" / case.name).dataobj)
    assert set(np.unique(expected)) == {0, 1}
    assert dice(expected, truth) > 0.8


def test_a_file_per_sequence_is_the_same(case: Path, expected: Array, tmp_path: Path) -> None:
    split_sequences(case, tmp_path / "in" / "BraTS20_Training_007")
    found = segment(tmp_path / "in", tmp_path / "out")
    assert list(found) == ["BraTS20_Training_007.nii.gz"]
    assert np.array_equal(found["BraTS20_Training_007.nii.gz"], expected)


@pytest.mark.parametrize("axcodes", ["LPS", "SAR", "PIR"])
def test_axis_orders(axcodes: str, case: Path, expected: Array, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    volume: Any = nib.load(case)
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(volume.affine), nib.orientations.axcodes2ornt(axcodes)
    )
    nib.save(volume.as_reoriented(turn), tmp_path / "in/turned.nii.gz")
    run_workflow(BRATS_BUNDLE, "inference", dataset_dir=tmp_path / "in", output_dir=tmp_path / "out")
    found: Any = nib.load(tmp_path / "out/turned.nii.gz")
    assert np.array_equal(found.affine, nib.load(tmp_path / "in/turned.nii.gz").affine)
    back = nib.orientations.ornt_transform(
        nib.io_orientation(found.affine), nib.io_orientation(volume.affine)
    )
    assert np.array_equal(np.asarray(found.as_reoriented(back).dataobj), expected)


@pytest.mark.parametrize("slices", [1, 2])
def test_fewer_than_three_slices(slices: int, case: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    volume: Any = nib.load(case)
    nib.save(volume.slicer[:, :, 30 : 30 + slices], tmp_path / "in/thin.nii.gz")
    (mask,) = segment(tmp_path / "in", tmp_path / "out").values()
    assert mask.shape == (80, 96, slices)


def test_a_volume_without_anything(case: Path, tmp_path: Path) -> None:
    """Too faint for the network: an empty mask, not an error."""
    (tmp_path / "in").mkdir()
    volume: Any = nib.load(case)
    values = np.random.default_rng(0).integers(90, 110, volume.shape).astype(np.int16)
    nib.save(nib.Nifti1Image(values, volume.affine), tmp_path / "in/flat.nii.gz")
    (mask,) = segment(tmp_path / "in", tmp_path / "out").values()
    assert mask.shape == (80, 96, 52)


def test_evaluation_of_case_folders(case: Path, expected: Array, tmp_path: Path) -> None:
    split_sequences(case, tmp_path / "in" / "BraTS20_Training_007")
    split_sequences(case, tmp_path / "in" / "BraTS20_Training_008")
    (tmp_path / "labels").mkdir()
    for name in ("BraTS20_Training_007", "BraTS20_Training_008"):
        (tmp_path / f"labels/{name}.nii.gz").symlink_to(case.parents[1] / "labels" / case.name)
    summary = evaluate(
        bundle=BRATS_BUNDLE, images=tmp_path / "in", labels=tmp_path / "labels", out=tmp_path / "report"
    )
    truth = np.asarray(nib.load(case.parents[1] / "labels" / case.name).dataobj)
    assert [one["dice"] for one in summary["cases"]] == pytest.approx([dice(expected, truth)] * 2)


def test_evaluation_of_files_with_all_sequences(case: Path, expected: Array, tmp_path: Path) -> None:
    for folder, source in (("images", case), ("labels", case.parents[1] / "labels" / case.name)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / case.name).symlink_to(source)
    summary = evaluate(
        bundle=BRATS_BUNDLE, images=tmp_path / "images", labels=tmp_path / "labels", out=tmp_path / "report"
    )
    truth = np.asarray(nib.load(tmp_path / "labels" / case.name).dataobj)
    assert summary["mean"]["dice"] == pytest.approx(dice(expected, truth))


def test_missing_sequences_and_other_grids_are_refused(case: Path, tmp_path: Path) -> None:
    folder = split_sequences(case, tmp_path / "in" / "p1")
    (folder / "p1_t2.nii.gz").unlink()
    with pytest.raises(RuntimeError) as caught:
        segment(tmp_path / "in", tmp_path / "out")
    assert "p1: the sequence t2 is missing" in reason(caught.value)
    moved = np.diag([2.0, 2.0, 2.5, 1.0])
    split_sequences(case, tmp_path / "more" / "p2")
    other: Any = nib.load(tmp_path / "more/p2/p2_t1.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(other.dataobj), moved), tmp_path / "more/p2/p2_t1.nii.gz")
    with pytest.raises(RuntimeError) as caught:
        segment(tmp_path / "more", tmp_path / "out")
    assert "p2_t1.nii.gz: its affine differs" in reason(caught.value)


def test_the_exported_network_is_the_network() -> None:
    parser = ConfigParser()
    parser.read_config(BRATS_BUNDLE / "configs/inference.json")
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(BRATS_BUNDLE / "models/model.pt", weights_only=True))
    exported = torch.jit.load(BRATS_BUNDLE / "models/model.ts")
    image = torch.rand(2, 3 * len(SEQUENCES), 45, 38)
    with torch.no_grad():
        torch.testing.assert_close(exported(image), network(image))
