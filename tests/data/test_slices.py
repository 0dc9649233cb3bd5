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

from monai_levelset.data import DataError, check_items, grids, slice_files, slice_items
from monai_levelset.data.grids import Grid
from monai_levelset.data.slice_files import Cut, image_slices
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
        patch.setattr(slice_files, "read_array", lambda path: pytest.fail("a volume was read again"))
        assert slice_items([item], tmp_path / "cache") == first
    save(tmp_path / "i.nii.gz", values + 1)
    os.utime(tmp_path / "i.nii.gz", ns=(1, 1))
    second = slice_items([item], tmp_path / "cache")
    np.testing.assert_array_equal(
        nib.load(second[0]["image"]).get_fdata(dtype=np.float32), values[:, :, 0] + 1
    )


@pytest.mark.parametrize(("saved", "left"), [(2, 0), (4, 1)])
def test_an_interrupted_cut_leaves_no_half_folder_and_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: int, left: int
) -> None:
    item, _, _ = case(tmp_path)
    original, calls = slice_files._save, iter(range(100))

    def stop(*args: Any) -> None:
        if next(calls) == saved:
            raise KeyboardInterrupt
        original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(slice_files, "_save", stop)
        with pytest.raises(KeyboardInterrupt):
            slice_items([item], tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == left
    assert len(list((tmp_path / "cache").rglob("*.nii"))) == 3 * left
    assert len(slice_items([item], tmp_path / "cache")) == 3


def test_two_processes_may_finish_the_same_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process finishes while this one is about to put its folder there."""
    item, values, _ = case(tmp_path)
    read, once = slice_files.read_array, [True]

    def slow(path: Path) -> Any:
        if once and once.pop():
            image_slices(tmp_path / "cache", "a", [path], Cut(2))
        return read(path)

    monkeypatch.setattr(slice_files, "read_array", slow)
    cut = slice_items([{"image": item["image"], "id": "a"}], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == [Path(cut[0]["image"]).parent]
    np.testing.assert_array_equal(nib.load(cut[1]["image"]).get_fdata(dtype=np.float32), values[:, :, 1])


@pytest.mark.parametrize("suffix", ["nii.gz", "mha"])
def test_labels_come_and_go_without_reading_the_image_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    files = {}
    for role, values in zip(("image", "label"), case(tmp_path)[1:], strict=True):
        import itk

        files[role] = str(tmp_path / f"{role}.{suffix}")
        itk.imwrite(itk.image_from_array(np.ascontiguousarray(values.T)), files[role], compression=True)
    unlabelled = slice_items([{"image": files["image"], "id": "a"}], tmp_path / "cache")
    times = {s["image"]: Path(s["image"]).stat().st_mtime_ns for s in unlabelled}
    read, itk_read = slice_files.read_array, grids._itk_read

    def only_label(reads: Any) -> Any:
        return lambda path: pytest.fail("the image was read") if "image" in str(path) else reads(path)

    monkeypatch.setattr(slice_files, "read_array", only_label(read))
    monkeypatch.setattr(grids, "_itk_read", only_label(itk_read))
    labelled = slice_items([{**files, "id": "a"}], tmp_path / "cache")
    assert [s["image"] for s in labelled] == list(times)
    assert times == {s["image"]: Path(s["image"]).stat().st_mtime_ns for s in labelled}
    assert np.asarray(nib.load(labelled[1]["label"]).dataobj).sum() == 4
    assert slice_items([{"image": files["image"], "id": "a"}], tmp_path / "cache") == unlabelled


def test_a_failed_label_leaves_the_images_slices(tmp_path: Path) -> None:
    item, values, _ = case(tmp_path)
    Path(item["label"]).write_bytes(Path(item["label"]).read_bytes()[:60])
    with pytest.raises(DataError, match=r"l\.nii\.gz"):
        slice_items([item], tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert len(list((tmp_path / "cache").glob("a-*/*.nii"))) == values.shape[2]


def test_a_label_cut_before_is_compared_with_its_new_image(tmp_path: Path) -> None:
    item, values, _ = case(tmp_path)
    slice_items([item], tmp_path / "cache")
    long = {**item, "image": save(tmp_path / "long.nii.gz", np.concatenate([values, values], 2))}
    with pytest.raises(DataError, match=r"l\.nii\.gz: its size differs"):
        slice_items([long], tmp_path / "cache")


def test_several_annotators_of_a_volume(tmp_path: Path) -> None:
    item, _, label = case(tmp_path)
    shifted = np.roll(label, 1, axis=2)
    labels = [item["label"], save(tmp_path / "l2.nii.gz", shifted)]
    cut = slice_items([{**item, "label": labels}], tmp_path / "cache")
    for k, slice_item in enumerate(cut):
        for path, expected in zip(slice_item["label"], (label, shifted), strict=True):
            np.testing.assert_array_equal(np.asarray(nib.load(path).dataobj), expected[:, :, k])
    kept = slice_items([{**item, "label": labels}], tmp_path / "cache", keep_empty=False)
    assert [s["slice"] for s in kept] == [1, 2]
    (one, *_) = slice_items([{**item, "label": labels[:1]}], tmp_path / "cache")
    assert isinstance(one["label"], list)


def test_several_annotators_of_a_picture_pass_through(tmp_path: Path) -> None:
    for name in ("a", "l1", "l2"):
        Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(tmp_path / f"{name}.png")
    labels = [str(tmp_path / "l1.png"), str(tmp_path / "l2.png")]
    item = {"image": str(tmp_path / "a.png"), "label": labels, "id": "a"}
    assert slice_items([item], tmp_path / "cache") == [item]


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
    four = save(tmp_path / "four.nii.gz", np.repeat(label[:, :, :2], 2, 2))
    with pytest.raises(DataError, match=r"four\.nii\.gz: its size differs from that of .*i\.nii\.gz"):
        slice_items([{"image": [item["image"], four]}], tmp_path / "cache")
    flat = save(tmp_path / "flat.nii.gz", label[:, :, 0])
    with pytest.raises(DataError, match=r"flat\.nii\.gz: it is 2D while its image is a volume"):
        slice_items([{**item, "label": flat}], tmp_path / "cache")
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
