"""Find the cases of a folder whose images consist of several MR sequences, for inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_levelset.data.checks import check_folder
from monai_levelset.data.datalist import Item
from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.grids import read_grid
from monai_levelset.data.readers.brats import SEQUENCES, sequence_of
from monai_levelset.transforms.save_label_map import split_name

__all__ = ["one_sequence_per_case", "sequence_cases"]

_SUFFIXES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")


def sequence_cases(
    folder: str | Path, sequences: Sequence[str], *, problems: dict[str, str] | None = None
) -> list[Item]:
    """Cases below a folder: one file per sequence in a folder of its own, or one file with all as channels.

    Files of single sequences are told by their names, as in BraTS: `flair.nii.gz`, `case_t1ce.nii.gz`,
    `BraTS-GLI-00000-000-t2f.nii.gz`. Labels (`seg`, `label`) and sequences that are not asked for are passed
    over. A file whose name tells no sequence must hold all of them as channels, in the order asked for.

    Args:
        folder: the folder; subfolders are searched. Or one file, which stands for its case.
        sequences: names of the sequences, in the order of the network's channels.
        problems: filled with id -> what is wrong, for cases that are passed over; None: they are an error.

    Returns:
        Items with `image` (a path, or the paths of the sequences in order) and `id`, the case folder's path
        below `folder` with `_` for `/`, or the file's name without ending.

    Raises:
        DataError: the folder is missing or holds no image; a case lacks a sequence, has one twice, or its
            file has another number of channels; two cases have one `id`.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("a/flair.nii.gz", "a/t1.nii.gz", "a/label.nii.gz"):
        ...     (root / name).parent.mkdir(exist_ok=True)
        ...     (root / name).touch()
        >>> [(case["id"], [path.split("/")[-1] for path in case["image"]])
        ...  for case in sequence_cases(root, ["t1", "flair"])]
        [('a', ['t1.nii.gz', 'flair.nii.gz'])]
    """
    path = Path(folder).absolute()
    root = path.parent if path.is_file() else check_folder(folder).absolute()
    found: dict[Path, dict[str, Path]] = {}
    items: list[Item] = []
    wrong: dict[str, list[str]] = {}
    for file in _files(path):
        case, role = sequence_of(file)
        if role in (*SEQUENCES, "label"):
            wrong.setdefault(_id(case, root), []).extend(_twice(found.setdefault(case, {}), role, file))
        else:
            name = split_name(file.name)[0]
            wrong.setdefault(name, []).extend(_whole(file, sequences))
            items.append({"image": str(file), "id": name})
    for case, files in found.items():
        if not any(name in files for name in sequences):
            continue
        missing = [name for name in sequences if name not in files]
        wrong[_id(case, root)] += [f"{case}: the sequence {s} is missing. Copy it there." for s in missing]
        items.append({"image": [str(files[s]) for s in sequences if s in files], "id": _id(case, root)})
    if problems is None:
        raise_problems([line for lines in wrong.values() for line in lines] + _same_ids(items))
    else:
        raise_problems(_same_ids(items))
        problems |= {name: " ".join(lines) for name, lines in wrong.items() if lines}
        items = [item for item in items if item["id"] not in problems]
    if not items and not problems:
        raise DataError(
            f"{root}: no case is here. Give folders with a file per sequence ({', '.join(sequences)}), or "
            "files that hold these as channels."
        )
    return sorted(items, key=lambda item: str(item["id"]))


def _files(path: Path) -> list[Path]:
    """Image files below a folder; a file's fellow sequences, or the file alone."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    if path.is_file() and sequence_of(path)[1] in SEQUENCES:
        files = [file for file in sorted(path.parent.iterdir()) if _is_fellow(file, path)]
    return [f for f in files if f.name.lower().endswith(_SUFFIXES) and not f.name.startswith(".")]


def _is_fellow(file: Path, other: Path) -> bool:
    return sequence_of(file)[0] == sequence_of(other)[0]


def one_sequence_per_case(folder: str | Path) -> dict[str, Path]:
    """A picture of each case whose sequences are files: FLAIR, else T1, T1 with contrast agent, T2.

    Args:
        folder: the folder; subfolders are searched.

    Returns:
        Id of the case, as in `sequence_cases`, and the file; empty where no file is named after a sequence.

    Example:
        >>> import tempfile
        >>> one_sequence_per_case(tempfile.mkdtemp())
        {}
    """
    root = Path(folder).absolute()
    found: dict[str, tuple[int, Path]] = {}
    for file in root.rglob("*"):
        case, role = sequence_of(file)
        if role in SEQUENCES and file.name.lower().endswith(_SUFFIXES):
            rank = SEQUENCES.index(role), file
            found[_id(case, root)] = min(found.get(_id(case, root), rank), rank)
    return {name: file for name, (_, file) in sorted(found.items())}


def _id(case: Path, root: Path) -> str:
    return "_".join(case.relative_to(root).parts) or case.name


def _twice(files: dict[str, Path], role: str, file: Path) -> list[str]:
    if role in files:
        return [f"{file}: {files[role].name} beside it is the sequence {role}, too. Keep one."]
    files[role] = file
    return []


def _whole(file: Path, sequences: Sequence[str]) -> list[str]:
    try:
        channels = read_grid(file).channels
    except DataError as error:
        return [str(error)]
    if channels == len(sequences):
        return []
    return [
        f"{file}: it has {channels} channel(s), but the network takes {len(sequences)}, "
        f"{', '.join(sequences)}. Give a file with these, or a folder per case with one file per sequence."
    ]


def _same_ids(items: Sequence[Item]) -> list[str]:
    first: dict[str, Item] = {}
    twice = [item for item in items if first.setdefault(item["id"], item) is not item]
    return [f"{item['image']}: another case is called {item['id']}, too. Rename one." for item in twice]
