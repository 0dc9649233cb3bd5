from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from monai.transforms import LoadImaged
from PIL import Image

from monai_levelset.data import DataError, check_items, slice_items, slices
from monai_levelset.data.grids import Grid
from monai_levelset.data.slices import through_plane_axis


def save(path: Path, values: np.ndarray, spacing: tuple[float, ...] = (1.5, 2.0, 8.0)) -> str:
    nib.save(nib.Nifti1Image(values, np.diag([*spacing, 1.0])), path)
    return str(path)


def case(folder: Path) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    values = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    label = np.zeros((4, 5, 3), np.uint8)
    label[1:3, 2:4, 1] = 1
    item = {
        "image": save(folder / "i.nii.gz", values),
        "label": save(folder / "l.nii.gz", label),
        "id": "a",
        "patient": "p",
        "phase": "ED",
    }
    return item, values, label


def test_slices_hold_the_volume_and_its_in_plane_spacing(tmp_path: Path) -> None:
    item, values, label = case(tmp_path)
    cut = slice_items([item], tmp_path / "cache")
    check_items(cut, label_values=(0, 1))
    load = LoadImaged(["image", "label"], ensure_channel_first=True)
    for k, slice_item in enumerate(cut):
        described = {key: value for key, value in slice_item.items() if key not in ("image", "label")}
        assert described == dict(
            id=f"a-s00{k}", patient="p", slice=k, spacing=[1.5, 2.0], labeled=1, phase="ED"
        )
        loaded = load(slice_item)
        np.testing.assert_array_equal(loaded["image"][0].numpy(), values[:, :, k])
        np.testing.assert_array_equal(loaded["label"][0].numpy(), label[:, :, k])
        assert loaded["image"].pixdim.tolist() == [1.5, 2.0]


@pytest.mark.parametrize(("axis", "spacing"), [(0, [2.0, 8.0]), (1, [1.5, 8.0]), (2, [1.5, 2.0])])
def test_any_axis(tmp_path: Path, axis: int, spacing: list[float]) -> None:
    item, values, _ = case(tmp_path)
    cut = slice_items([item], tmp_path / "cache", axis=axis)
    assert len(cut) == values.shape[axis]
    for k, slice_item in enumerate(cut):
        np.testing.assert_array_equal(nib.load(slice_item["image"]).get_fdata(), values.take(k, axis))
        assert slice_item["spacing"] == spacing


def test_empty_slices_go_only_where_the_label_is_known(tmp_path: Path) -> None:
    item, _, _ = case(tmp_path)
    unlabelled = {"image": item["image"], "id": "u"}
    cut = slice_items([item, unlabelled], tmp_path / "cache", keep_empty=False)
    assert [c["id"] for c in cut] == ["a-s001", "u-s000", "u-s001", "u-s002"]
    assert all("label" not in c and c["labeled"] == 0 and c["patient"] == "u" for c in cut[1:])


def test_cut_once_and_again_when_the_volume_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item, values, _ = case(tmp_path)
    first = slice_items([item], tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(slices, "read_array", lambda path: pytest.fail("a volume was read again"))
        assert slice_items([item], tmp_path / "cache") == first
    save(tmp_path / "i.nii.gz", values + 1)
    os.utime(tmp_path / "i.nii.gz", ns=(1, 1))
    second = slice_items([item], tmp_path / "cache")
    np.testing.assert_array_equal(
        nib.load(second[0]["image"]).get_fdata(dtype=np.float32), values[:, :, 0] + 1
    )


def test_an_interrupted_cut_leaves_nothing_and_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, _, _ = case(tmp_path)
    original, calls = slices._save, iter(range(100))

    def stop(*args: Any) -> None:
        if next(calls) == 3:
            raise KeyboardInterrupt
        original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(slices, "_save", stop)
        with pytest.raises(KeyboardInterrupt):
            slice_items([item], tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
    assert len(slice_items([item], tmp_path / "cache")) == 3


def test_two_processes_may_finish_the_same_volume(tmp_path: Path) -> None:
    item, _, _ = case(tmp_path)
    first = slice_items([item], tmp_path / "cache")
    folder = Path(first[0]["image"]).parent
    slices._write_slices(folder, [Path(item["image"])], Path(item["label"]), 2)
    assert slice_items([item], tmp_path / "cache") == first
    assert list((tmp_path / "cache").iterdir()) == [folder]


def test_2d_inputs_pass_through(tmp_path: Path) -> None:
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(tmp_path / "a.png")
    flat = save(tmp_path / "b.nii.gz", np.arange(12, dtype=np.float32).reshape(3, 4))
    items = [{"image": str(tmp_path / "a.png"), "id": "a"}, {"image": flat}]
    assert slice_items(items, tmp_path / "cache") == items
    assert not (tmp_path / "cache").exists()


def test_channels_become_one_file_each(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 100, (4, 5, 3, 2)).astype(np.int16)
    four = {"image": save(tmp_path / "four.nii.gz", values), "id": "four"}
    listed = {"image": [save(tmp_path / f"{c}.nii.gz", values[..., c]) for c in range(2)], "id": "listed"}
    for item in slice_items([four, listed], tmp_path / "cache"):
        loaded = LoadImaged(["image"], ensure_channel_first=True)(item)["image"]
        np.testing.assert_array_equal(loaded.numpy(), values[:, :, item["slice"]].transpose(2, 0, 1))


def test_bad_input_is_named(tmp_path: Path) -> None:
    item, _, label = case(tmp_path)
    with pytest.raises(DataError, match=r"gone\.nii\.gz"):
        slice_items([{"image": str(tmp_path / "gone.nii.gz")}], tmp_path / "cache")
    with pytest.raises(DataError, match=r"gone\.nii\.gz"):
        slice_items([{**item, "label": str(tmp_path / "gone.nii.gz")}], tmp_path / "cache")
    with pytest.raises(DataError, match=r"short\.nii\.gz: its size differs"):
        slice_items([{**item, "label": save(tmp_path / "short.nii.gz", label[:, :, :2])}], tmp_path / "cache")
    with pytest.raises(ValueError, match="axis"):
        slice_items([item], tmp_path / "cache", axis=3)


@given(st.floats(0.3, 3), st.floats(1.3, 20), st.integers(0, 2), st.booleans())
def test_the_odd_spacing_is_through_plane(in_plane: float, ratio: float, axis: int, thin: bool) -> None:
    spacing = [in_plane] * 3
    spacing[axis] *= 1 / ratio if thin else ratio
    assert through_plane_axis(Grid((9, 9, 9), np.diag([*spacing, 1.0]))) == axis


def test_equal_spacings_mean_the_last_axis_and_a_single_voxel_wins() -> None:
    assert through_plane_axis(Grid((9, 9, 9), np.eye(4))) == 2
    assert through_plane_axis(Grid((1, 9, 9), np.diag([1.0, 1, 8, 1]))) == 0
