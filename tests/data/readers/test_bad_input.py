"""Every data set through `prepare`, in folders with spaces and letters of all kinds, whole and cut short."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_levelset.cli import main
from monai_levelset.data import DataError, check_folder, load_datalist, prepare

# ITK's SWIG types warn while they are built and crash the interpreter where that raises.
pytestmark = pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")

MODULE = import_module("monai_levelset.data.prepare")
PLACE = Path("Größe der Léber 肝") / "my data (1)"


def layouts(name: str) -> Any:
    """The functions of a neighbouring test that write the official layout."""
    spec = spec_from_file_location(f"layouts_{name}", Path(__file__).with_name(f"test_{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def acdc(root: Path) -> None:
    for number in (1, 2, 3):
        layouts("acdc").write_patient(root / "training", number)


def brats2015(root: Path) -> None:
    for number in (1, 2, 3):
        layouts("brats").write_2015(root / "BRATS2015_Training" / "HGG", f"brats_2013_pat{number:04d}_1")


def brats(root: Path) -> None:
    for number in (1, 2, 3):
        layouts("brats").write_case(root / "MICCAI_BraTS_2018_Data_Training" / "HGG", f"Brats18_X_{number}_1")


def bsds500(root: Path) -> None:
    for part, name in (("train", "100075"), ("train", "100080"), ("val", "3096")):
        image = root / "BSDS500" / "data" / "images" / part / f"{name}.jpg"
        layouts("bsds500").write_image(image)
        write_noise(image, int(name))
        layouts("bsds500").write_mat(root / "BSDS500" / "data" / "groundTruth" / part / f"{name}.mat", (3, 7))


def chaos(root: Path) -> None:
    for number in (1, 2, 5):
        layouts("dicom").write_chaos(root / "Train_Sets" / "CT", number, first=1)


def drishti(root: Path) -> None:
    for name in ("002", "008", "010"):
        layouts("drishti").write_part(root / "Drishti-GS1_files" / "Training", "GT", f"drishtiGS_{name}")


def lits(root: Path) -> None:
    for number in (0, 1, 2):
        layouts("lits").write_pair(root / "Training Batch 1", number)


def liver_slices(root: Path) -> None:
    for name in ("flipped_10001_103", "flipped_10002_7", "flipped_10003_7"):
        layouts("slices8bit").write_image(root / "images" / f"{name}.jpg")
        layouts("slices8bit").write_label(root / "labels" / f"{name}.png")


def msd(root: Path) -> None:
    layouts("msd").write_task(root / "Task03_Liver", numbers=(0, 10, 11))
    for seed, path in enumerate(sorted(root.glob("*/images*/[!.]*"))):
        write_noise(path, seed)


def promise12(root: Path) -> None:
    for number, compressed in enumerate((False, True, False)):
        layouts("promise12").write_case(
            root / "TrainingData_Part1", f"Case{number:02d}", compressed=compressed
        )


def refuge(root: Path) -> None:
    module = layouts("refuge")
    for folder, name in (("Glaucoma", "g0001"), ("Non-Glaucoma", "n0001"), ("Non-Glaucoma", "n0002")):
        module.write_photograph(root / "REFUGE-Training400" / "Training400" / folder / f"{name}.jpg")
        module.write_mask(root / "Annotation-Training400" / "Disc_Cup_Masks" / folder / f"{name}.bmp")


def sliver07(root: Path) -> None:
    layouts("sliver07").write_set(root, numbers=(1, 2, 3))


#: Writer of a source, and the ends of two files of it, one with an image and one with a label.
SOURCES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "acdc": (acdc, "frame01.nii.gz", "frame01_gt.nii.gz"),
    "brats": (brats, "t1ce.nii.gz", "seg.nii.gz"),
    "brats2015": (brats2015, "Flair.54512.mha", "OT.54517.mha"),
    "bsds500": (bsds500, "100075.jpg", "100075.mat"),
    "chaos": (chaos, "1/DICOM_anon/i0003,0000b.dcm", "1/Ground/liver_GT_001.png"),
    "drishti": (drishti, "drishtiGS_002.png", "002_ODsegSoftmap.png"),
    "lits": (lits, "volume-0.nii", "segmentation-1.nii"),
    "liver_slices": (liver_slices, "10001_103.jpg", "10001_103.png"),
    "msd": (msd, "imagesTr/liver_0.nii.gz", "labelsTr/liver_0.nii.gz"),
    "promise12": (promise12, "Case00.raw", "Case02_segmentation.raw"),
    "refuge": (refuge, "g0001.jpg", "g0001.bmp"),
    "sliver07": (sliver07, "orig001.raw", "seg002.raw"),
}


def write_noise(path: Path, seed: int) -> None:
    """Another image in each file, as large as the one that is there."""
    if path.suffix == ".jpg":
        with Image.open(path) as image:
            size = image.size[::-1]
        values = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(values).save(path)
    else:
        image = nib.load(path)
        values = np.random.default_rng(seed).normal(size=image.shape).astype(np.float32)
        nib.save(nib.Nifti1Image(values, image.affine), path)


def fingerprint(root: Path) -> dict[str, tuple[str, int]]:
    files = (p for p in sorted(root.rglob("*")) if p.is_file())
    return {str(p): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in files}


def visible(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) if folder.exists() else []


@pytest.fixture(autouse=True)
def no_montage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "draw_montage", lambda *_: None)


@pytest.mark.parametrize("dataset", SOURCES)
def test_names_of_all_kinds_and_files_cut_short(dataset: str, tmp_path: Path) -> None:
    write, *ends = SOURCES[dataset]
    source, out = tmp_path / PLACE / "in", tmp_path / PLACE / "out"
    write(source)
    before = fingerprint(source)
    prepare(dataset, source, out, workers=1)
    assert fingerprint(source) == before
    items = [item for part in ("training", "validation", "test") for item in listed(out, part)]
    assert len(items) >= 3
    paths = [item[role] for item in items for role in ("image", "label") if role in item]
    assert all(Path(p).is_file() for path in paths for p in ([path] if isinstance(path, str) else path))

    files = [path for path in sorted(source.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    bad = [next(path for path in files if path.as_posix().endswith(end)) for end in ends]
    for path in bad:
        size = path.stat().st_size  # of so small a DICOM file most is header
        path.write_bytes(path.read_bytes()[: size - 20 if path.suffix == ".dcm" else size * 3 // 4])
    before = fingerprint(source)
    with pytest.raises(DataError) as caught:
        prepare(dataset, source, tmp_path / "second", workers=1)
    message = str(caught.value)
    for path in bad:
        assert any(f"{path.with_suffix(end)}: " in message for end in (path.suffix, ".mhd"))
    assert message.count("again") >= 2
    assert ".tmp-" not in message
    assert fingerprint(source) == before
    assert visible(tmp_path / "second") == []


def listed(out: Path, part: str) -> list[dict[str, Any]]:
    content = json.loads((out / "datalist.json").read_text(encoding="utf-8"))
    return load_datalist(out / "datalist.json", part) if content.get(part) else []


@pytest.mark.parametrize("name", ["my data.zip", "data.tar.gz", "DATA.TGZ", "part.7z", "a.rar"])
def test_an_archive_is_no_source(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "text" * 100)
    with pytest.raises(DataError) as caught:
        prepare("acdc", path, tmp_path / "out")
    assert str(caught.value) == f"{path}: this is an archive. Unpack it and give the folder."
    assert not (tmp_path / "out").exists()


def test_an_archive_cut_short_is_told_from_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "text" * 100)
    path.write_bytes(path.read_bytes()[:300])
    message = "data.zip: this archive is truncated or broken. Copy or download it again"
    with pytest.raises(DataError, match=message):
        check_folder(path)
    with pytest.raises(DataError, match=r"volume\.nii\.gz: this is a file\. Give the folder"):
        check_folder(path.rename(tmp_path / "volume.nii.gz"))


def test_archives_in_the_source_are_named_where_something_is_missing(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "deeper").mkdir(parents=True)
    for name in ("training.zip", "deeper/testing.tar.gz", "._training.zip"):
        (source / name).write_bytes(b"packed")
    with pytest.raises(DataError) as caught:
        prepare("acdc", source, tmp_path / "out")
    *_, advice, first, second = str(caught.value).splitlines()
    assert advice == "These archives are not unpacked; unpack them where they hold what is missing:"
    assert (first, second) == (f"- {source / 'deeper' / 'testing.tar.gz'}", f"- {source / 'training.zip'}")
    assert not (tmp_path / "out").exists()


def test_archives_beside_a_whole_source_are_noted_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    lits(source)
    (source / "Training_Batch2.zip").write_bytes(b"packed")
    prepare("lits", source, tmp_path / "out", workers=1)
    printed = capsys.readouterr().out
    assert printed.count("Training_Batch2.zip") == 1


@pytest.mark.skipif(os.name != "posix", reason="names of bytes are POSIX")
def test_a_name_that_is_no_text_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in"
    lits(source)
    part = os.fsencode(source / "Training Batch 1")
    os.rename(part, part + b" L\xf6we")
    (source / "notes.nii").write_text("mine")
    words = ["--source", str(source), "--out", str(tmp_path / "out")]
    assert main(["prepare", "lits", *words]) == 1
    error = capsys.readouterr().err
    for name in ("volume-0.nii", "segmentation-2.nii"):
        assert f"Training Batch 1 L\\xf6we/{name}: a name with bytes that are no UTF-8. Rename" in error
    assert not (tmp_path / "out").exists()
    os.rename(part + b" L\xf6we", part)
    bad_out = os.fsdecode(os.fsencode(tmp_path / "out") + b"\xf6")
    assert main(["prepare", "lits", *words[:-1], bad_out]) == 1
    assert "out\\xf6: a name with bytes that are no UTF-8. Choose another folder" in capsys.readouterr().err
    os.rename(source / "notes.nii", os.fsencode(source) + b"/n\xf6tes.nii")
    assert main(["prepare", "lits", *words]) == 0
    assert "n\\xf6tes.nii: not named like LiTS" in (tmp_path / "out" / "report.md").read_text()
