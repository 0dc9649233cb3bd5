"""Decathlon tasks: dataset.json as it is distributed, 3D and 4D images."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import LoadImaged

from monai_levelset.data.checks import check_items
from monai_levelset.data.errors import DataError
from monai_levelset.data.readers.msd import read_msd

SHAPE = (6, 7, 5)
HEAD = {
    "name": "Liver",
    "description": "Liver and cancer segmentation",
    "reference": "IRCAD Hôpitaux Universitaires",
    "licence": "CC-BY-SA 4.0",
    "release": "1.0 06/08/2018",
    "tensorImageSize": "3D",
    "modality": {"0": "CT"},
    "labels": {"0": "background", "1": "liver", "2": "cancer"},
}


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.diag([0.8, 0.8, 2.5, 1.0])), path)


def write_task(root, name="liver", *, channels=0, numbers=(0, 10), **head):
    shape = (*SHAPE, channels) if channels else SHAPE
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:3, 2:4, 1:4] = 1
    for n in numbers:
        save(root / "imagesTr" / f"{name}_{n}.nii.gz", image)
        save(root / "labelsTr" / f"{name}_{n}.nii.gz", mask)
        (root / "imagesTr" / f"._{name}_{n}.nii.gz").write_bytes(b"junk")
    save(root / "imagesTs" / f"{name}_1.nii.gz", image)
    (root / "._dataset.json").write_bytes(b"\x00junk")
    training = [
        {"image": f"./imagesTr/{name}_{n}.nii.gz", "label": f"./labelsTr/{name}_{n}.nii.gz"} for n in numbers
    ]
    content = {**HEAD, "numTraining": len(numbers), "numTest": 1, **head}
    content |= {"training": training, "test": [f"./imagesTs/{name}_1.nii.gz"]}
    (root / "dataset.json").write_text(json.dumps(content))
    return image


def test_the_official_layout(tmp_path):
    root = tmp_path / "Übung 3" / "Task03_Liver"
    write_task(root)
    dataset = read_msd(tmp_path)
    assert [(c.id, c.section, len(c.label)) for c in dataset.cases] == [
        ("liver_0", None, 1),
        ("liver_10", None, 1),
        ("liver_1", "test", 0),
    ]
    assert (dataset.name, dataset.modality, tuple(dataset.channels)) == ("MSD Task03_Liver", "CT", ())
    assert dataset.labels == {"0": "background", "1": "liver", "2": "cancer"}
    assert "CC-BY-SA 4.0" in dataset.description
    assert dataset.skipped == []
    assert all(case.convert is None for case in dataset.cases)
    pairs = [{"image": str(c.image[0]), "label": str(c.label[0])} for c in dataset.cases if c.label]
    check_items(pairs, label_values=(0, 1, 2))


def test_images_of_several_sequences_are_channels(tmp_path):
    modality = {"2": "t1gd", "0": "FLAIR", "1": "T1w", "3": "T2w"}
    image = write_task(tmp_path / "Task01_BrainTumour", "BRATS", channels=4, modality=modality)
    dataset = read_msd(tmp_path / "Task01_BrainTumour")
    assert dataset.channels == ["FLAIR", "T1w", "t1gd", "T2w"]
    case = dataset.cases[0]
    item = {"image": str(case.image[0]), "label": str(case.label[0])}
    check_items([item], label_values=(0, 1))
    loaded = LoadImaged(["image", "label"], ensure_channel_first=True)(item)
    assert loaded["image"].shape == (4, *SHAPE)
    assert loaded["label"].shape == (1, *SHAPE)
    np.testing.assert_array_equal(loaded["image"].numpy(), np.moveaxis(image, -1, 0))


def test_one_of_several_tasks_is_chosen_by_its_beginning(tmp_path):
    write_task(tmp_path / "Task03_Liver")
    write_task(tmp_path / "Task09_Spleen", "spleen")
    assert read_msd(tmp_path, task="task09").cases[0].id == "spleen_0"
    with pytest.raises(DataError, match="several tasks fit: Task03_Liver, Task09_Spleen"):
        read_msd(tmp_path)
    with pytest.raises(DataError, match="no task begins with 'Task05'"):
        read_msd(tmp_path, task="Task05")


def test_files_that_are_not_listed_are_reported_and_decompressed_ones_found(tmp_path):
    write_task(tmp_path)
    extra = tmp_path / "imagesTr" / "liver_99.nii.gz"
    save(extra, np.ones(SHAPE, np.float32))
    (tmp_path / "imagesTr" / "liver_0.nii.gz").unlink()
    save(tmp_path / "imagesTr" / "liver_0.nii", np.ones(SHAPE, np.float32))
    dataset = read_msd(tmp_path)
    assert dataset.skipped == [f"{extra}: dataset.json does not list it"]
    assert dataset.cases[0].image[0].name == "liver_0.nii"
    assert dataset.cases[0].id == "liver_0"


def test_every_listed_file_that_is_missing_is_named(tmp_path):
    write_task(tmp_path, numbers=(0, 1, 2))
    for name in ("imagesTr/liver_0.nii.gz", "labelsTr/liver_2.nii.gz", "imagesTs/liver_1.nii.gz"):
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match=r"[34] problems") as caught:
        read_msd(tmp_path)
    for name in ("imagesTr/liver_0.nii.gz", "labelsTr/liver_2.nii.gz", "imagesTs/liver_1.nii.gz"):
        assert f"{tmp_path / name}: missing, dataset.json lists it" in str(caught.value)


def test_broken_lists(tmp_path):
    write_task(tmp_path)
    path = tmp_path / "dataset.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "training": content["training"] * 2}))
    with pytest.raises(DataError, match="liver_0 is listed twice"):
        read_msd(tmp_path)
    path.write_text(json.dumps({**content, "training": [{"label": "x"}]}))
    with pytest.raises(DataError, match="names no image"):
        read_msd(tmp_path)
    path.write_text(json.dumps({**content, "training": []}))
    with pytest.raises(DataError, match="training list is empty"):
        read_msd(tmp_path)
    path.write_text(json.dumps({"training": content["training"]}))
    with pytest.raises(DataError, match="no labels, no modality"):
        read_msd(tmp_path)
    path.write_text("{")
    with pytest.raises(DataError, match="broken JSON"):
        read_msd(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"no dataset\.json"):
        read_msd(tmp_path)
