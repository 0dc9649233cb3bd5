"""Turn a public data set, in its official layout, into a data list that the bundles train on."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from monai_levelset.data.checks import check_folder, check_writable
from monai_levelset.data.datalist import Item, write_datalist
from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.lock import sole_writer
from monai_levelset.data.preparation.cases import across_cases, examine_all, join_patients, refuse_full_disk
from monai_levelset.data.preparation.examine import Result
from monai_levelset.data.preparation.index import Index
from monai_levelset.data.preparation.montage import draw_montage
from monai_levelset.data.preparation.report import build_report, summary_text, with_sections
from monai_levelset.data.preparation.sections import assign_sections, check_fractions, sections_of
from monai_levelset.data.preparation.source import as_text, name_problems, read_source
from monai_levelset.data.readers.base import Reader, SourceListing
from monai_levelset.data.split import CASES, write_cases, write_report
from monai_levelset.data.sunnybrook import Conversion

__all__ = ["DATASETS", "prepare"]

_READERS = "monai_levelset.data.readers"

DATASETS: Mapping[str, str] = {
    "acdc": f"{_READERS}.acdc:read_acdc",
    "brats": f"{_READERS}.brats:read_brats",
    "brats2015": f"{_READERS}.brats:read_brats",
    "bsds500": f"{_READERS}.bsds500:read_bsds500",
    "chaos": f"{_READERS}.dicom:read_chaos",
    "dicom": f"{_READERS}.dicom:read_dicom_folder",
    "drishti": f"{_READERS}.drishti:read_drishti",
    "lits": f"{_READERS}.lits:read_lits",
    "liver_slices": f"{_READERS}.slices8bit:read_liver_slices",
    "msd": f"{_READERS}.msd:read_msd",
    "promise12": f"{_READERS}.promise12:read_promise12",
    "refuge": f"{_READERS}.refuge:read_refuge",
    "sliver07": f"{_READERS}.sliver07:read_sliver07",
    "sunnybrook": f"{_READERS}.sunnybrook:read_sunnybrook",
}
"""Module and function of the reader of each data set, imported when it is asked for."""


def prepare(
    dataset: str,
    source: str | Path,
    out: str | Path,
    *,
    labeled_fraction: float = 1.0,
    seed: int = 0,
    validation: float | None = None,
    test: float | None = None,
    workers: int | None = None,
    slices: bool = False,
    contour: str | None = None,
    sequences: str | None = None,
    task: str | None = None,
    agreement: str | None = None,
) -> Conversion:
    """Read a public data set in its official layout and write `out/datalist.json` and a report.

    The source is only read. Every file of it is looked at first, and all that is wrong is listed in one
    message; nothing but the hidden folder `.prepare` is written before all is well. Where MONAI reads the
    source's files as they are, the data list points to them; others are converted to `out/images` and
    `out/labels`. A run that was interrupted goes on where it stopped, and a second run looks only at what has
    changed.

    Written besides the list are `cases.json`, from which `monai-levelset split` draws other labelled patients
    or sections, `report.json`, `report.md` and `montage.png`. A summary is printed.

    Args:
        dataset: one of the names in `DATASETS`.
        source: folder of the unpacked data set.
        out: folder to write to, outside of `source`.
        labeled_fraction: part of the training patients that keep their labels.
        seed: of that draw, and of the drawn sections.
        validation: share of the patients that are drawn for validation, for data sets without an official
            validation section; default 0.2. 0: none.
        test: likewise; default 0.2 where the data set has no official section at all, else 0.
        workers: processes; default: one per processor, at most 4.
        slices: whether to cut volumes into slices now, into `out/.slices`; give a bundle `--cache_dir` of it.
        contour: sunnybrook only: `endocardium` (default) or `epicardium`.
        sequences: brats and brats2015 only: those that become channels, such as `flair,t1c`; default all.
        task: msd only: beginning of a task's folder name, such as `Task03`, where there are several.
        agreement: drishti only: share of the experts that makes a pixel part of the label, default 0.5.

    Returns:
        The data list's path, the number of cases per section and what was left out.

    Raises:
        DataError: where the data set is unknown, `source` is missing or in no known layout, any file is
            missing, corrupt or contradicts another, `out` cannot be written, or another run is writing to it.
        ValueError: where a fraction or `workers` is out of range.

    Example:
        >>> prepare("acdc2", "in", "out")
        Traceback (most recent call last):
        ...
        monai_levelset.data.errors.DataError: unknown data set 'acdc2'. Known ones: acdc, brats, ...
    """
    reader = _reader(dataset)
    given = {"contour": contour, "sequences": sequences, "task": task, "agreement": agreement}
    options = _options(dataset, reader, given)
    check_fractions(labeled_fraction, validation, test)
    source, out = check_folder(source).absolute(), Path(out)
    found = read_source(reader, source, options)
    _check_out(dataset, source, out)
    raise_problems(name_problems(found))
    split = {"labeled_fraction": labeled_fraction, "seed": seed, "validation": validation, "test": test}
    _sections(_items(found, None, None), found, split)  # says what cannot be drawn before the long part
    with sole_writer(out, check_writable(out) / ".prepare" / "lock", what="prepare"):
        index = Index(out)
        index.clean()
        results = examine_all(
            found, index, reader=dataset, version=_version(reader), options=options, workers=workers
        )
        problems, notes = across_cases(found, results)
        raise_problems(problems, max_problems=len(problems))
        found = join_patients(found, results)
        settings = {"dataset": dataset, "source": str(source), "options": options}
        report = build_report(found, results, settings=settings, notes=notes)
        with refuse_full_disk(out):
            return _write(found, results, index, report, split, slices=slices)


def _write(
    found: SourceListing,
    results: Sequence[Result],
    index: Index,
    report: dict[str, Any],
    split: dict[str, Any],
    *,
    slices: bool,
) -> Conversion:
    """Publish what is finished; the data list comes last, so that it never names a file that is not there."""
    out = index.out
    if index.replaces(results):
        (out / "datalist.json").unlink(missing_ok=True)
    index.publish(results)
    items = _items(found, results, index)
    section_of, sections = _sections(items, found, split)
    head: dict[str, Any] = {
        "name": found.name,
        "description": found.description,
        "modality": found.modality,
        "labels": found.labels,
    }
    official = {case.id: case.section is not None for case in found.cases}
    write_cases(
        out, [{**i, "section": section_of[i["id"]], "official": official[i["id"]]} for i in items], head
    )
    report = with_sections(report, sections, split={**split, "section_seed": split["seed"]})
    shown = [(r.id, index.file(r, r.files["image"][0]), _first(index, r)) for r in results]
    draw_montage(out / "montage.png", shown, found.labels, found.modality)
    write_report(out, report)
    datalist = write_datalist(out / "datalist.json", sections, **head)
    index.forget_others(results)
    if slices:
        _cut(sections, out)
    print(summary_text(report, str(datalist)))
    return Conversion(datalist, {name: len(part) for name, part in sections.items()}, tuple(found.skipped))


def _first(index: Index, result: Result) -> Path | None:
    labels = result.files.get("label", [])
    return index.file(result, labels[0]) if labels else None


def _items(found: SourceListing, results: Sequence[Result] | None, index: Index | None) -> list[Item]:
    """Data-list items with all labels; without results, those the source promises."""
    items = []
    for position, case in enumerate(found.cases):
        item: Item = {"image": list(map(str, case.image)), "label": list(map(str, case.label))}
        extra = {k: v for k, v in case.extra.items() if k not in ("image", "label", "id", "patient")}
        if results is not None and index is not None:
            result = results[position]
            item = {
                role: [str(index.file(result, f).absolute()) for f in files]
                for role, files in result.files.items()
            }
            extra = {**({"spacing": s} if (s := result.facts.get("spacing")) else {}), **extra}
        files = {role: paths[0] if len(paths) == 1 else paths for role, paths in item.items() if paths}
        items.append({**files, "id": case.id, "patient": case.patient, **extra})
    return items


def _sections(
    items: list[Item], found: SourceListing, split: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, list[Item]]]:
    if set(found.labels) == {"0"}:  # images without any label are there to be segmented
        return {item["id"]: "test" for item in items}, {"test": items}
    official = {case.id: case.section for case in found.cases}
    section_of = assign_sections(
        items, official, validation=split["validation"], test=split["test"], seed=split["seed"]
    )
    parts = sections_of(items, section_of, labeled_fraction=split["labeled_fraction"], seed=split["seed"])
    return section_of, parts


def _cut(sections: Mapping[str, Sequence[Item]], out: Path) -> None:
    from monai_levelset.data.slices import slice_items

    for items in sections.values():
        slice_items([item for item in items], out / ".slices")


def _reader(dataset: str) -> Reader:
    if dataset not in DATASETS:
        raise DataError(f"unknown data set {dataset!r}. Known ones: {', '.join(sorted(DATASETS))}.")
    module, function = DATASETS[dataset].split(":")
    reader: Reader = getattr(import_module(module), function)
    return reader


def _version(reader: Reader) -> int:
    """A reader's module raises its `VERSION` whenever what it converts changes."""
    return int(getattr(inspect.getmodule(reader), "VERSION", 1))


def _options(dataset: str, reader: Reader, given: Mapping[str, str | None]) -> dict[str, str]:
    """The options that were given; a reader with `**options` checks them itself."""
    parameters = inspect.signature(reader).parameters.values()
    options = {name: str(value) for name, value in given.items() if value is not None}
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        foreign = options.keys() - {parameter.name for parameter in parameters}
        raise_problems([f"--{name} is no option of {dataset}. Leave it out." for name in sorted(foreign)])
    return options


def _check_out(dataset: str, source: Path, out: Path) -> None:
    if as_text(str(out.absolute())) != str(out.absolute()):
        raise DataError(f"{as_text(str(out))}: a name with bytes that are no UTF-8. Choose another folder.")
    if out.absolute().resolve().is_relative_to(source.resolve()):
        raise DataError(
            f"{out}: the output lies inside the source, which must stay as it is. Choose another folder."
        )
    if (out / "datalist.json").is_file() and not (out / CASES).is_file():
        raise DataError(
            f"{out}: it holds a datalist.json that this command did not write. Choose another folder."
        )
    report = out / "report.json"
    try:
        held = (
            json.loads(report.read_text(encoding="utf-8")).get("dataset", dataset)
            if report.is_file()
            else dataset
        )
    except (ValueError, OSError, AttributeError):
        held = dataset
    if held != dataset:
        raise DataError(f"{out}: it holds the prepared data set {held}. Choose another folder.")
