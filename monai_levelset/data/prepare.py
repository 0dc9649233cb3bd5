"""Turn a public data set, in its official layout, into a data list that the bundles train on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from monai_levelset.data.checks import check_folder, check_writable
from monai_levelset.data.datalist import write_datalist
from monai_levelset.data.errors import DataError
from monai_levelset.data.sunnybrook import (
    CONTOURS,
    Conversion,
    convert_sunnybrook,
    describe_sunnybrook,
    sunnybrook_png_items,
)

__all__ = ["DATASETS", "prepare", "prepare_sunnybrook"]


def prepare(dataset: str, source: str | Path, out: str | Path, *, contour: str | None = None) -> Conversion:
    """Read a public data set in its official layout and write `out/datalist.json`.

    The source is only read. Where its files can be used as they are, the data list points to them; otherwise
    converted files are written to `out`. A short report is printed.

    Args:
        dataset: one of the names in `DATASETS`.
        source: folder of the unpacked data set.
        out: folder to write to.
        contour: sunnybrook only: `endocardium` (default) or `epicardium`.

    Returns:
        The data list's path, the number of cases per section and what was left out.

    Raises:
        DataError: where the data set is unknown, `source` is missing or in no known layout, a file is
            corrupt, or `out` cannot be written.

    Example:
        >>> prepare("acdc2", "in", "out")
        Traceback (most recent call last):
        ...
        monai_levelset.data.errors.DataError: unknown data set 'acdc2'. Known ones: sunnybrook.
    """
    if dataset not in DATASETS:
        raise DataError(f"unknown data set {dataset!r}. Known ones: {', '.join(sorted(DATASETS))}.")
    result = DATASETS[dataset](Path(source), Path(out), **({} if contour is None else {"contour": contour}))
    print(_report(dataset, result))
    return result


def prepare_sunnybrook(source: Path, out: Path, *, contour: str = "endocardium") -> Conversion:
    """Prepare the Sunnybrook Cardiac Data from PNG files or from the original DICOM and contour files.

    Args:
        source: folder in one of the layouts that `monai_levelset.data.sunnybrook` describes.
        out: folder to write to.
        contour: `endocardium` or `epicardium`.

    Returns:
        What was written.

    Raises:
        DataError: as `prepare`.
    """
    check_folder(source)
    if (source / "images").is_dir() and any((source / name).is_dir() for name in CONTOURS):
        sections = sunnybrook_png_items(source, contour)
        path = write_datalist(check_writable(out) / "datalist.json", sections, **describe_sunnybrook(contour))
        return Conversion(path, {name: len(items) for name, items in sections.items()})
    if next(source.rglob("*contour-manual.txt"), None) is not None:
        return convert_sunnybrook(source, out, contour)
    raise DataError(
        f"{source}: neither the PNG layout (images/ and endocardium/) nor the original one "
        f"(IM-*-icontour-manual.txt "
        "contour files and DICOM images) is in it. Give the folder that holds one of them."
    )


def _report(dataset: str, result: Conversion) -> str:
    counts = ", ".join(f"{count} {section}" for section, count in result.counts.items())
    lines = [f"{dataset}: {counts} cases -> {result.datalist}"]
    if result.skipped:
        lines += [
            f"left out {len(result.skipped)}, for example:",
            *(f"  {line}" for line in result.skipped[:5]),
        ]
    return "\n".join(lines)


DATASETS: Mapping[str, Callable[..., Conversion]] = {"sunnybrook": prepare_sunnybrook}
"""Function per data set: `(source, out, **options) -> Conversion`."""
