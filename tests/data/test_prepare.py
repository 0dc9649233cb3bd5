"""`monai-levelset prepare` on made-up data: what is refused, what is written, what a second run does."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_levelset.cli import main
from monai_levelset.data import DataError, load_datalist, prepare, slice_files, training_items
from monai_levelset.data.preparation.workers import in_processes
from monai_levelset.data.readers import Case, SourceListing
from monai_levelset.data.split import split

# ITK's SWIG types warn while they are built and crash the interpreter where that raises.
pytestmark = pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")

MODULE = import_module("monai_levelset.data.prepare")
REGISTRY = dict(MODULE.DATASETS)
DRAW = MODULE.draw_montage
SHAPE, SPACING = (9, 8, 4), (1.5, 2.0, 5.0)
CONVERTED: list[str] = []


def convert(case: Case, folder: Path) -> tuple[list[Path], list[Path]]:
    """From .npy to NIfTI; the names are the same for image and label."""
    CONVERTED.append(case.id)
    targets = []
    for role, sources in (("image", case.image), ("label", case.label)):
        for path in sources:
            target = folder / role / f"{case.id}.nii.gz"
            target.parent.mkdir()
            save(target, np.load(path))
            targets.append(target)
    return targets[:1], targets[1:]


def convert_label(case: Case, folder: Path) -> tuple[list[Path], list[Path]]:
    """The image stays, the label is written."""
    save(folder / f"{case.id}.nii.gz", np.load(case.label[0]))
    return [case.image[0]], [folder / f"{case.id}.nii.gz"]


def read_fake(source: Path, *, kind: str = "nii.gz", contour: str = "") -> SourceListing:
    images = [p for p in sorted((source / "images").iterdir()) if not p.name.startswith(".")]
    cases = []
    for image in images:
        name = image.name.split(".")[0]
        label = next(iter(sorted((source / "labels").glob(f"{name}.*"))), None)
        if contour:
            label = source / "labels" / f"{name}-{contour}.npy"
        table = source / "sections.json"
        section = json.loads(table.read_text()).get(name) if table.is_file() else None
        convert_ = {"npy": convert, "gz": None}[image.name.rsplit(".", 1)[1]]
        if convert_ is None and label is not None and label.suffix == ".npy":
            convert_ = convert_label
        labels = () if label is None else (label,)
        cases.append(Case(name, name.split("_")[0], (image,), labels, section, convert_, {"phase": "ED"}))
    names = {"0": "background", "1": "organ", "2": "lesion"}
    return SourceListing(
        "Fake data", "Made up. Licence: CC0.", "CT", names, cases, skipped=["readme.txt: no image"]
    )


def register(monkeypatch: pytest.MonkeyPatch, reader: Any) -> None:
    module = ModuleType("fake_reader")
    module.read_fake = reader
    monkeypatch.setitem(sys.modules, "fake_reader", module)


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    CONVERTED.clear()
    monkeypatch.setattr(MODULE, "draw_montage", lambda *_: None)  # takes longer than all the rest
    register(monkeypatch, read_fake)
    monkeypatch.setattr(
        MODULE, "DATASETS", {"fake": "fake_reader:read_fake", "other": "fake_reader:read_fake"}
    )


def save(path: Path, values: np.ndarray, spacing: tuple[float, ...] = SPACING) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        nib.save(nib.Nifti1Image(values, np.diag([*spacing, 1.0])), path)


def image_of(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(number, 10, SHAPE).astype(np.float32)


def label_of(number: int) -> np.ndarray:
    label = np.zeros(SHAPE, np.uint8)
    label[2 : 4 + number % 3, 2:5, 1:3] = 1
    label[2, 2, 1] = 2
    return label


def write_source(root: Path, count: int = 10, ending: str = "nii.gz") -> Path:
    for number in range(count):
        save(root / "images" / f"p{number:02d}_a.{ending}", image_of(number))
        save(root / "labels" / f"p{number:02d}_a.{ending}", label_of(number))
    return root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "source")


def fingerprint(root: Path) -> dict[str, tuple[str, int]]:
    files = (p for p in sorted(root.rglob("*")) if p.is_file())
    return {str(p): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in files}


def visible(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


def refused(source: Path, out: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        prepare("fake", source, out, workers=1, **options)
    return str(caught.value)


def test_what_is_written(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "draw_montage", DRAW)
    before = fingerprint(source)
    result = prepare("fake", source, tmp_path / "out", workers=1)
    assert fingerprint(source) == before
    assert visible(tmp_path / "out") == [
        "cases.json",
        "datalist.json",
        "montage.png",
        "report.json",
        "report.md",
    ]
    assert dict(result.counts) == {"training": 6, "validation": 2, "test": 2}
    item = load_datalist(result.datalist)[0]
    assert Path(item["image"]) == source / "images" / f"{item['id']}.nii.gz"  # MONAI reads it as it is
    assert (item["patient"], item["phase"], item["spacing"]) == (item["id"][:3], "ED", [1.5, 2.0, 5.0])
    head = json.loads(result.datalist.read_text())
    assert head["labels"]["2"] == "lesion"
    printed = capsys.readouterr().out
    assert f"fake: 6 training, 2 validation, 2 test cases -> {result.datalist}" in printed
    assert "training: 6 labelled, 0 unlabelled" in printed
    assert "readme.txt: no image" in printed


def test_the_numbers_of_the_report(source: Path, tmp_path: Path) -> None:
    prepare("fake", source, tmp_path / "out", workers=1, labeled_fraction=0.5)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["sections"]["training"] == {"cases": 6, "patients": 6, "labeled": 3}
    assert report["size"] == [[9, 9, 9], [8, 8, 8], [4, 4, 4]]
    assert report["spacing"] == [[1.5, 1.5, 1.5], [2, 2, 2], [5, 5, 5]]
    voxel = 1.5 * 2 * 5 / 1000
    organ = [2 * 3 * 2 - 1, 3 * 3 * 2 - 1, 4 * 3 * 2 - 1]  # 4, 3 and 3 of the ten cases
    assert report["label_amount"]["1"]["amount"] == pytest.approx([n * voxel for n in organ])
    assert report["label_amount"]["2"]["amount"] == pytest.approx([voxel] * 3)
    assert (report["label_amount"]["2"]["cases"], report["label_amount"]["2"]["unit"]) == (10, "ml")
    case = report["cases"][3]
    assert case["intensity"][0]["min"] == pytest.approx(image_of(3).min(), abs=1e-5)
    assert case["intensity"][0]["p99"] == pytest.approx(np.percentile(image_of(3), 99), abs=1e-4)
    assert report["intensity"][""]["max"][2] == pytest.approx(
        max(image_of(n).max() for n in range(10)), abs=1e-5
    )
    text = (tmp_path / "out" / "report.md").read_text()
    assert "| training | 6 | 6 | 3 | 3 |" in text
    assert "| spacing, mm | 1.5 x 2 x 5 / 1.5 x 2 x 5 / 1.5 x 2 x 5 |" in text


def test_hidden_labels_are_not_in_the_list_and_known_beside_it(source: Path, tmp_path: Path) -> None:
    result = prepare("fake", source, tmp_path / "out", workers=1, labeled_fraction=0.5, seed=3)
    items = load_datalist(result.datalist)
    hidden = [item["id"] for item in items if not item["labeled"]]
    assert len(hidden) == 3
    text = result.datalist.read_text()
    assert not [name for name in hidden if f"labels/{name}" in text]
    everything = json.loads((tmp_path / "out" / "cases.json").read_text())["cases"]
    assert all("label" in case for case in everything)


def test_the_same_seed_the_same_list_another_seed_another(source: Path, tmp_path: Path) -> None:
    def listed(name: str, seed: int) -> str:
        prepare("fake", source, tmp_path / name, workers=1, seed=seed, labeled_fraction=0.5)
        return (tmp_path / name / "datalist.json").read_text()

    assert listed("a", 1) == listed("b", 1)
    assert listed("a", 2) != listed("b", 1)


def test_every_problem_is_told_at_once_and_nothing_is_written(source: Path, tmp_path: Path) -> None:
    images, labels = source / "images", source / "labels"
    whole = (images / "p00_a.nii.gz").read_bytes()
    (images / "p00_a.nii.gz").write_bytes(whole[: len(whole) // 2])
    (images / "p01_a.nii.gz").write_bytes(b"")
    (labels / "p02_a.nii.gz").unlink()
    (labels / "p02_a.nii.gz").symlink_to(tmp_path / "gone")
    save(labels / "p03_a.nii.gz", label_of(3), (1.0, 2.0, 5.0))
    save(labels / "p04_a.nii.gz", label_of(4)[:-1])
    save(labels / "p05_a.nii.gz", label_of(5) * 2)
    save(images / "p06_a.nii.gz", np.full(SHAPE, 7, np.int16))
    save(images / "p07_a.nii.gz", np.where(image_of(7) > 7, np.nan, image_of(7)))
    for folder, values in ((images, image_of(8)), (labels, label_of(8))):
        save(folder / "p08_a.nii.gz", values, tuple(s / 1000 for s in SPACING))
    before = fingerprint(source)
    message = refused(source, tmp_path / "out")
    for text in (
        "p00_a.nii.gz: cannot be read, the file is corrupt, truncated",
        "p01_a.nii.gz: the file is empty. Unpack or copy it again",
        "p02_a.nii.gz: this label of p02_a is missing",
        "p03_a.nii.gz: its affine differs from its image's",
        "p04_a.nii.gz: its size (8, 8, 4) differs",
        "p05_a.nii.gz: unexpected label values 4; only [0, 1, 2] may occur",
        "p06_a.nii.gz: every voxel has the value 7",
        "values are NaN or infinite",
        "p08_a.nii.gz: its spacing (0.0015, 0.002, 0.005) mm is implausible",
    ):
        assert text in message
    assert "p09" not in message
    assert fingerprint(source) == before
    assert visible(tmp_path / "out") == []


def test_more_than_twenty_problems_are_all_told(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", 25)
    for path in (source / "images").iterdir():
        path.write_bytes(gzip.compress(b"nothing"))
    message = refused(source, tmp_path / "out")
    assert [n for n in range(25) if f"p{n:02d}_a.nii.gz" not in message] == []


def make_twins(source: Path) -> None:
    """Two patients with one image, compressed differently."""
    raw = gzip.decompress((source / "images" / "p01_a.nii.gz").read_bytes())
    (source / "images" / "p07_a.nii.gz").write_bytes(gzip.compress(raw, 1))


def test_one_image_in_two_official_sections_is_refused(source: Path, tmp_path: Path) -> None:
    make_twins(source)
    official = {f"p{n:02d}_a": "test" if n > 4 else "training" for n in range(10)}
    (source / "sections.json").write_text(json.dumps(official))
    message = refused(source, tmp_path / "out")
    assert "p07_a.nii.gz: the same image as" in message
    assert "p01_a.nii.gz, in the sections training and test" in message


def test_patients_who_share_an_image_are_drawn_together(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_twins(source)
    for seed in range(5):
        result = prepare("fake", source, tmp_path / "out", workers=1, seed=seed, labeled_fraction=0.5)
        content = json.loads(result.datalist.read_text())
        parts = [
            {(name, "label" in item) for item in content[name] if item["id"] in ("p01_a", "p07_a")}
            for name in result.counts
        ]
        assert sorted(len(part) for part in parts) == [0, 0, 1]
    assert "p07 and p01 are kept together in one section" in capsys.readouterr().out


def test_one_image_twice_under_one_patient_is_a_note(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("images", "labels"):
        copied = (source / folder / "p01_a.nii.gz").read_bytes()
        (source / folder / "p01_b.nii.gz").write_bytes(copied)
    prepare("fake", source, tmp_path / "out", workers=1)
    assert "p01_b.nii.gz: the same image as" in capsys.readouterr().out


def test_a_patient_in_two_official_sections_is_refused(source: Path, tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (source / folder / "p01_a.nii.gz").rename(source / folder / "p00_b.nii.gz")
    (source / "sections.json").write_text(json.dumps({"p00_a": "training", "p00_b": "test"}))
    message = refused(source, tmp_path / "out")
    assert "patient p00 is in the sections training and test" in message
    assert "p00_a.nii.gz" in message
    assert "p00_b.nii.gz" in message
    assert not (tmp_path / "out").exists()


def test_one_name_twice_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "images" / "p00_a.npy").touch()
    message = refused(source, tmp_path / "out")
    assert "p00_a.nii.gz" in message
    assert "all are case p00_a. Keep one" in message


def test_no_label_or_only_empty_ones(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", 3)
    for number in range(3):
        save(source / "labels" / f"p{number:02d}_a.nii.gz", np.zeros(SHAPE, np.uint8))
    assert "every label is empty" in refused(source, tmp_path / "out")
    for path in (source / "labels").iterdir():
        path.unlink()
    assert "No case has a label" in refused(source, tmp_path / "out")


def test_official_sections_stay_and_a_missing_one_is_drawn_from_training(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", 7)
    official = {f"p{n:02d}_a": "test" if n > 4 else "training" for n in range(7)}
    (source / "sections.json").write_text(json.dumps(official))
    result = prepare("fake", source, tmp_path / "out", workers=1)
    assert dict(result.counts) == {"training": 4, "validation": 1, "test": 2}
    assert [item["id"] for item in load_datalist(result.datalist, "test")] == ["p05_a", "p06_a"]
    assert "official test section" in refused(source, tmp_path / "out", test=0.5)
    result = prepare("fake", source, tmp_path / "out", workers=1, validation=0)
    assert dict(result.counts) == {"training": 5, "test": 2}


def test_converted_files_lie_on_the_sources_grid_beside_the_list(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", 5, "npy")
    result = prepare("fake", source, tmp_path / "out", workers=1)
    assert sorted(CONVERTED) == [f"p{n:02d}_a" for n in range(5)]
    item = load_datalist(result.datalist)[0]
    assert item["image"] == str(tmp_path / "out" / "images" / f"{item['id']}.nii.gz")
    number = int(item["id"][1:3])
    np.testing.assert_array_equal(nib.load(item["image"]).get_fdata(dtype=np.float32), image_of(number))
    np.testing.assert_array_equal(nib.load(item["label"]).get_fdata(), label_of(number))
    assert not list((tmp_path / "out").rglob(".tmp-*"))
    (tmp_path / "out").rename(tmp_path / "elsewhere")  # paths are relative
    assert load_datalist(tmp_path / "elsewhere" / "datalist.json")[0]["labeled"] == 1


def test_a_second_run_does_only_what_changed(tmp_path: Path) -> None:
    source, out = write_source(tmp_path / "source", 5, "npy"), tmp_path / "out"
    prepare("fake", source, out, workers=1)
    (out / "labels" / "mine.nii.gz").write_bytes(b"kept")
    kept = (out / "images" / "p03_a.nii.gz").stat().st_mtime_ns
    CONVERTED.clear()
    prepare("fake", source, out, workers=1, labeled_fraction=0.5)
    assert CONVERTED == []
    save(source / "images" / "p02_a.npy", image_of(99))
    (out / "labels" / "p01_a.nii.gz").unlink()
    for folder in ("images", "labels"):
        (source / folder / "p00_a.npy").unlink()
    prepare("fake", source, out, workers=1)
    assert CONVERTED == ["p01_a", "p02_a"]
    values = nib.load(out / "images" / "p02_a.nii.gz").get_fdata(dtype=np.float32)
    np.testing.assert_array_equal(values, image_of(99))
    assert (out / "images" / "p03_a.nii.gz").stat().st_mtime_ns == kept
    assert visible(out / "images") == [f"p{n:02d}_a.nii.gz" for n in (1, 2, 3, 4)]  # p00 left the source
    assert "mine.nii.gz" in visible(out / "labels")


def test_another_option_converts_anew(tmp_path: Path) -> None:
    source, out = write_source(tmp_path / "source", 3, "npy"), tmp_path / "out"
    for number in range(3):
        save(source / "labels" / f"p{number:02d}_a-inner.npy", label_of(number + 1))
    prepare("fake", source, out, workers=1)
    prepare("fake", source, out, workers=1, contour="inner")
    assert len(CONVERTED) == 6
    label = nib.load(out / "labels" / "p00_a.nii.gz").get_fdata()
    np.testing.assert_array_equal(label, label_of(1))
    assert json.loads((out / "report.json").read_text())["options"] == {"contour": "inner"}


def test_a_changed_reader_converts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_source(tmp_path / "source", 3, "npy")
    for version in (1, 1, 2):
        monkeypatch.setattr(MODULE, "_version", lambda _, v=version: v)
        prepare("fake", source, tmp_path / "out", workers=1)
    assert len(CONVERTED) == 6


def test_a_converter_may_leave_the_image_in_the_source(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", 3)
    for number in range(3):
        (source / "labels" / f"p{number:02d}_a.nii.gz").unlink()
        save(source / "labels" / f"p{number:02d}_a.npy", label_of(number))
    before = fingerprint(source)
    result = prepare("fake", source, tmp_path / "out", workers=1)
    assert fingerprint(source) == before
    item = load_datalist(result.datalist)[0]
    assert Path(item["image"]).parent == source / "images"
    assert Path(item["label"]).parent == tmp_path / "out" / "labels"


def test_a_bad_conversion_names_the_sources_file(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", 4, "npy")
    save(source / "labels" / "p01_a.npy", label_of(1) * 3)
    (source / "images" / "p02_a.npy").write_bytes(b"\x93NUMPY broken")
    message = refused(source, tmp_path / "out")
    assert f"{source / 'labels' / 'p01_a.npy'}: unexpected label values 3, 6" in message
    both = f"{source / 'images' / 'p02_a.npy'}, {source / 'labels' / 'p02_a.npy'}"
    assert f"{both}: cannot be converted" in message
    assert ".tmp-" not in message
    assert visible(tmp_path / "out") == []
    save(source / "labels" / "p01_a.npy", label_of(1))
    save(source / "images" / "p02_a.npy", image_of(2))
    CONVERTED.clear()
    prepare("fake", source, tmp_path / "out", workers=1)
    assert CONVERTED == ["p01_a", "p02_a"]  # the good ones are kept


def test_full_disk_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = write_source(tmp_path / "source", 5, "npy"), tmp_path / "out"
    real: Callable[..., None] = nib.save

    def limited(image: Any, path: Path) -> None:
        real(image, path)
        if "p03" in path.name:
            path.write_bytes(path.read_bytes()[:50])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(nib, "save", limited)
        message = refused(source, out)
    assert "the disk is full (No space left on device). Free some space" in message
    assert visible(out) == []
    assert not list(out.rglob(".tmp-*"))
    CONVERTED.clear()
    prepare("fake", source, out, workers=1)
    assert CONVERTED == ["p03_a", "p04_a"]


def test_full_disk_at_the_end_leaves_the_earlier_list(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    prepare("fake", source, out, workers=1)
    before = (out / "datalist.json").read_bytes()
    real = Path.write_text

    def limited(self: Path, text: str, *args: Any, **kwargs: Any) -> int:
        if self.name.endswith("datalist.json"):
            real(self, text[:100], *args, **kwargs)
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return real(self, text, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", limited)
    assert "the disk is full" in refused(source, out, labeled_fraction=0.5)
    assert (out / "datalist.json").read_bytes() == before
    assert not list(out.rglob(".tmp-*"))


def test_full_disk_while_slices_are_cut(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, real = tmp_path / "out", slice_files._save

    def limited(path: Path, plane: np.ndarray, spacing: tuple[float, ...]) -> None:
        real(path, plane, spacing)
        if "p03" in str(path.parent) and path.name == "label_002.nii":
            path.write_bytes(path.read_bytes()[:50])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(slice_files, "_save", limited)
        assert "the disk is full" in refused(source, out, slices=True)
    assert all((folder / "index.json").is_file() for folder in (out / ".slices").iterdir())
    prepare("fake", source, out, workers=1, slices=True)
    assert len(list((out / ".slices").iterdir())) == 20
    assert len(list((out / ".slices").rglob("*.nii"))) == 20 * SHAPE[2]


KILLED = """
import importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("kill_test", {file!r})
module = importlib.util.module_from_spec(spec)
sys.modules["kill_test"] = module
spec.loader.exec_module(module)
module.MODULE.DATASETS = {{"fake": "kill_test:read_fake"}}
module.MODULE.draw_montage = lambda *_: None
real = module.save
def save(path, values):
    real(path, values)
    if "p02" in path.name:
        path.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
module.save = save
module.prepare("fake", {source!r}, {out!r}, workers=1)
"""


def test_a_killed_run_leaves_nothing_half_written_and_is_continued(tmp_path: Path) -> None:
    source, out = write_source(tmp_path / "source", 5, "npy"), tmp_path / "out"
    code = KILLED.format(file=__file__, source=str(source), out=str(out))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert visible(out) == []
    with (out / ".prepare" / "index.jsonl").open("a") as file:
        file.write('{"id": "p03_a", "ke')  # a line that was not finished
    prepare("fake", source, out, workers=1)
    assert CONVERTED == ["p02_a", "p03_a", "p04_a"]
    assert not list(out.rglob(".tmp-*"))


def test_two_runs_at_once_into_one_folder(tmp_path: Path) -> None:
    source, out = write_source(tmp_path / "source", 5, "npy"), tmp_path / "out"
    wait = "path.parent.name == 'image' and (print('waits', flush=True), sys.stdin.read())"
    code = KILLED.format(file=__file__, source=str(source), out=str(out))
    code = code.replace('path.write_bytes(b"half")', wait).replace("os.kill(os.getpid(), signal.SIGKILL)", "")
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert any(line == "waits\n" for line in other.stdout)
        before = fingerprint(out)
        message = refused(source, out)
        assert message == (
            f"another prepare (process {other.pid}) is writing to {out}; wait for it or give another --out"
        )
        assert fingerprint(out) == before
        prepare("fake", source, tmp_path / "another", workers=1)
        other.communicate("")
    assert other.returncode == 0
    assert dict(prepare("fake", source, out, workers=1).counts)["training"] == 3
    assert [
        f"p{n:02d}_a" for n in range(5)
    ] == CONVERTED  # those of `another`: the other process did the rest


def test_a_refused_run_frees_the_folder(source: Path, tmp_path: Path) -> None:
    (source / "images" / "p00_a.nii.gz").write_bytes(b"")
    for _ in range(2):
        assert "p00_a.nii.gz: the file is empty" in refused(source, tmp_path / "out")
    save(source / "images" / "p00_a.nii.gz", image_of(0))
    assert prepare("fake", source, tmp_path / "out", workers=1).datalist.is_file()


def test_spaces_umlauts_and_a_read_only_source(tmp_path: Path) -> None:
    source = write_source(tmp_path / "Größe der Léber 肝" / "my data", 5, "npy")
    out = tmp_path / "fertig ß" / "out put"
    before = fingerprint(source)
    folders = [source, *(p for p in source.rglob("*") if p.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert main(["prepare", "fake", "--source", str(source), "--out", str(out)]) == 0
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert fingerprint(source) == before
    assert load_datalist(out / "datalist.json")[0]["image"].startswith(str(out))


def test_where_nothing_is_written_to(source: Path, tmp_path: Path) -> None:
    before = fingerprint(source)
    for inside in (source, source / "out", source / ".." / "source" / "out"):
        assert "lies inside the source" in refused(source, inside)
    assert fingerprint(source) == before
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "datalist.json").write_text("{}")
    assert "that this command did not write" in refused(source, tmp_path / "own")
    prepare("other", source, tmp_path / "out", workers=1)
    assert "holds the prepared data set other" in refused(source, tmp_path / "out")


def test_files_that_state_no_spacing_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        for role, values in (("images", image_of(number)), ("labels", label_of(number))):
            save(tmp_path / "in" / role / f"p{number}.nii.gz", values, (1.0, 1.0, 1.0))
    prepare("fake", tmp_path / "in", tmp_path / "out", workers=1)
    assert "note: every affine is the identity" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"labeled_fraction": 0}, "labeled_fraction must be in"),
        ({"validation": 1.0}, "validation must be in"),
        ({"validation": 0.5, "test": 0.5}, "together must be below 1"),
        ({"task": "Task03"}, "--task is no option of fake"),
        ({"workers": 0}, "workers must be at least 1"),
    ],
)
def test_bad_options(source: Path, tmp_path: Path, option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare("fake", source, tmp_path / "out", **option)


def test_slices_are_cut_once(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare("fake", source, out, workers=1, slices=True, labeled_fraction=0.5)
    cut = fingerprint(out / ".slices")
    assert len(list((out / ".slices").iterdir())) == 10 + 7  # images, and the labels of 3 + 2 + 2
    items = training_items(out, cache_dir=out / ".slices", label_values=(0, 1, 2))
    assert len(items) == 6 * SHAPE[2]
    assert fingerprint(out / ".slices") == cut
    split(out, labeled_fraction=1)
    more = training_items(out, cache_dir=out / ".slices", label_values=(0, 1, 2))
    assert sum(item["labeled"] for item in more) == 6 * SHAPE[2]
    assert [item["image"] for item in more] == [item["image"] for item in items]
    after = fingerprint(out / ".slices")
    assert {path: after[path] for path in cut} == cut
    assert len(list((out / ".slices").iterdir())) == 10 + 10


def test_several_processes_find_what_one_finds(data_root: Path, tmp_path: Path) -> None:
    import shutil

    source = tmp_path / "sunnybrook"
    for folder in ("images", "endocardium"):
        (source / folder).mkdir(parents=True)
        for path in sorted((data_root / "lv" / "sunnybrook" / folder).glob("SC-HF-I-0[15]-*.png")):
            shutil.copy(path, source / folder)
    MODULE.DATASETS["sunnybrook"] = "monai_levelset.data.readers.sunnybrook:read_sunnybrook"
    for workers in (1, 2):
        prepare("sunnybrook", source, tmp_path / str(workers), workers=workers)
    one, two = (json.loads((tmp_path / n / "report.json").read_text()) for n in "12")
    assert one == two
    assert one["sections"]["training"]["cases"] > 5


def test_metaimage_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in"
    for number in range(4):
        for role, values in (("image", image_of(number).astype("<i2")), ("label", label_of(number))):
            write_mhd(source / role / f"p{number}.mhd", values)

    def read_mhd(source: Path) -> SourceListing:
        cases = [
            Case(p.stem, p.stem, (p,), (source / "label" / p.name,))
            for p in sorted((source / "image").glob("*.mhd"))
        ]
        return SourceListing("MHD", "", "CT", {"0": "background", "1": "organ", "2": "lesion"}, cases)

    register(monkeypatch, read_mhd)
    prepare("fake", source, tmp_path / "out", workers=1)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["size"] == [[n] * 3 for n in SHAPE]
    assert report["label_amount"]["2"]["amount"] == pytest.approx([0.015] * 3)
    raw = source / "image" / "p2.raw"  # its header stays as it was
    raw.write_bytes(raw.read_bytes()[:-7])
    message = refused(source, tmp_path / "out")
    assert message.startswith(
        f"{source / 'image' / 'p2.mhd'}: cannot be read, the file is corrupt, truncated"
    )


def write_mhd(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {"i": "MET_SHORT", "u": "MET_UCHAR"}[values.dtype.kind]
    head = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "Offset": "0 0 0",
        "ElementSpacing": "1.5 2 5",
        "DimSize": " ".join(map(str, values.shape)),
        "ElementType": kind,
        "ElementDataFile": f"{path.stem}.raw",
    }
    path.write_text("".join(f"{key} = {value}\n" for key, value in head.items()))
    path.with_suffix(".raw").write_bytes(values.tobytes(order="F"))


def test_a_source_with_its_validation_part_only_is_for_evaluation(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "sections.json").write_text(json.dumps({f"p{n:02d}_a": "validation" for n in range(10)}))
    result = prepare("fake", source, tmp_path / "out", workers=1)
    assert dict(result.counts) == {"validation": 10}
    assert "this list is for evaluation only" in capsys.readouterr().out


def test_text_options_stay_text(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []

    def reader(source: Path, **options: str) -> SourceListing:
        asked.append(options)
        return read_fake(source)

    register(monkeypatch, reader)
    words = ["--source", str(source), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(["prepare", "fake", *words, "--sequences", "flair,t1c", "--task", "03"]) == 0
    assert asked == [{"sequences": "flair,t1c", "task": "03"}]


def test_a_killed_process_is_explained() -> None:
    with pytest.raises(DataError, match="a worker process was killed.*--workers 1"):
        list(in_processes(os._exit, [1, 1], workers=2))


def test_images_without_any_label_are_there_to_be_segmented(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reader(source: Path) -> SourceListing:
        cases = [Case(p.name[:3], p.name[:3], (p,)) for p in sorted((source / "images").iterdir())]
        return SourceListing("series", "", "CT", {"0": "background"}, cases)

    register(monkeypatch, reader)
    result = prepare("fake", source, tmp_path / "out", workers=1)
    assert dict(result.counts) == {"test": 10}
    assert not any(item["labeled"] for item in load_datalist(result.datalist, "test"))


def test_every_reader_in_the_registry_is_there() -> None:
    assert set(REGISTRY) >= set("sliver07 sunnybrook acdc promise12 lits msd brats2015 brats".split())
    assert set(REGISTRY) >= set("refuge drishti bsds500 chaos dicom liver_slices".split())
    for target in REGISTRY.values():
        module, function = target.split(":")
        assert callable(getattr(import_module(module), function))
