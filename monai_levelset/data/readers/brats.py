"""Brain tumours in four MRI sequences: BRATS 2015, and BraTS 2017 to 2021 and 2023.

Menze et al., "The Multimodal Brain Tumor Image Segmentation Benchmark (BRATS)", IEEE TMI 34(10), 2015; Bakas
et al., Scientific Data 4:170117, 2017; Baid et al., arXiv:2107.02314, 2021. Every volume is 240x240x155 at
1 mm, skull-stripped, the sequences of one case registered with each other. Four layouts are read:

- 2015, MHA (https://www.smir.ch/BRATS/Start2015): `BRATS2015_Training/{HGG,LGG}/brats_2013_pat0001_1/
  VSD.Brain.XX.O.MR_Flair.54512/VSD.Brain.XX.O.MR_Flair.54512.mha`, the same for `MR_T1`, `MR_T1c`, `MR_T2`,
  and `VSD.Brain_3more.XX.O.OT.54517` with the label; `BRATS2015_Testing/HGG_LGG/` has no label.
- 2017 to 2021, NIfTI (https://www.med.upenn.edu/cbica/brats2020/data.html, Synapse):
  `BraTS20_Training_001/BraTS20_Training_001_flair.nii.gz`, `_t1`, `_t1ce`, `_t2`, `_seg`; up to 2019 in
  `HGG/` and `LGG/`.
- 2023 (https://www.synapse.org/brats2023): `BraTS-GLI-00000-000/BraTS-GLI-00000-000-t2f.nii.gz`, `-t1n`,
  `-t1c`, `-t2w`, `-seg`.
- bare: `case_0/flair.nii.gz`, `t1.nii.gz`, ..., `label.nii.gz` with 1 for the whole tumour, and perhaps
  `splits.json`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.readers.base import Case, SourceListing
from monai_levelset.data.readers.listing import find_folders, list_files
from monai_levelset.data.readers.splits import read_splits

__all__ = ["LABELS", "SEQUENCES", "read_brats", "sequence_of"]

SEQUENCES = ("flair", "t1", "t1c", "t2")
"""The channels, in this order: FLAIR, T1, T1 with contrast agent, T2."""

LABELS: Mapping[str, Mapping[str, str]] = {
    "BRATS 2015": {
        "0": "background",
        "1": "necrosis",
        "2": "oedema",
        "3": "non-enhancing tumour",
        "4": "enhancing tumour",
    },
    "BraTS 2017-2021": {
        "0": "background",
        "1": "necrotic and non-enhancing tumour core",
        "2": "peritumoral oedema",
        "4": "enhancing tumour",
    },
    "BraTS 2023": {
        "0": "background",
        "1": "necrotic tumour core",
        "2": "non-enhancing FLAIR hyperintensity",
        "3": "enhancing tumour",
    },
    "BraTS, whole tumour": {"0": "background", "1": "whole tumour"},
}
"""Meaning of the label values per edition; in each of them the whole tumour is everything above 0."""

_ROLES = {
    "t1ce": "t1c",
    "t1gd": "t1c",
    "t1n": "t1",
    "t2w": "t2",
    "t2f": "flair",
    "seg": "label",
    "ot": "label",
}
_NAMES = "flair|t1ce|t1gd|t1c|t1n|t1|t2w|t2f|t2|seg|label"
_MHA = re.compile(r"VSD\..*?\.(?:MR_)?(?P<role>Flair|T1c|T1|T2|OT)(?:\.\d+)?\.mha$", re.IGNORECASE)
_NIFTI = re.compile(rf"(?:(?P<case>BraTS.*)[_-])?(?P<role>{_NAMES})\.nii(?:\.gz)?$", re.IGNORECASE)
_ANY = re.compile(rf"(?:.*[_.-])?(?P<role>{_NAMES})\.(?:nii|nii\.gz|mha|mhd|nrrd)", re.IGNORECASE)
_MISNAMED = re.compile(r"W39_1998\.09\.19_Segm\.nii(?:\.gz)?$")  # the label of BraTS20_Training_355
_UNLABELLED = re.compile(r"testing|validation|HGG_LGG", re.IGNORECASE)
_LICENCE = (
    "2015: registration, non-commercial research; 2017 and later: terms of the Synapse/CBICA registration."
)


@dataclass
class _Found:
    folder: Path
    edition: str
    grade: str
    unlabelled_part: bool
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def id(self) -> str:
        name = self.folder.name  # the numbers of brats_2013 start anew in HGG and in LGG
        return f"{self.grade}_{name}" if self.grade and name.lower().startswith("brats_2013") else name

    @property
    def patient(self) -> str:
        visit = {"BRATS 2015": r"_\d+$", "BraTS 2023": r"-\d{3}$"}.get(self.edition)
        if visit is None and re.match(r"Brats1\d_(?!Training|Validation|Testing)", self.folder.name, re.I):
            visit = r"_\d+$"
        return re.sub(visit, "", self.id) if visit else self.id


def read_brats(source: Path, *, sequences: str = "") -> SourceListing:
    """Find the cases of BRATS 2015 or a later BraTS; the edition is seen from the files' names.

    The sequences are the channels, in the order of `SEQUENCES`. All visits of one patient share `patient`.
    Cases without a label are accepted in the official parts that have none (`Testing`, `Validation`) and
    listed under `test`.

    Args:
        source: folder of the unpacked archive, or of several parts of one edition.
        sequences: comma-separated subset of `SEQUENCES`; empty: all that the source has.

    Returns:
        The data set; `skipped` names sequences that no case has, and files that are neither.

    Raises:
        DataError: no case is found; a sequence or a label is missing in some cases; a file lies in another
            case's folder or exists twice; the editions are mixed; an unknown sequence is asked for.

    Example:
        >>> import tempfile
        >>> source = Path(tempfile.mkdtemp())
        >>> case = source / "HGG" / "Brats18_TCIA01_231_1"
        >>> case.mkdir(parents=True)
        >>> for role in ("flair", "t1", "t1ce", "t2", "seg"):
        ...     (case / f"{case.name}_{role}.nii.gz").touch()
        >>> found = read_brats(source, sequences="flair,t1c")
        >>> [(case.id, case.patient, len(case.image)) for case in found.cases], found.channels
        ([('Brats18_TCIA01_231_1', 'Brats18_TCIA01_231', 2)], ('flair', 't1c'))
    """
    wanted = _wanted(sequences)
    source = Path(source).absolute()
    sections = read_splits(source)
    found, skipped, problems = _collect(source)
    used, absent = _used(found, wanted)
    for case in found:
        problems += _missing(case, used)
    problems += _mixed(found)
    problems += [
        f"{case.folder}: not in {source / 'splits.json'}. Add it there, or remove that file to draw sections."
        for case in found
        if sections and case.folder.name not in sections
    ]
    raise_problems(problems)
    labelled = {case.patient for case in found if "label" in case.files}
    repeated = [case for case in found if "label" not in case.files and case.patient in labelled]
    cases = [_case(case, used, sections) for case in found if case not in repeated]
    skipped += [f"sequence {name}: no case has it" for name in absent]
    skipped += [f"{case.folder}: no label, and its patient is also among the labelled" for case in repeated]
    return SourceListing(
        name=found[0].edition,
        description=f"Brain tumour MRI, Menze et al. 2015, Bakas et al. 2017, Baid et al. 2021. {_LICENCE}",
        modality="MRI",
        labels=LABELS[found[0].edition],
        cases=cases,
        channels=used if len(used) > 1 else (),
        skipped=skipped,
    )


def _wanted(sequences: str) -> tuple[str, ...]:
    names = [name.strip().lower() for name in sequences.split(",") if name.strip()]
    unknown = [name for name in names if name not in SEQUENCES]
    if unknown:
        raise DataError(
            f"sequences: {', '.join(unknown)} is no sequence. Give some of {', '.join(SEQUENCES)}, "
            "separated by commas."
        )
    return tuple(name for name in SEQUENCES if name in names)


def _collect(source: Path) -> tuple[list[_Found], list[str], list[str]]:
    find_folders(source, lambda _: False, depth=0)  # refuses a missing or empty source
    found: dict[Path, _Found] = {}
    skipped, problems = [], []
    for file in list_files(source, ".mha", ".nii", ".nii.gz"):
        folder, edition, role, owner = _classified(file)
        if not role:
            skipped.append(f"{file}: its name tells neither a sequence nor a label")
        elif owner != folder.name:
            problems.append(
                f"{file}: it belongs to {owner}, but lies in the folder of {folder.name}. Move it."
            )
        else:
            case = found.setdefault(folder, _new(source, folder, edition))
            if role in case.files:
                problems.append(f"{file}: {case.id} has {case.files[role].name} as {role}, too. Keep one.")
            case.files.setdefault(role, file)
    if not found and not problems:
        raise DataError(
            f"{source}: no BraTS case is here. Give the unpacked folder with files such as "
            "VSD.Brain.XX.O.MR_Flair.54512.mha, BraTS20_Training_001_flair.nii.gz or "
            "BraTS-GLI-00000-000-t2f.nii.gz."
        )
    return list(found.values()), skipped, problems


def sequence_of(file: Path) -> tuple[Path, str]:
    """The case's folder and the sequence of a file, told by names like those of BraTS.

    Args:
        file: an image file.

    Returns:
        Folder; one of `SEQUENCES`, `label`, or an empty string where the name tells nothing.

    Example:
        >>> sequence_of(Path("BraTS20_Training_001/BraTS20_Training_001_t1ce.nii.gz"))
        (PosixPath('BraTS20_Training_001'), 't1c')
        >>> sequence_of(Path("scans/patient7.nii.gz"))
        (PosixPath('scans'), '')
    """
    folder, _, role, _ = _classified(file)
    match = None if role else _ANY.fullmatch(file.name)
    return folder, _role(match) if match else role


def _classified(file: Path) -> tuple[Path, str, str, str]:
    """Case folder, edition, role ('' if none), and the case that the file's name tells."""
    folder = file.parent
    if match := _MHA.match(file.name):
        folder = folder.parent if folder.name.startswith("VSD.") else folder
        return folder, "BRATS 2015", _role(match), folder.name
    if _MISNAMED.match(file.name):
        return folder, "BraTS 2017-2021", "label", folder.name
    if not (match := _NIFTI.match(file.name)):
        return folder, "", "", ""
    case = match["case"]
    if case is None:
        return folder, "BraTS, whole tumour", _role(match), folder.name
    return (
        folder,
        "BraTS 2023" if case.lower().startswith("brats-") else "BraTS 2017-2021",
        _role(match),
        case,
    )


def _role(match: re.Match[str]) -> str:
    role = match["role"].lower()
    return _ROLES.get(role, role)


def _new(source: Path, folder: Path, edition: str) -> _Found:
    parts = folder.relative_to(source.parent).parts
    grade = next((part for part in parts if part in ("HGG", "LGG")), "")
    return _Found(folder, edition, grade, any(_UNLABELLED.search(part) for part in parts))


def _used(found: Sequence[_Found], wanted: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    if wanted:
        return wanted, []
    held = {role for case in found for role in case.files}
    used = tuple(name for name in SEQUENCES if name in held)
    return used, [name for name in SEQUENCES if name not in held]


def _missing(case: _Found, used: Iterable[str]) -> list[str]:
    problems = [
        f"{case.folder}: {name} is missing. Copy it again, or choose others with `sequences`."
        for name in used
        if name not in case.files
    ]
    if "label" not in case.files and not case.unlabelled_part:
        problems.append(
            f"{case.folder}: the label is missing. Copy it again; a folder with Validation or Testing in its "
            "name may hold unlabelled cases."
        )
    return problems


def _mixed(found: Sequence[_Found]) -> list[str]:
    problems = []
    editions: dict[str, Path] = {}
    names: dict[str, list[Path]] = defaultdict(list)
    for case in found:
        editions.setdefault(case.edition, case.folder)
        names[case.id].append(case.folder)
    if len(editions) > 1:
        held = "; ".join(f"{edition}: {folder}" for edition, folder in editions.items())
        problems.append(f"the editions number the labels differently; prepare each by itself. Found {held}.")
    for name, folders in names.items():
        if len(folders) > 1:
            problems.append(
                f"{name} is there {len(folders)} times: {', '.join(map(str, folders))}. Keep one."
            )
    return problems


def _case(case: _Found, used: Iterable[str], sections: Mapping[str, str]) -> Case:
    label = (case.files["label"],) if "label" in case.files else ()
    return Case(
        id=case.id,
        patient=case.patient,
        image=tuple(case.files[name] for name in used),
        label=label,
        section=sections.get(case.folder.name, None if label else "test"),
        extra={"grade": case.grade} if case.grade else {},
    )
