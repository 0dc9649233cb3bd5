"""The official layouts of BRATS 2015 and the later BraTS, only with smaller volumes."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_levelset.data import DataError, check_items
from monai_levelset.data.grids import read_array
from monai_levelset.data.readers.brats import LABELS, SEQUENCES, read_brats

SHAPE = (6, 5, 4)  # x, y, z
OFFSETS_2015 = {"MR_Flair": 54512, "MR_T1": 54513, "MR_T1c": 54514, "MR_T2": 54515}


def volume(seed: int, *, label: bool = False, top: int = 4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, top + 1 if label else 900, SHAPE).astype(np.int16)


def write_mha(path: Path, values: np.ndarray) -> None:
    import SimpleITK as sitk

    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(values.T)
    image.SetOrigin((0, -239, 0))
    sitk.WriteImage(image, str(path), useCompression=True)


def write_2015(part: Path, name: str, *, label: bool = True) -> Path:
    case = part / name
    for seed, (sequence, number) in enumerate(OFFSETS_2015.items()):
        folder = f"VSD.Brain.XX.O.{sequence}.{number}"
        write_mha(case / folder / f"{folder}.mha", volume(seed))
    if label:
        write_mha(
            case / "VSD.Brain_3more.XX.O.OT.54517" / "VSD.Brain_3more.XX.O.OT.54517.mha",
            volume(9, label=True),
        )
    return case


def write_nifti(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(values, affine), path)


def write_case(
    part: Path,
    name: str,
    roles: tuple[str, ...] = ("flair", "t1", "t1ce", "t2", "seg"),
    *,
    sep: str = "_",
    suffix: str = ".nii.gz",
) -> Path:
    for seed, role in enumerate(roles):
        write_nifti(part / name / f"{name}{sep}{role}{suffix}", volume(seed, label=role == "seg", top=2))
    return part / name


def items(cases: object) -> list[dict[str, object]]:
    return [
        {"id": c.id, "image": list(c.image), **({"label": c.label[0]} if c.label else {})}
        for c in cases  # type: ignore[attr-defined]
    ]


@pytest.fixture
def brats2015(tmp_path: Path) -> Path:
    source = tmp_path / "mein Archiv ü"
    for grade in ("HGG", "LGG"):
        write_2015(source / "BRATS2015_Training" / grade, "brats_2013_pat0001_1")
    for visit in ("0002", "0181"):
        write_2015(source / "BRATS2015_Training" / "HGG", f"brats_tcia_pat153_{visit}")
    write_2015(source / "BRATS2015_Testing" / "HGG_LGG", "brats_2013_pat0103_1", label=False)
    junk = source / "__MACOSX" / "HGG" / "brats_2013_pat0001_1"
    junk.mkdir(parents=True)
    (junk / "._VSD.Brain.XX.O.MR_T1.54513.mha").write_bytes(b"\0")
    return source


def test_brats_2015(brats2015: Path) -> None:
    found = read_brats(brats2015)
    assert found.name == "BRATS 2015"
    assert found.channels == SEQUENCES == ("flair", "t1", "t1c", "t2")
    assert set(found.labels) == {"0", "1", "2", "3", "4"}
    facts = {
        case.id: (case.patient, case.section, len(case.label), case.extra.get("grade"))
        for case in found.cases
    }
    assert facts == {
        "HGG_brats_2013_pat0001_1": ("HGG_brats_2013_pat0001", None, 1, "HGG"),
        "LGG_brats_2013_pat0001_1": ("LGG_brats_2013_pat0001", None, 1, "LGG"),
        "brats_tcia_pat153_0002": ("brats_tcia_pat153", None, 1, "HGG"),
        "brats_tcia_pat153_0181": ("brats_tcia_pat153", None, 1, "HGG"),
        "brats_2013_pat0103_1": ("brats_2013_pat0103", "test", 0, None),
    }
    assert not found.skipped
    assert all(case.convert is None for case in found.cases)


def test_brats_2015_files_are_read_as_they_are_on_one_grid(brats2015: Path) -> None:
    cases = read_brats(brats2015, sequences="t2, FLAIR").cases
    check_items(items(cases), label_values=range(5))
    first = cases[0]
    assert [path.name for path in first.image] == [
        "VSD.Brain.XX.O.MR_Flair.54512.mha",
        "VSD.Brain.XX.O.MR_T2.54515.mha",
    ]
    values, grid = read_array(first.image[1])
    np.testing.assert_array_equal(values, volume(3))
    assert grid.affine is not None
    np.testing.assert_allclose(grid.affine[:3, 3], [0, 239, 0])


@pytest.mark.parametrize("inside", ["", "BRATS2015_Testing", "BRATS2015_Testing/HGG_LGG"])
def test_a_part_alone_may_be_the_source(
    brats2015: Path, inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(brats2015 / inside)
    sections = {case.section for case in read_brats(Path(".")).cases}
    assert sections == ({"test"} if inside else {None, "test"})


def test_an_unlabelled_visit_of_a_labelled_patient_is_left_out(brats2015: Path) -> None:
    write_2015(brats2015 / "BRATS2015_Testing" / "HGG_LGG", "brats_tcia_pat153_0277", label=False)
    found = read_brats(brats2015)
    assert "brats_tcia_pat153_0277" not in {case.id for case in found.cases}
    assert [line for line in found.skipped if "pat153_0277" in line and "also among the labelled" in line]


@pytest.mark.parametrize(
    ("part", "name", "patient", "extra"),
    [
        (
            "MICCAI_BraTS_2018_Data_Training/HGG",
            "Brats18_TCIA01_231_1",
            "Brats18_TCIA01_231",
            {"grade": "HGG"},
        ),
        ("MICCAI_BraTS_2018_Data_Training/LGG", "Brats18_2013_0_1", "Brats18_2013_0", {"grade": "LGG"}),
        ("MICCAI_BraTS_2019_Data_Training/HGG", "BraTS19_CBICA_AAB_1", "BraTS19_CBICA_AAB", {"grade": "HGG"}),
        ("MICCAI_BraTS2020_TrainingData", "BraTS20_Training_001", "BraTS20_Training_001", {}),
        ("BraTS2021_Training_Data", "BraTS2021_00000", "BraTS2021_00000", {}),
    ],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_brats_2018_to_2021(
    tmp_path: Path, part: str, name: str, patient: str, extra: dict[str, str], suffix: str
) -> None:
    write_case(tmp_path / part, name, suffix=suffix)
    (tmp_path / part / "survival_data.csv").write_text("BraTS18ID,Age,Survival\n")
    found = read_brats(tmp_path)
    (case,) = found.cases
    assert (case.id, case.patient, case.section, dict(case.extra)) == (name, patient, None, extra)
    assert [path.name for path in case.image] == [
        f"{name}_{r}{suffix}" for r in ("flair", "t1", "t1ce", "t2")
    ]
    assert case.label[0].name == f"{name}_seg{suffix}"
    assert list(found.labels) == ["0", "1", "2", "4"]
    check_items(items(found.cases), label_values=map(int, found.labels))


def test_brats_2023_keeps_the_time_points_of_a_patient_together(tmp_path: Path) -> None:
    part = tmp_path / "ASNR-MICCAI-BraTS2023-GLI-Challenge-TrainingData"
    for name in ("BraTS-GLI-00005-000", "BraTS-GLI-00005-001"):
        write_case(part, name, ("t1c", "t1n", "t2f", "t2w", "seg"), sep="-")
    validation = tmp_path / "ASNR-MICCAI-BraTS2023-GLI-Challenge-ValidationData"
    write_case(validation, "BraTS-GLI-00001-000", ("t1c", "t1n", "t2f", "t2w"), sep="-")
    found = read_brats(tmp_path)
    assert [(case.patient, case.section) for case in found.cases] == [
        ("BraTS-GLI-00005", None),
        ("BraTS-GLI-00005", None),
        ("BraTS-GLI-00001", "test"),
    ]
    assert [path.name[20:23] for path in found.cases[0].image] == ["t2f", "t1n", "t1c", "t2w"]
    assert found.labels == LABELS["BraTS 2023"]


def test_the_misnamed_label_of_brats_2020(tmp_path: Path) -> None:
    case = write_case(tmp_path, "BraTS20_Training_355", ("flair", "t1", "t1ce", "t2"), suffix=".nii")
    write_nifti(case / "W39_1998.09.19_Segm.nii", volume(0, label=True, top=1))
    (found,) = read_brats(tmp_path).cases
    assert found.label == (case / "W39_1998.09.19_Segm.nii",)


def test_everything_that_is_wrong_is_listed_at_once(tmp_path: Path) -> None:
    part = tmp_path / "MICCAI_BraTS2020_TrainingData"
    write_case(part, "BraTS20_Training_001")
    write_case(part, "BraTS20_Training_002", ("flair", "t1", "t2", "seg"))
    write_case(part, "BraTS20_Training_003", ("flair", "t1", "t1ce", "t2"))
    mixed = write_case(part, "BraTS20_Training_004")
    write_nifti(mixed / "BraTS20_Training_005_t1.nii.gz", volume(0))
    write_nifti(mixed / "BraTS20_Training_004_t1.nii", volume(0))
    write_case(tmp_path / "again", "BraTS20_Training_001")
    write_case(tmp_path, "BraTS-GLI-00000-000", ("t1c", "t1n", "t2f", "t2w", "seg"), sep="-")
    (part / "BraTS20_Training_001" / "notes.nii").touch()
    with pytest.raises(DataError) as error:
        read_brats(tmp_path)
    text = str(error.value)
    assert text.startswith("6 problems")
    for part_of_line in (
        "BraTS20_Training_002: t1c is missing",
        "BraTS20_Training_003: the label is missing",
        "BraTS20_Training_005_t1.nii.gz: it belongs to BraTS20_Training_005",
        "as t1, too",
        "BraTS20_Training_001 is there 2 times",
        "the editions number the labels differently",
    ):
        assert part_of_line in text


def test_a_sequence_that_some_cases_lack_can_be_left_out(tmp_path: Path) -> None:
    write_case(tmp_path, "BraTS20_Training_001")
    write_case(tmp_path, "BraTS20_Training_002", ("flair", "t1", "t2", "seg"))
    assert read_brats(tmp_path, sequences="flair").channels == ()
    assert [len(case.image) for case in read_brats(tmp_path, sequences="flair,t1,t2").cases] == [3, 3]


def test_odd_files_are_named(tmp_path: Path) -> None:
    case = write_case(tmp_path, "BraTS20_Training_001")
    (case / "BraTS20_Training_001_mask.nii.gz").touch()
    assert "BraTS20_Training_001_mask.nii.gz" in read_brats(tmp_path).skipped[0]


@pytest.mark.parametrize(
    ("sequences", "message"), [("", "no BraTS case is here"), ("flair,dwi", "dwi is no sequence")]
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, sequences: str, message: str) -> None:
    (tmp_path / "prostate.mha").touch()
    with pytest.raises(DataError, match=message):
        read_brats(tmp_path, sequences=sequences)


def test_bare_names_with_splits(tmp_path: Path) -> None:
    for name in ("case_0", "case_1"):
        for role in ("flair", "t1", "label"):
            write_nifti(tmp_path / name / f"{role}.nii.gz", volume(0))
    (tmp_path / "splits.json").write_text('{"train": ["case_0"], "val": ["case_7"]}')
    with pytest.raises(DataError, match=r"case_1: not in .*splits\.json"):
        read_brats(tmp_path)
    (tmp_path / "splits.json").write_text('{"train": ["case_0"], "val": ["case_1", "case_0"]}')
    with pytest.raises(DataError, match="case_0 is in val and in training"):
        read_brats(tmp_path)
    (tmp_path / "splits.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        read_brats(tmp_path)
    (tmp_path / "splits.json").write_text('{"train": ["case_0"], "val": ["case_1"]}')
    found = read_brats(tmp_path)
    assert [case.section for case in found.cases] == ["training", "validation"]
    assert found.channels == ("flair", "t1")
    assert found.skipped == ["sequence t1c: no case has it", "sequence t2: no case has it"]


def test_the_real_brats_2018(data_root: Path) -> None:
    source = data_root / "brain" / "brats2018"
    if not source.is_dir():
        pytest.skip("no BraTS 2018")
    found = read_brats(source)
    assert found.channels == ("flair", "t1")
    assert [case.section for case in found.cases] == ["training"] * 4 + ["validation"]
    check_items(items(found.cases[:1]), label_values=map(int, found.labels))
