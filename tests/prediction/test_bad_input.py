"""Files that must not become a result are told with what is wrong and how to mend it."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_levelset.data import DataError
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.prediction import SomeFailed, predict

BUNDLE = "lv_mri_levelset_segmentation"
AFFINE = np.diag([1.5, 1.5, 8.0, 1.0])


def volume() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, (40, 40, 3)).astype(np.float32)


def nothing_but_nan(path: Path) -> None:
    nib.save(nib.Nifti1Image(np.full((40, 40, 3), np.nan, np.float32), AFFINE), path)


def some_nan(path: Path) -> None:
    values = volume()
    values[3, 4, 1] = np.nan
    nib.save(nib.Nifti1Image(values, AFFINE), path)


def one_value(path: Path) -> None:
    nib.save(nib.Nifti1Image(np.full((40, 40, 3), 7, np.float32), AFFINE), path)


def singular(path: Path) -> None:
    image = nib.Nifti1Image(volume(), AFFINE)
    image.header.set_sform(np.diag([1.5, 0, 8, 1]), code=1)
    image.header["qform_code"] = 0
    image.to_filename(path)
    rewrite(path, 280, struct.pack("<12f", 1.5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0))


def sform_against_pixdim(path: Path) -> None:
    nib.save(nib.Nifti1Image(volume(), AFFINE), path)
    rewrite(path, 80, struct.pack("<f", 3.0))


def declares_more_than_it_holds(path: Path) -> None:
    nib.save(nib.Nifti1Image(volume(), AFFINE), path)
    rewrite(path, 42, struct.pack("<3h", 30000, 30000, 30000))


def cut_short(path: Path) -> None:
    nib.save(nib.Nifti1Image(volume(), AFFINE), path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def rewrite(path: Path, offset: int, content: bytes) -> None:
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[offset : offset + len(content)] = content
    path.write_bytes(gzip.compress(bytes(data)))


BAD: dict[Callable[[Path], None], str] = {
    nothing_but_nan: "all its values are NaN or infinite. Convert the image again",
    some_nan: "1 of its values are NaN or infinite",
    one_value: "every voxel has the value 7.0",
    singular: "the affine is singular",
    sform_against_pixdim: "sform says spacing .*, pixdim says .* Find out which is right",
    declares_more_than_it_holds: "the header declares 30000x30000x30000 voxels .* the file cannot hold",
    cut_short: "cannot be read, the file is corrupt, truncated",
}


def test_every_unfit_file_is_told_and_the_sound_one_predicted(tmp_path: Path) -> None:
    generate_phantoms("lv", tmp_path / "data", cases=1, seed=4)
    images = tmp_path / "in"
    images.mkdir()
    shutil.copy(tmp_path / "data/images/lv_000.nii.gz", images / "sound.nii.gz")
    for make in BAD:
        make(images / f"{make.__name__}.nii.gz")
    with pytest.raises(SomeFailed, match="7 of 8 cases failed, the first: cut_short: "):
        predict(BUNDLE, images, tmp_path / "out")
    report = json.loads((tmp_path / "out/report.json").read_text())
    told = {case["id"]: case for case in report["cases"]}
    for make, message in BAD.items():
        case = told[make.__name__]
        assert case["status"] == "failed"
        assert re.search(message, case["error"])
        assert f"{make.__name__}.nii.gz: " in case["error"]
        assert "traceback" not in case
    assert [path.name for path in (tmp_path / "out").glob("*.nii.gz")] == ["sound.nii.gz"]
    assert not list((tmp_path / "out").rglob(".tmp-*"))


class Evil:
    """Unpickled, it would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return _touch, (str(self.path),)


def _touch(path: str) -> None:
    Path(path).touch()


def test_weights_cannot_run_code(tmp_path: Path) -> None:
    generate_phantoms("lv", tmp_path / "data", cases=1, seed=4)
    torch.save({"weight": Evil(tmp_path / "was run")}, tmp_path / "evil.pt")
    with pytest.raises(DataError, match=r"evil\.pt: "):
        predict(BUNDLE, tmp_path / "data/images", tmp_path / "out", checkpoint=tmp_path / "evil.pt")
    assert not (tmp_path / "was run").exists()
