"""Cases of several MR sequences found in a folder."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_levelset.data import DataError
from monai_levelset.data.sequences import one_sequence_per_case, sequence_cases


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_layouts_of_brats(tmp_path: Path) -> None:
    touch(tmp_path, "HGG/Brats18_1/Brats18_1_flair.nii.gz", "HGG/Brats18_1/Brats18_1_t1ce.nii.gz")
    touch(tmp_path, "BraTS-GLI-1/BraTS-GLI-1-t2f.nii.gz", "BraTS-GLI-1/BraTS-GLI-1-t1c.nii.gz")
    touch(tmp_path, "BraTS-GLI-1/BraTS-GLI-1-seg.nii.gz", "BraTS-GLI-1/BraTS-GLI-1-t2w.nii.gz")
    cases = sequence_cases(tmp_path, ["t1c", "flair"])
    assert [case["id"] for case in cases] == ["BraTS-GLI-1", "HGG_Brats18_1"]
    assert [Path(p).name for p in cases[0]["image"]] == ["BraTS-GLI-1-t1c.nii.gz", "BraTS-GLI-1-t2f.nii.gz"]


def test_a_folder_that_is_itself_a_case(tmp_path: Path) -> None:
    touch(tmp_path, "p1/flair.nii", "p1/t1.nii")
    assert [case["id"] for case in sequence_cases(tmp_path / "p1", ["flair", "t1"])] == ["p1"]


def test_files_with_all_sequences(tmp_path: Path) -> None:
    for name in ("a.b.nii.gz", "c.nii.gz"):
        nib.save(nib.Nifti1Image(np.zeros((3, 3, 2, 2), np.float32), np.eye(4)), tmp_path / name)
    assert [case["id"] for case in sequence_cases(tmp_path, ["flair", "t1"])] == ["a.b", "c"]
    with pytest.raises(DataError, match=r"(?s)2 problems.*a.b.nii.gz: it has 2 channel\(s\).*takes 1, flair"):
        sequence_cases(tmp_path, ["flair"])


def test_every_problem_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a/flair.nii.gz", "b/t1.nii.gz", "b/b_flair.nii.gz", "b/flair.nii.gz", "c/t2.nii.gz")
    with pytest.raises(DataError) as caught:
        sequence_cases(tmp_path, ["flair", "t1"])
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "/a: the sequence t1 is missing" in lines[1]
    assert "b/flair.nii.gz: b_flair.nii.gz beside it is the sequence flair, too" in lines[2]
    problems: dict[str, str] = {}
    assert sequence_cases(tmp_path, ["flair"], problems=problems)[0]["id"] == "a"
    assert list(problems) == ["b"]
    assert sequence_cases(tmp_path / "c/t2.nii.gz", ["t2"])[0]["id"] == "c"


def test_one_name_twice(tmp_path: Path) -> None:
    touch(tmp_path, "x/y/flair.nii.gz", "x_y/flair.nii.gz")
    with pytest.raises(DataError, match="another case is called x_y"):
        sequence_cases(tmp_path, ["flair"])


def test_nothing_there(tmp_path: Path) -> None:
    touch(tmp_path, "readme.txt", "a/t2.nii.gz")
    with pytest.raises(
        DataError, match=r"no case is here. Give folders with a file per sequence \(flair, t1\)"
    ):
        sequence_cases(tmp_path, ["flair", "t1"])


def test_a_picture_per_case(tmp_path: Path) -> None:
    touch(tmp_path, "a/t2.nii.gz", "a/t1.nii.gz", "b/c/b_flair.nii.gz", "b/c/b_t1.nii.gz", "d/label.nii.gz")
    found = one_sequence_per_case(tmp_path)
    assert {name: file.name for name, file in found.items()} == {"a": "t1.nii.gz", "b_c": "b_flair.nii.gz"}
