"""What is trained on and what is scored in Zheng et al.'s tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from monai.transforms.utils import get_largest_connected_component_mask
from PIL import Image

from monai_levelset.data import DataError, load_section, slice_items
from monai_levelset.data.datalist import Item
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.report import atomic_path
from monai_levelset.reproduce.stages import read_json
from monai_levelset.reproduce.volumes import prepared, scored_section
from monai_levelset.reproduce.zheng2020_rows import TRAININGS, ClickTarget

#: Axes that slices of volumes are turned to, anterior at the top; a picture has them as a viewer shows it.
AXCODES = "PLS"
PHANTOMS = 24


@dataclass(frozen=True)
class TestSet:
    """Labelled slices that are scored.

    Attributes:
        items: of one slice each.
        about: what they are, for the table's notes.
    """

    items: list[Item]
    about: str


@dataclass(frozen=True)
class Found:
    """The data of a table.

    Attributes:
        folder: of the data list that is trained on.
        tests: name -> what is scored; the first one gives the table's main numbers.
    """

    folder: Path
    tests: dict[str, TestSet]


def find_data(click: ClickTarget, data: Path, out: Path, seeds: int) -> Found:
    """The training data and the test sets, checked.

    Data with `datalist.json`, or that the target has a reader for, are trained on, and their test section is
    scored, or the validation section where there is none. For the prostate the folder may instead hold real
    images that only serve as tests: `promise12_case00` and `prostate158`; the training data are then
    phantoms, drawn into `out/data/phantoms`.

    Raises:
        DataError: nothing of this is found, a slice to be scored has no label, or there is neither a training
            section nor a finished training.
    """
    data = data.absolute()
    real = {} if (data / "datalist.json").is_file() else _real_prostate(data, out / "data")
    if click.target.dataset is None and not real and not (data / "datalist.json").is_file():
        raise DataError(
            f"{data}: neither datalist.json nor promise12_case00 or prostate158 is in it. Name the folder "
            "that holds one of them."
        )
    if real:
        folder = out / "data" / "phantoms"
        generate_phantoms("prostate", folder, cases=PHANTOMS, seed=0)
        tests = real
    else:
        folder = prepared(click.target, data, out)
        section = scored_section(folder)
        items = _slices(load_section(folder, section), out)
        name = read_json(folder / "datalist.json").get("name") or folder.name
        tests = {section: TestSet(items, f"{name}, {section} section")}
    _check(folder, tests, out, seeds)
    return Found(folder, tests)


def _real_prostate(data: Path, home: Path) -> dict[str, TestSet]:
    tests = {}
    case = data / "promise12_case00"
    if (case / "Case00.nii.gz").is_file():
        item = {"id": "Case00", "image": str(case / "Case00.nii.gz"), "patient": "Case00"}
        item["label"] = str(case / "Case00_segmentation.nii.gz")
        tests["promise12"] = TestSet(_slices([item], home.parent), "PROMISE12, one case, the whole gland")
    if (data / "prostate158" / "images").is_dir():
        about = "Prostate158, pictures without pixel size; the largest labelled region (gland, tumour)"
        tests["prostate158"] = TestSet(_pictures(data / "prostate158", home / "prostate158"), about)
    return tests


def _slices(items: list[Item], out: Path) -> list[Item]:
    cut = slice_items(items, out / "runs" / "slices", axcodes=AXCODES)
    return [{**item, "labeled": int("label" in item)} for item in cut]


def _pictures(source: Path, home: Path) -> list[Item]:
    """Pictures with masks of two colours, whose largest region, of any colour, becomes a label file."""
    items = []
    for image in sorted((source / "images").glob("*.png")):
        with Image.open(source / "masks" / image.name) as mask:
            coloured = np.asarray(mask.convert("RGB")).max(2) > 127
        inside = np.asarray(get_largest_connected_component_mask(coloured[None]))[0]
        label = home / image.name
        home.mkdir(parents=True, exist_ok=True)
        with atomic_path(label) as temporary:
            Image.fromarray(inside.astype(np.uint8)).save(temporary, format="PNG")
        items.append(
            {"id": image.stem, "patient": image.stem, "image": str(image), "label": str(label), "labeled": 1}
        )
    return items


def _check(folder: Path, tests: dict[str, TestSet], out: Path, seeds: int) -> None:
    for test in tests.values():
        bare = [str(item["image"]) for item in test.items if not item["labeled"]]
        if bare:
            raise DataError(f"{bare[0]}: a slice without label cannot be scored. Label it or take it out.")
    if read_json(folder / "datalist.json").get("training"):
        return
    folders = [out / "runs" / f"seed{seed}" / training for seed in range(seeds) for training in TRAININGS]
    missing = [str(each) for each in folders if not (each / "finished.json").is_file()]
    if missing:
        raise DataError(
            f"{folder}: it has no training section, and {missing[0]} holds no finished training. Run the "
            "command on data with a training section first, then on these with the same --out."
        )
