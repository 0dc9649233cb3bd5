"""Which part of the data is trained on, which chooses checkpoints, and which the table is reported on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from monai_levelset.data import (
    DataError,
    check_items,
    load_section,
    prepare,
    split_patients,
    write_datalist,
)
from monai_levelset.data.datalist import SECTIONS
from monai_levelset.reproduce.stages import read_json
from monai_levelset.reproduce.targets import Target

#: Part of the training patients that chooses checkpoints where the data's validation part is reported on.
INNER = 0.15


@dataclass(frozen=True)
class Parts:
    """A data folder and the roles of its sections.

    Attributes:
        folder: of the data list that is read.
        sections: those in use; without `training` there is nothing to train on, only to score.
        scored: the section of the table.
        inner: whether `validation` was drawn from the training patients, and `test` is the validation part
            of the data as they were given.
    """

    folder: Path
    sections: tuple[str, ...] = SECTIONS
    scored: str = "test"
    inner: bool = False

    @property
    def trains(self) -> bool:
        """Whether there is something to train on."""
        return "training" in self.sections

    @property
    def name(self) -> str:
        """Of the part that is scored, in the data as they were given."""
        return "validation" if self.inner else self.scored


def find_parts(target: Target, data: Path, out: Path) -> Parts:
    """Prepare the data if need be, and give their sections roles.

    Data without `datalist.json` that the target has a reader for are prepared into `out/data`. If they have
    no test section, the table is on the validation section, and some of the training patients choose the
    checkpoints instead; a data list that says so is written into `out/data`.

    Args:
        target: whose data these are.
        data: the folder the user gave.
        out: the folder of the results.

    Raises:
        DataError: the folder is in no known layout, or has too few patients.
    """
    data = data.absolute()
    home = out.absolute() / "data" / _name(data.resolve())
    if target.dataset and not (data / "datalist.json").is_file():
        prepare(target.dataset, data, home / "prepared")
        data = home / "prepared"
    if not (data / "datalist.json").is_file():
        return Parts(data)
    held = _held(data)
    if "training" not in held:
        scored = "test" if "test" in held else "validation"
        return Parts(data, (scored,), scored)
    if "test" in held:
        return Parts(data)
    _write_inner(data, home)
    return Parts(home, inner=True)


def _name(data: Path) -> str:
    """Differs between any two folders, so that no training on one passes for one on the other."""
    return f"{data.name}-{hashlib.sha256(str(data).encode()).hexdigest()[:8]}"


def _held(folder: Path) -> list[str]:
    file = folder / "datalist.json"
    try:
        return [section for section in SECTIONS if read_json(file).get(section)]
    except (ValueError, AttributeError) as error:
        raise DataError(f"{file}: not a data list ({error}). Correct it, or write it again.") from error


def _write_inner(data: Path, home: Path) -> None:
    training = load_section(data, "training")
    fractions = {"training": 1 - INNER, "validation": INNER}
    inner = split_patients([item for item in training if item["labeled"]], fractions, seed=0)["validation"]
    patients = {item["patient"] for item in inner}
    rest = [item for item in training if item["patient"] not in patients]
    write_datalist(
        home / "datalist.json",
        {"training": rest, "validation": inner, "test": load_section(data, "validation")},
        description=f"{data}, its validation section as test, and a part of its training as validation.",
    )


def check_parts(parts: Parts) -> dict[str, tuple[int, int]]:
    """Refuse unfit data of any section before the first training.

    Returns:
        Section -> number of patients and of images.

    Raises:
        DataError: see `check_items`; or a case that is to be scored has no label.
    """
    counts = {}
    for section in parts.sections:
        items = load_section(parts.folder, section)
        check_items(items, label_values=(0, 1, 255))
        bare = [str(item["image"]) for item in items if not item["labeled"]]
        if section == parts.scored and bare:
            raise DataError(
                f"{bare[0]}: a {parts.name} case without label cannot be scored. Label it or take it out."
            )
        counts[section] = len({item["patient"] for item in items}), len(items)
    return counts


def check_runs(target: Target, parts: Parts, out: Path, seeds: int) -> None:
    """Refuse data without a training section unless all trainings are finished.

    Raises:
        DataError: one is not; the message says what to do.
    """
    folders = [out / "runs" / f"seed{seed}" / stage.name for seed in range(seeds) for stage in target.stages]
    missing = [str(folder) for folder in folders if not (folder / "finished.json").is_file()]
    if missing and not parts.trains:
        raise DataError(
            f"{parts.folder}: it has no training section, and {missing[0]} holds no finished training. Run "
            "the command on data with a training section first, then on these with the same --out."
        )
