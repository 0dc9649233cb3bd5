"""PROMISE12, prostate in T2-weighted MRI (MICCAI 2012)."""

from __future__ import annotations

import re
from pathlib import Path

from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.readers.base import Case, SourceListing
from monai_levelset.data.readers.files import by_key, check_options
from monai_levelset.data.readers.label_grid import mend_labels
from monai_levelset.data.readers.listing import visible_files
from monai_levelset.data.readers.metaimage import metaimage_problems

__all__ = ["read_promise12"]

_NAME = re.compile(
    r"(?P<case>Case\d{2})(?P<label>_segmentation)?\.(?P<type>mhd|mha|nii|nii\.gz)", re.IGNORECASE
)


def read_promise12(source: Path, **options: str) -> SourceListing:
    """Read PROMISE12 in its official layout.

    Training: `Case00.mhd` with `Case00.raw` or `.zraw`, and `Case00_segmentation.mhd`, to `Case49`, in one
    folder or in `TrainingData_Part1` to `_Part3`. The test and live-challenge archives reuse the same
    numbers: their cases are told by a folder whose name holds `test` or `live`, are named `test-Case00` and
    `live-Case00`, and need no label. NIfTI copies with the same names are read too.

    Images are used as they are. The labels are stored as signed bytes, which MONAI does not read, and are
    written anew as NIfTI.

    Args:
        source: folder of the unpacked archives.
        options: none.

    Returns:
        The training cases, to be divided by patient, and the test cases.

    Raises:
        DataError: where no case is found, a training case has no label or a label no image, a `.raw` file is
            missing or truncated, two files claim one case, or the grids do not fit.

    Source: https://promise12.grand-challenge.org, https://zenodo.org/records/8026660; Litjens et al.,
    "Evaluation of prostate segmentation algorithms for MRI: the PROMISE12 challenge", Medical Image Analysis
    18(2), 2014. Licence: see the record; the challenge allows research only.
    """
    check_options("promise12", options)
    files = visible_files(source)
    problems: list[str] = []
    found = [(match, path) for path in files if (match := _NAME.fullmatch(path.name))]
    keyed = [(_key(match, path, source), bool(match["label"]), path) for match, path in found]
    images = by_key(((key, path) for key, is_label, path in keyed if not is_label), problems)
    labels = by_key(((key, path) for key, is_label, path in keyed if is_label), problems)
    if not images:
        raise DataError(
            f"{source}: no image Case00.mhd in it. Give the folder with training_data.zip unpacked."
        )
    problems += [
        f"{path}: its label {key}_segmentation is missing. Unpack it again, or remove the image."
        for key, path in images.items()
        if key not in labels and "-" not in key
    ]
    problems += [
        f"{path}: its image is missing. Unpack it again, or remove the label."
        for key, path in labels.items()
        if key not in images
    ]
    meta = [path for _, path in found if path.suffix.lower() in (".mhd", ".mha")]
    problems += [line for path in meta for line in metaimage_problems(path)]
    cases = [
        Case(key, key, (path,), (labels[key],) if key in labels else (), "test" if "-" in key else None)
        for key, path in sorted(images.items())
    ]
    cases = mend_labels(cases, problems)
    raise_problems(problems)
    return SourceListing(
        name="PROMISE12",
        description=(
            "Prostate in transversal T2-weighted MRI (Litjens et al. 2014), "
            "https://zenodo.org/records/8026660. Licence: as stated there; research only."
        ),
        modality="MRI",
        labels={"0": "background", "1": "prostate"},
        cases=cases,
        skipped=[f"{path}: not named like PROMISE12" for path in files if _is_stray(path)],
    )


def _key(match: re.Match[str], path: Path, source: Path) -> str:
    folders = " ".join(path.relative_to(source).parts[:-1]).lower()
    part = "live-" if "live" in folders else "test-" if "test" in folders else ""
    return part + match["case"].capitalize()


def _is_stray(path: Path) -> bool:
    is_image = path.suffix.lower() in (".mhd", ".mha", ".nii") or path.name.lower().endswith(".nii.gz")
    return is_image and not _NAME.fullmatch(path.name)
