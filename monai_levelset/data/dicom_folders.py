"""A folder of DICOM slices as one image: how it is recognised, named and checked."""

from __future__ import annotations

import os
from pathlib import Path

from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.readers.dicom_series import Slice, group_series, read_headers, series_problems
from monai_levelset.data.readers.listing import is_junk

__all__ = ["check_series", "holds_slices", "series_name"]

_ENDINGS = (".dcm", ".dicom", ".ima")
_OPENED = 16  # files without a telling name that are opened before a folder counts as none of DICOM
_SEPARATE = "Put each series into a folder of its own, or convert them with `monai-levelset prepare dicom`."


def holds_slices(folder: str | Path) -> bool:
    """Whether DICOM files lie directly in a folder, by their ending or by the content of one of the first.

    Args:
        folder: any folder; not its subfolders.

    Returns:
        False for a folder that holds no DICOM but an index (`DICOMDIR`).

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "LICENSE").write_text("free")
        >>> _ = (folder / "IM0001").write_bytes(bytes(128) + b"DICM")
        >>> holds_slices(folder), holds_slices(folder.parent / "nowhere")
        (True, False)
    """
    files = _files(Path(folder))
    if any(path.name.lower().endswith(_ENDINGS) for path in files):
        return True
    return any(_is_dicom(path) for path in files[:_OPENED])


def series_name(folder: str | Path, root: str | Path | None = None) -> str:
    """What an image that is a folder is called: its path below the root, with `_` for `/`.

    Args:
        folder: the folder with the slices.
        root: the folder of all images; None: the name is that of the folder alone.

    Returns:
        The name; the folder's own where it is the root, or does not lie below it.

    Example:
        >>> series_name("data/patient 1/CT", "data"), series_name("data/patient 1/CT")
        ('patient 1_CT', 'CT')
    """
    folder = Path(os.path.abspath(folder))  # links keep the name that they have in the folder
    above = folder.parent if root is None else Path(os.path.abspath(root))
    below = folder.relative_to(above).parts if folder.is_relative_to(above) else ()
    return "_".join(below) or folder.name


def check_series(folder: str | Path) -> bool:
    """Refuse a folder whose DICOM slices are not exactly one volume.

    Only headers are read. Files that are no DICOM, and objects without slices (reports, `DICOMDIR`), do not
    count.

    Args:
        folder: the folder with the slices.

    Returns:
        Whether it holds any slice.

    Raises:
        DataError: slices of several patients or series; missing, doubled, uneven or tilted slices, other
            sizes or spacings (see `series_problems`); a broken header; files that ITK, which reads the
            volume, takes for another series. The files are named.

    Example:
        >>> import tempfile
        >>> check_series(tempfile.mkdtemp())
        False
    """
    folder = Path(folder)
    problems: list[str] = []
    slices = read_headers(_files(folder), problems, [])
    raise_problems(problems)
    if not slices:
        return False
    raise_problems(_mixed(folder, slices) or (series_problems(slices) if len(slices) > 1 else []))
    _check_reader(folder, slices)
    return True


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    names = (p for p in folder.iterdir() if not is_junk(p.name) and p.name.upper() != "DICOMDIR")
    return sorted(path for path in names if path.is_file())


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _mixed(folder: Path, slices: list[Slice]) -> list[str]:
    groups = group_series(slices)
    if len(groups) == 1:
        return []
    patients = len({item.patient for item in slices})
    whose = f" of {patients} patients" if patients > 1 else ""
    shown = [str(found[0].path) for found in groups.values()][:3]
    more = ", ..." if len(groups) > 3 else ""
    return [f"{folder}: slices of {len(groups)} series{whose}, namely {', '.join(shown)}{more}. {_SEPARATE}"]


def _check_reader(folder: Path, slices: list[Slice]) -> None:
    """MONAI's `ITKReader` reads the first of the series that these settings of its own tell apart."""
    import itk

    names = itk.GDCMSeriesFileNames.New()
    names.SetUseSeriesDetails(True)
    names.AddSeriesRestriction("0008|0021")
    names.SetDirectory(str(folder))
    found = [len(names.GetFileNames(uid)) for uid in names.GetSeriesUIDs()]
    if found != [len(slices)]:
        raise DataError(
            f"{folder}: ITK reads its {len(slices)} slices as {len(found)} series of "
            f"{', '.join(map(str, found)) or 'no'} slices, since their headers differ, for instance in the "
            "series' date or the slice thickness. Convert it with `monai-levelset prepare dicom`."
        )
