"""What there is to predict: the cases of a file or folder, and those that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_levelset.data.cache_folders import item_paths
from monai_levelset.data.click_files import click_items
from monai_levelset.data.datalist import Item
from monai_levelset.data.dicom_folders import holds_slices
from monai_levelset.data.errors import DataError
from monai_levelset.data.grids import read_grid
from monai_levelset.data.image_files import IMAGE_SUFFIXES, find_files
from monai_levelset.data.sequences import sequence_cases
from monai_levelset.transforms.save_label_map import split_name

__all__ = ["PredictionCase", "find_cases"]


@dataclass(frozen=True)
class PredictionCase:
    """One image, or the files of one case.

    Attributes:
        name: of the result, without ending.
        item: data-list item: `image` (a path, or paths) and what else the bundle needs.
        problem: why it cannot be predicted; None where nothing is known against it.
    """

    name: str
    item: Item
    problem: str | None = None

    @property
    def paths(self) -> list[Path]:
        """Its files; a folder of DICOM slices is one of them."""
        return item_paths(self.item["image"])

    @property
    def file_name(self) -> str:
        """Name of the label map that `SaveLabelMapd` writes."""
        first = self.paths[0]
        return self.name + (".nii.gz" if first.is_dir() else split_name(first.name)[1])


def find_cases(
    config: Mapping[str, Any], source: str | Path, *, points: str | Path | None = None
) -> list[PredictionCase]:
    """The cases that a bundle's inference would run on, in alphabetical order.

    Args:
        config: the bundle's inference configuration. With `cases`, an image consists of `sequences`; with
            `clicks`, `points` are needed.
        source: an image file, a folder of DICOM slices, or a folder of images and folders.
        points: JSON file of clicks, see `click_items`. An image without clicks gets an empty
            result.

    Returns:
        The cases, those with a `problem` included.

    Raises:
        FileNotFoundError: `source` does not exist or holds no image.
        ValueError: two images have one name; points for a bundle that takes none, or none for one that does.
        DataError: the file of points is unfit.
    """
    if ("clicks" in config) != (points is not None):
        raise ValueError(
            "this bundle segments what is clicked: give --points, a JSON file of the clicks"
            if points is None
            else f"{points}: this bundle takes no clicks; leave them out"
        )
    source = Path(source)
    problems: dict[str, str] = {}
    if "cases" in config:
        cases = _sequences(source, config["sequences"], problems)
    else:
        files = _files(source, problems)
        cases = {name: {"image": str(path.absolute())} for name, path in files.items()}
        if points is not None:
            cases = _clicked(cases, points, problems, root=root_of(source), structures=config["structures"])
    found = [PredictionCase(name, item) for name, item in cases.items()]
    failed = [PredictionCase(name, {"image": name}, problem) for name, problem in problems.items()]
    return sorted(found + failed, key=lambda case: case.name)


def root_of(source: str | Path) -> Path:
    """The folder below which DICOM folders are named."""
    source = Path(source).absolute()
    return source if source.is_dir() else source.parent


def _files(source: Path, problems: dict[str, str]) -> dict[str, Path]:
    if source.is_dir():
        return find_files(source, problems=problems)
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder")
    ending = next((s for s in IMAGE_SUFFIXES if source.name.lower().endswith(s)), None)
    if ending is not None:
        return {source.name[: -len(ending)]: source}
    if holds_slices(source.parent):
        raise DataError(f"{source}: a DICOM slice is not a volume. Give the folder of the series instead.")
    raise DataError(f"{source}: no reader for such files. Give one of {', '.join(IMAGE_SUFFIXES)}, or DICOM.")


def _sequences(source: Path, sequences: Sequence[str], problems: dict[str, str]) -> dict[str, Item]:
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder")
    found = sequence_cases(source, sequences, problems=problems)
    return {str(item["id"]): item for item in found}


def _clicked(
    cases: Mapping[str, Item],
    points: str | Path,
    problems: dict[str, str],
    *,
    root: Path,
    structures: Sequence[str],
) -> dict[str, Item]:
    """Cases with their clicks. Files whose header cannot be read are problems, whatever was clicked."""
    for name, item in cases.items():
        try:
            read_grid(item["image"])
        except DataError as error:
            problems[name] = str(error)
    good = [name for name in cases if name not in problems]
    images = [cases[name]["image"] for name in good]
    items = click_items(images, points, root=root, structures=structures, absent=problems)
    return dict(zip(good, items, strict=True))
