"""The images of a folder, by name."""

from __future__ import annotations

from pathlib import Path

from monai_levelset.data.dicom_folders import check_series, holds_slices, series_name
from monai_levelset.data.errors import DataError

__all__ = ["IMAGE_SUFFIXES", "find_files"]

IMAGE_SUFFIXES = tuple(".nii.gz .nii .nrrd .mha .mhd .png .jpg .jpeg .bmp .tif .tiff".split())


def find_files(
    folder: str | Path, *, postfix: str = "", problems: dict[str, str] | None = None
) -> dict[str, Path]:
    """All images of a folder and its subfolders, by name without ending.

    A folder that holds DICOM slices is one image, named by its path below `folder` with `_` for `/`, or as
    `folder` itself. Hidden files and folders do not count, nor do other files beside slices.

    Args:
        folder: the folder.
        postfix: cut off the end of names that have it.
        problems: filled with name -> what is wrong, for DICOM folders that are passed over; None: they are
            an error.

    Returns:
        Name -> file or DICOM folder, sorted by name.

    Raises:
        FileNotFoundError: if the folder does not exist or holds no image.
        ValueError: if two images have the same name.
        DataError: if the slices of a DICOM folder are not one whole volume; see `check_series`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    images: dict[str, Path] = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        try:
            name = None if _is_hidden(path, folder) else _image_name(path, folder, postfix)
        except DataError as error:
            if problems is None:
                raise
            problems[series_name(path, folder)] = str(error)
            continue
        if name in images:
            raise ValueError(f"{images[name]} and {path} have the same name {name!r}; keep one of them")
        if name is not None:
            images[name] = path
    if not images and not problems:
        raise FileNotFoundError(
            f"{folder}: holds no image file ({', '.join(IMAGE_SUFFIXES)}) and no DICOM slices"
        )
    return dict(sorted(images.items()))


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _image_name(path: Path, folder: Path, postfix: str) -> str | None:
    if path.is_dir():
        return series_name(path, folder) if holds_slices(path) and check_series(path) else None
    ending = next((s for s in IMAGE_SUFFIXES if path.name.lower().endswith(s)), None)
    return None if ending is None else path.name[: -len(ending)].removesuffix(postfix)
