from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import LoadImage
from PIL import Image

from monai_levelset.data import (
    DataError,
    check_checkpoint,
    check_folder,
    check_items,
    check_splits,
    check_writable,
    grids,
)
from monai_levelset.data.grids import _load_itk, read_array, read_grid

AFFINE = np.diag([1.5, 2.0, 8.0, 1.0])


def volume() -> np.ndarray:
    return np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)


def mask() -> np.ndarray:
    label = np.zeros((4, 5, 6), np.uint8)
    label[1:3, 1:3, 1:3] = 1
    return label


def save(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> str:
    nib.save(nib.Nifti1Image(values, affine), path)
    return str(path)


def pair(folder: Path, image: np.ndarray | None = None, label: np.ndarray | None = None) -> dict[str, Any]:
    return {
        "image": save(folder / "image.nii.gz", volume() if image is None else image),
        "label": save(folder / "label.nii.gz", mask() if label is None else label),
    }


def refused(items: list[dict[str, Any]], *words: str, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        check_items(items, **options)
    message = str(error.value)
    for word in words:
        assert word in message
    return message


def test_good_pairs_pass_and_unlabelled_cases_too(tmp_path: Path) -> None:
    item = pair(tmp_path)
    check_items([item, {"image": item["image"]}], label_values=(0, 1), progress=True)


def test_missing_file_missing_folder_and_empty_folder(tmp_path: Path) -> None:
    item = pair(tmp_path)
    refused([{**item, "image": str(tmp_path / "gone.nii.gz")}], "gone.nii.gz: the file does not exist")
    many = [{"image": str(tmp_path / "nowhere" / f"{k}.png"), "label": item["label"]} for k in range(50)]
    message = refused(many, "nowhere: the folder does not exist")
    assert "\n" not in message, "one missing folder is one problem"
    (tmp_path / "empty").mkdir()
    refused([{"image": str(tmp_path / "empty" / "a.png")}], "empty: the folder is empty")
    refused([], "The data list holds no case")
    refused([{"label": item["label"], "id": "x"}], "item x: it has no `image`")


@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz", "image.png", "image.mha", "image.nrrd"])
def test_truncated_files_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 20), dtype=np.uint8)
    if name.endswith("png"):
        Image.fromarray(noise[:, :, 0]).save(path)
    elif ".nii" in name:
        save(path, noise)
    else:
        write_itk(path, noise)
    check_items([{"image": str(path)}], require_labels=False)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused([{"image": str(path)}], f"{name}", "truncated", require_labels=False)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.png", "a.jpg", "a.mha", "a.dcm", "a.unknown"])
@pytest.mark.parametrize("content", [b"", b"not an image at all" * 50])
def test_garbage_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    refused([{"image": str(tmp_path / name)}], f"{name}: cannot be read", require_labels=False)


def write_itk(path: Path, values: np.ndarray, spacing: tuple[float, ...] = (1.0, 1.0, 1.0)) -> None:
    itk = _load_itk()
    image = itk.image_from_array(np.ascontiguousarray(values.T))
    image.SetSpacing(spacing)
    itk.imwrite(image, str(path))


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_compressed_file_with_a_changed_bit_or_without_its_checksum(tmp_path: Path, kind: Any) -> None:
    values = np.random.default_rng(0).integers(-900, 900, (16, 15, 14), np.int16)
    path = tmp_path / "a.nii.gz"
    nib.save(kind(values, AFFINE), path)
    whole = path.read_bytes()
    for position in range(1000, len(whole) - 8, 997):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 16]) + whole[position + 1 :])
        with pytest.raises(DataError, match=r"a\.nii\.gz: cannot be read, the file is corrupt"):
            read_array(path)
    path.write_bytes(whole[:-6])
    with pytest.raises(DataError, match=r"a\.nii\.gz: cannot be read, the file is corrupt, truncated"):
        read_array(path)
    for padding in (bytes(512), b"something behind it"):
        path.write_bytes(whole + padding)
        np.testing.assert_array_equal(read_array(path)[0], values)


def test_a_compressed_file_is_scaled_as_its_header_says(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), AFFINE)
    image.header.set_slope_inter(2.0, -10.0)
    nib.save(image, tmp_path / "a.nii.gz")
    expected = nib.load(tmp_path / "a.nii.gz").get_fdata()
    np.testing.assert_array_equal(read_array(tmp_path / "a.nii.gz")[0], expected)


@pytest.mark.parametrize("extension", ["mha", "mhd"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_metaimage_grid_is_that_of_its_values_and_of_monai(
    tmp_path: Path, extension: str, sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = "ObjectType = Image\nNDims = 3\nTransformMatrix = 0 1 0 -0.6 0 0.8 0.8 0 0.6\nOffset = 1 2 3\n"
    header += f"ElementSpacing = {sign * 1.5} 2 8\nDimSize = 3 4 5\nElementType = MET_SHORT\n"
    content = np.arange(60, dtype="<i2").tobytes()
    path = tmp_path / f"a.{extension}"
    if extension == "mha":
        path.write_bytes(header.encode() + b"ElementDataFile = LOCAL\n" + content)
    else:
        path.write_text(header + "ElementDataFile = a.raw\n")
        (tmp_path / "a.raw").write_bytes(content)
    values, grid = read_array(path)
    expected = LoadImage(image_only=True)(path)
    np.testing.assert_array_equal(values, expected.numpy())
    np.testing.assert_allclose(grid.affine, expected.affine.numpy(), atol=1e-12)
    assert grid.shape == values.shape == (3, 4, 5)
    if sign > 0:
        monkeypatch.setattr(grids, "_itk_read", lambda path: pytest.fail("the values were read"))
    assert read_grid(path).spacing == pytest.approx((1.5, 2.0, 8.0))


def test_mha_has_the_axes_and_affine_of_the_same_nifti(tmp_path: Path) -> None:
    write_itk(tmp_path / "a.mha", volume(), (1.5, 2.0, 8.0))
    values, grid = read_array(tmp_path / "a.mha")
    np.testing.assert_array_equal(values, volume())
    assert grid.affine is not None
    np.testing.assert_allclose(grid.affine, np.diag([-1.5, -2.0, 8.0, 1.0]))
    label = save(tmp_path / "label.nii.gz", mask(), np.diag([-1.5, -2.0, 8.0, 1.0]))
    check_items([{"image": str(tmp_path / "a.mha"), "label": label}])


def test_the_grid_is_what_monai_reads(tmp_path: Path) -> None:
    from monai.transforms import LoadImaged

    Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6)).save(tmp_path / "a.png")
    write_itk(tmp_path / "a.mha", volume(), (1.5, 2.0, 8.0))
    for path in (save(tmp_path / "a.nii.gz", volume()), str(tmp_path / "a.png"), str(tmp_path / "a.mha")):
        loaded = LoadImaged(["image"], ensure_channel_first=True)({"image": path})["image"]
        values, grid = read_array(path)
        np.testing.assert_array_equal(loaded[0].numpy(), values)
        assert loaded.pixdim.tolist() == pytest.approx(grid.spacing)


def test_png_size_is_width_then_height(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    grid = read_grid(tmp_path / "a.png")
    assert (grid.shape, grid.channels, grid.spacing) == ((6, 4), 3, (1.0, 1.0))


def test_label_on_another_grid(tmp_path: Path) -> None:
    refused(
        [pair(tmp_path, label=mask()[:, :, :5])], "label.nii.gz: its size (4, 5, 5) differs from (4, 5, 6)"
    )
    shifted = AFFINE.copy()
    shifted[2, 3] = 1.0
    item = {
        "image": save(tmp_path / "i.nii.gz", volume()),
        "label": save(tmp_path / "l.nii.gz", mask(), shifted),
    }
    refused([item], "l.nii.gz: its affine differs", "up to 1 mm")


def test_rotation_shows_at_the_far_corner_and_rounding_does_not(tmp_path: Path) -> None:
    rounded = AFFINE * (1 + 1e-6)
    item = {
        "image": save(tmp_path / "i.nii.gz", volume()),
        "label": save(tmp_path / "l.nii.gz", mask(), rounded),
    }
    check_items([item])
    flipped = np.diag([-1.5, 2.0, 8.0, 1.0])
    item["label"] = save(tmp_path / "l.nii.gz", mask(), flipped)
    refused([item], "corners lie up to 9 mm apart")  # x of the last voxel: 3 * 1.5 against 3 * -1.5


def test_channels_given_as_files_must_share_the_grid(tmp_path: Path) -> None:
    t1, flair = save(tmp_path / "t1.nii.gz", volume()), save(tmp_path / "flair.nii.gz", volume()[:3])
    refused([{"image": [t1, flair], "label": save(tmp_path / "l.nii.gz", mask())}], "flair.nii.gz: its size")
    four = save(tmp_path / "four.nii.gz", np.stack([volume()] * 2, -1))
    check_items([{"image": four, "label": str(tmp_path / "l.nii.gz")}])


@pytest.mark.parametrize(
    ("matrix", "word"), [(np.diag([1.0, np.nan, 1, 1]), "non-finite"), (np.diag([1.0, 1, 0, 1]), "singular")]
)
def test_bad_affines(tmp_path: Path, matrix: np.ndarray, word: str) -> None:
    path = tmp_path / "a.nii"
    save(path, volume())
    patch(path, 280, "<12f", *matrix[:3].ravel())  # srow_x, srow_y, srow_z
    refused([{"image": str(path)}], "a.nii: the affine", word, require_labels=False)


def test_sform_against_pixdim(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    save(path, volume())
    patch(path, 80, "<f", 3.0)  # pixdim[1]
    refused(
        [{"image": str(path)}],
        "a.nii: sform says spacing [1.5, 2.0, 8.0], pixdim says [3.0",
        require_labels=False,
    )


def patch(path: Path, offset: int, layout: str, *values: Any) -> None:
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, offset, *values)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_implausible_size_is_refused_from_the_header(tmp_path: Path, name: str) -> None:
    import gzip
    import tracemalloc

    save(tmp_path / "a.nii", volume())
    patch(tmp_path / "a.nii", 42, "<3h", 30000, 30000, 30000)  # dim[1:4]
    if name.endswith("gz"):
        (tmp_path / name).write_bytes(gzip.compress((tmp_path / "a.nii").read_bytes()))
    tracemalloc.start()
    refused(
        [{"image": str(tmp_path / name)}],
        f"{name}: the header declares 30000x30000x30000",
        require_labels=False,
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_zero_size_is_refused(tmp_path: Path, axis: int) -> None:
    save(tmp_path / "a.nii", volume())
    patch(tmp_path / "a.nii", 42 + 2 * axis, "<h", 0)
    refused([{"image": str(tmp_path / "a.nii")}], "a.nii", require_labels=False)


def test_bad_image_values(tmp_path: Path) -> None:
    some = volume()
    some[0, 0, :2] = np.nan
    refused([pair(tmp_path, image=some)], "image.nii.gz: 2 of its values are NaN")
    refused([pair(tmp_path, image=np.full_like(some, np.nan))], "image.nii.gz: all its values are NaN")
    refused([pair(tmp_path, image=np.ones_like(some))], "image.nii.gz: every voxel has the value 1.0")


def test_label_values(tmp_path: Path) -> None:
    refused(
        [pair(tmp_path, label=mask() * 3)], "label.nii.gz: unexpected label values 3;", label_values=(0, 1)
    )
    check_items([pair(tmp_path, label=mask() * 255)])
    refused([pair(tmp_path, label=mask() * np.float32(0.5))], "unexpected label values 0.5")
    refused([pair(tmp_path, label=-mask().astype(np.int16))], "unexpected label values -1")
    refused([pair(tmp_path, label=mask() * np.float32(np.nan))], "unexpected label values nan")
    refused([pair(tmp_path, label=mask() * 0)], "Every label is empty")


def test_no_labelled_case(tmp_path: Path) -> None:
    refused([{"image": pair(tmp_path)["image"]}], "No case has a label")


def test_all_problems_come_at_once_up_to_a_limit(tmp_path: Path) -> None:
    bad = [{"image": save(tmp_path / f"{k}.nii.gz", np.ones((3, 3), np.float32))} for k in range(5)]
    message = refused(bad, "6 problems in the data", "0.nii.gz", "1.nii.gz", "and 3 more", max_problems=3)
    assert "4.nii.gz" not in message


def test_patient_and_image_in_two_splits() -> None:
    with pytest.raises(DataError, match="patient p is in the sections training and validation"):
        check_splits({"training": [{"patient": "p"}], "validation": [{"patient": "p"}]})
    with pytest.raises(DataError, match=r"image a\.png is in"):
        check_splits({"training": [{"image": "a.png"}], "validation": [{"image": "a.png"}]})
    check_splits(
        {"training": [{"patient": "p", "image": "a"}] * 2, "validation": [{"patient": "q", "image": "b"}]}
    )


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none: the data folder does not exist"):
        check_folder(tmp_path / "none")
    with pytest.raises(DataError, match="the data folder is empty"):
        check_folder(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="this is a file"):
        check_folder(tmp_path / "file")
    assert check_folder(tmp_path) == tmp_path


def test_writable_makes_the_folder_and_leaves_nothing(tmp_path: Path) -> None:
    assert not list(check_writable(tmp_path / "a" / "b").iterdir())


def test_unwritable_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file/out: the output folder cannot be written"):
        check_writable(tmp_path / "file" / "out")

    def full(self: Path, data: bytes) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match="Permission denied"):
        check_writable(tmp_path)


def network(width: int = 3) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(2, width), torch.nn.Linear(width, 1))


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"model": s, "epoch": 3}, lambda s: {"state_dict": s}]
)
def test_own_checkpoint_is_returned(tmp_path: Path, wrap: Any) -> None:
    own = network()
    torch.save(wrap(own.state_dict()), tmp_path / "model.pt")
    state = check_checkpoint(tmp_path / "model.pt", network())
    assert all(torch.equal(state[name], value) for name, value in own.state_dict().items())


def test_checkpoint_of_another_network_names_the_differences(tmp_path: Path) -> None:
    torch.save(network(4).state_dict(), tmp_path / "model.pt")
    with pytest.raises(
        DataError, match=r"model\.pt: .* another network than Sequential: 0\.weight has shape \(4, 2\)"
    ):
        check_checkpoint(tmp_path / "model.pt", network(3))
    torch.save({"other": torch.zeros(1)}, tmp_path / "model.pt")
    with pytest.raises(DataError, match=r"0\.weight is missing; 0\.bias is missing .* and 1 more"):
        check_checkpoint(tmp_path / "model.pt", torch.nn.Sequential(torch.nn.Linear(2, 3)), max_shown=2)


def test_unreadable_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with pytest.raises(DataError, match="does not exist"):
        check_checkpoint(path, network())
    torch.save(network().state_dict(), path)
    whole = path.read_bytes()
    for content in (b"", b"garbage", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"model\.pt: not a checkpoint"):
            check_checkpoint(path, network())
    torch.save({"model": network()}, path)
    with pytest.raises(DataError, match="weights_only=True"):
        check_checkpoint(path, network())
    torch.save({"epoch": 3}, path)
    with pytest.raises(DataError, match="no network weights in it"):
        check_checkpoint(path, network())
