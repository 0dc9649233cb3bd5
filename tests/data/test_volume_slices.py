"""Volumes preprocessed once and served slice by slice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, Lambdad, LoadImaged, ScaleIntensityRanged

from monai_levelset.data import DataError, VolumeSliceDataset, write_datalist
from monai_levelset.data.cache_folders import describe
from monai_levelset.data.sections import training_volumes

SHAPE = (6, 5, 4)


def save(path: Path, values: np.ndarray) -> str:
    nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    return str(path)


@pytest.fixture
def volumes(tmp_path: Path) -> list[dict[str, Any]]:
    """A labelled case and one without label, of two sequences each; slice 0 of the second is blank."""
    random = np.random.default_rng(0)
    items = []
    for name in ("a", "b"):
        images = []
        for sequence in ("flair", "t1"):
            values = random.uniform(1, 2, SHAPE).astype(np.float32)
            if name == "b":
                values[..., 0] = 0
            images.append(save(tmp_path / f"{name}_{sequence}.nii.gz", values))
        items.append({"image": images, "id": name, "patient": f"patient-{name}"})
    label = (random.uniform(size=SHAPE) > 0.5).astype(np.uint8)
    items[0]["label"] = save(tmp_path / "a_label.nii.gz", label)
    return items


LOAD = LoadImaged(["image", "label"], ensure_channel_first=True, allow_missing_keys=True)


def read(item: dict[str, Any], key: str) -> np.ndarray:
    files = item[key] if isinstance(item[key], list) else [item[key]]
    return np.stack([np.asarray(nib.load(f).dataobj) for f in files])


def test_an_item_is_a_slice_with_its_neighbours(volumes: list[dict[str, Any]], tmp_path: Path) -> None:
    slices = VolumeSliceDataset(volumes, LOAD, tmp_path / "cache", blank=True)
    assert len(slices) == 8
    image, label = read(volumes[0], "image"), read(volumes[0], "label")
    for k in range(4):
        item = slices[k]
        expected = [image[c, :, :, min(max(n, 0), 3)] for c in range(2) for n in (k - 1, k, k + 1)]
        np.testing.assert_allclose(item["image"], np.stack(expected), rtol=1e-3)
        assert np.array_equal(item["label"], label[..., k])
        assert item["image"].dtype == item["label"].dtype == torch.float32
        assert (item["id"], item["patient"], item["slice"], item["labeled"]) == (
            f"a-s00{k}",
            "patient-a",
            k,
            1,
        )


def test_an_unlabelled_case_has_an_empty_label(volumes: list[dict[str, Any]], tmp_path: Path) -> None:
    slices = VolumeSliceDataset(volumes, LOAD, tmp_path / "cache", blank=True)
    assert [item["labeled"] for item in slices.items] == [1] * 4 + [0] * 4
    assert slices[5]["label"].abs().sum() == 0
    assert slices[5]["label"].shape == (1, 6, 5)


def test_blank_slices_are_left_out_but_stay_neighbours(volumes: list[dict[str, Any]], tmp_path: Path) -> None:
    slices = VolumeSliceDataset(volumes, LOAD, tmp_path / "cache")
    assert [item["slice"] for item in slices.items] == [0, 1, 2, 3, 1, 2, 3]
    assert slices[4]["image"][0].abs().sum() == 0


def test_volumes_are_preprocessed_once(volumes: list[dict[str, Any]], tmp_path: Path) -> None:
    calls: list[str] = []

    def count(item: dict[str, Any]) -> Any:
        calls.append(item["id"])
        return LOAD(item)

    first = VolumeSliceDataset(volumes, count, tmp_path / "cache")
    second = VolumeSliceDataset(volumes, count, tmp_path / "cache")
    assert calls == ["a", "b"]
    assert all(torch.equal(first[i]["image"], second[i]["image"]) for i in range(len(first)))
    save(tmp_path / "b_t1.nii.gz", np.full((6, 5, 5), 3, np.float32))
    save(tmp_path / "b_flair.nii.gz", np.arange(150, dtype=np.float32).reshape(6, 5, 5))
    assert len(VolumeSliceDataset(volumes, count, tmp_path / "cache", blank=True)) == 9
    assert calls == ["a", "b", "b"]


def test_other_settings_of_a_transform_are_another_cache(
    volumes: list[dict[str, Any]], tmp_path: Path
) -> None:
    def scaled(top: float) -> VolumeSliceDataset:
        scale = ScaleIntensityRanged("image", 0, 2, 0, top)
        return VolumeSliceDataset(volumes, Compose([LOAD, scale]), tmp_path / "cache")

    assert torch.allclose(2 * scaled(1)[0]["image"], scaled(2)[0]["image"], rtol=1e-2)


def test_a_transform_is_described_alike_in_every_process() -> None:
    code = (
        "from monai.transforms import Compose, Orientationd, RandFlipd, Spacingd\n"
        "from monai_levelset.data.cache_folders import describe\n"
        "turn = Orientationd('image', 'RAS', labels=None)\n"
        "t = Compose([turn, Spacingd('image', (1, 2, -1)), RandFlipd('image')])\n"
        "print(describe(t))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(found) == 1
    assert "RAS" in found.pop()


def test_describing_plain_values() -> None:
    assert describe({"b": (1, None), "a": np.arange(2), "f": len}) == {
        "a": [0, 1],
        "b": [1, None],
        "f": "len",
    }


def test_a_broken_file_is_named_and_leaves_nothing(volumes: list[dict[str, Any]], tmp_path: Path) -> None:
    broken = tmp_path / "b_t1.nii.gz"
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(DataError, match=r"b_flair.nii.gz: this case cannot be preprocessed"):
        VolumeSliceDataset(volumes, LOAD, tmp_path / "cache")
    assert [path.name.split("-")[0] for path in (tmp_path / "cache").iterdir()] == ["a"]


def test_image_and_label_that_end_up_apart(volumes: list[dict[str, Any]], tmp_path: Path) -> None:
    cut = Compose([LOAD, Lambdad("image", lambda x: x[:, :3])])
    with pytest.raises(
        DataError, match=r"a_flair.nii.gz: after preprocessing its image has the size \(3, 5, 4\)"
    ):
        VolumeSliceDataset(volumes, cut, tmp_path / "cache")


def test_a_picture_is_a_volume_of_one_slice(tmp_path: Path) -> None:
    file = save(tmp_path / "flat.nii.gz", np.random.default_rng(0).uniform(size=(6, 5)).astype(np.float32))
    (item,) = VolumeSliceDataset([{"image": file}], LOAD, tmp_path / "cache")
    assert item["image"].shape == (3, 6, 5)
    assert torch.equal(item["image"][0], item["image"][2])


def test_sequences_are_counted(volumes: list[dict[str, Any]], tmp_path: Path) -> None:
    volumes[1]["image"] = volumes[1]["image"][:1]
    write_datalist(tmp_path / "datalist.json", {"training": volumes})
    with pytest.raises(DataError, match=r"b: it has 1 sequence\(s\) \(b_flair.nii.gz\), but 2 are expected"):
        training_volumes(tmp_path, channels=2)


def test_volumes_of_a_section(volumes: list[dict[str, Any]], tmp_path: Path) -> None:
    write_datalist(tmp_path / "datalist.json", {"training": volumes})
    assert [item["id"] for item in training_volumes(tmp_path, channels=2)] == ["a", "b"]
    assert [item["id"] for item in training_volumes(tmp_path, keep="unlabeled")] == ["b"]
    with pytest.raises(ValueError, match="`keep` must be"):
        training_volumes(tmp_path, keep="none")
    with pytest.raises(DataError, match="unexpected label values 1"):
        training_volumes(tmp_path, label_values=(0, 2))
