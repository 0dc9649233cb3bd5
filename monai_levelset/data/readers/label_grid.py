"""Labels whose header puts them elsewhere than their image: a defect of the header, or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.errors import DataError
from monai_levelset.data.grids import Grid, corner_distance, read_array, read_grid
from monai_levelset.data.readers.base import Case
from monai_levelset.data.readers.metaimage import is_signed_bytes, metaimage_grid, read_metaimage

__all__ = [
    "check_tissue",
    "grid_problem",
    "mend_label",
    "mend_labels",
    "orientation",
    "save_nifti",
    "tissue_share",
]

_SAME = 0.05  # voxels, the gate of `check_items`
_TURNED = 0.5  # voxels: corner against centre of a voxel
_ROUNDED = 1.0  # voxels
_SPACING = 0.01  # relative
_TISSUE_SHARE = 0.95
_MARGIN = 0.01


def mend_labels(
    cases: Sequence[Case], problems: list[str], *, tissue: tuple[float, float] | None = None
) -> list[Case]:
    """Give the cases whose label cannot be used as it is a conversion; only headers are read.

    That are labels that lie elsewhere than their image, and MetaImage labels of signed bytes, which MONAI
    does not read.

    A file whose header cannot be read is left to the check that follows, which reads every voxel.

    Args:
        cases: cases with one image file and at most one label file.
        problems: one line per label is appended whose grid does not fit and is no known defect.
        tissue: as `mend_label`.

    Returns:
        The cases in their order, with `convert` where needed.
    """
    return [_mended(case, problems, tissue) for case in cases]


def grid_problem(image: Grid, label: Grid) -> str:
    """Tell how a label's grid relates to its image's.

    Both must have the same number of voxels per axis, the same spacing within 1 %, and parallel axes. Then

    - corners within 0.05 voxels: the same grid;
    - the same voxel centres (within half a voxel) with axes swapped or turned around: another orientation;
    - else every coordinate of the offset must be that of the image within one voxel, its negative, or zero:
      probably a defect of the header alone.

    Args:
        image: the image's grid.
        label: the label's.

    Returns:
        `same`, `reoriented`, `defect`, or a sentence that says what does not fit.

    Example:
        >>> image = Grid((4, 5, 6), np.diag([1.0, 1.0, 2.0, 1.0]))
        >>> shifted = np.diag([1.0, 1.0, 2.0, 1.0])
        >>> shifted[2, 3] = 30.0
        >>> grid_problem(image, image), grid_problem(image, Grid((4, 5, 6), shifted))
        ('same', 'its offset [0.0, 0.0, 30.0] is not that of its image [0.0, 0.0, 0.0]')
    """
    if label.affine is None or image.affine is None:
        return "same" if image.shape == label.shape else _size_text(image, label)
    if image.shape == label.shape and corner_distance(image, label) <= _SAME * min(image.spacing):
        return "same"
    if orientation(image, label) is not None:
        return "reoriented"
    if image.shape != label.shape:
        return _size_text(image, label)
    if not np.allclose(label.spacing, image.spacing, rtol=_SPACING, atol=0):
        return f"its spacing {_rounded(label.spacing)} is not that of its image {_rounded(image.spacing)}"
    if not np.allclose(np.abs(_axes(label)), np.abs(_axes(image)), atol=0.01):
        return "its axes are not parallel to those of its image"
    ours, theirs = label.affine[:3, 3], image.affine[:3, 3]
    near = _ROUNDED * max(image.spacing)
    known = (np.abs(ours - theirs) <= near) | (np.abs(ours + theirs) <= near) | (np.abs(ours) <= near)
    if not known.all():
        return f"its offset {_rounded(ours)} is not that of its image {_rounded(theirs)}"
    return "defect"


def orientation(image: Grid, label: Grid) -> tuple[tuple[int, ...], tuple[bool, ...]] | None:
    """The transposition and the flips that bring a label's voxels into the order of its image's.

    Args:
        image: the image's grid, with affine.
        label: the label's grid, with affine.

    Returns:
        `axes` for `numpy.transpose` and one flip per axis afterwards, or None where no such step moves the
        label's grid onto the image's within half a voxel.
    """
    assert label.affine is not None
    rank = len(image.shape)
    for axes in permutations(range(rank)):
        spacing = np.take(label.spacing, axes)
        if tuple(label.shape[a] for a in axes) != image.shape or not np.allclose(
            spacing, image.spacing, rtol=_SPACING, atol=0
        ):
            continue
        for flips in product((False, True), repeat=rank):
            moved = label.affine.copy()
            moved[:, :rank] = label.affine[:, list(axes)]
            for axis in np.flatnonzero(flips):
                moved[:, 3] += moved[:, axis] * (image.shape[axis] - 1)
                moved[:, axis] *= -1
            if corner_distance(image, Grid(image.shape, moved)) <= _TURNED * min(image.spacing):
                return axes, flips
    return None


def mend_label(
    case: Case, folder: Path, *, tissue: tuple[float, float] | None = None
) -> tuple[list[Path], list[Path]]:
    """Write a label as bytes onto the grid of its image, where `grid_problem` knows the difference.

    The voxels are only reordered, never interpolated. With `tissue` the candidates are the order of the file
    (its header is wrong) and the order that the header asks for; the one that lies on more tissue is taken,
    and where they differ by less than 1 % of the label none is. Without, the header is followed.

    Args:
        case: one image, one label.
        folder: where `labels/ID.nii.gz` is written; the image stays where it is.
        tissue: range of intensities; at least 95 % of the label must lie on such voxels of the image.

    Returns:
        The image and the written label.

    Raises:
        DataError: where the grids differ otherwise, the label does not lie on such tissue, or both
            orders fit.
    """
    image, label = case.image[0], case.label[0]
    (values, grid), (mask, label_grid) = _read(image), _read(label)
    kind = grid_problem(grid, label_grid)
    if not _is_known(kind, tissue):
        raise DataError(_problem_text(image, label, kind))
    order = orientation(grid, label_grid) if kind == "reoriented" else None
    candidates = [_reordered(mask, *order)] if order else []
    if tissue is not None and kind != "same":
        candidates += [mask] if mask.shape == values.shape else []
        candidates += [_flipped(mask, _turned_axes(grid, label_grid))] if kind == "defect" else []
        mask = _on_tissue(case, values, candidates, tissue)
    elif candidates:
        mask = candidates[0]
    target = folder / "labels" / f"{case.id}.nii.gz"
    save_nifti(target, np.ascontiguousarray(mask).astype(np.uint8), grid.affine)
    return [image], [target]


def check_tissue(
    image: Path,
    label: Path,
    values: NDArray[Any],
    mask: NDArray[Any],
    tissue: tuple[float, float],
) -> None:
    """Refuse a label of which less than 95 % lies on voxels with an intensity in `tissue`.

    Raises:
        DataError: names both files and the share found.
    """
    share = tissue_share(values, mask, tissue)
    if share < _TISSUE_SHARE:
        raise DataError(
            f"{label}: only {share:.0%} of it lies on tissue of {tissue[0]:g} to {tissue[1]:g} in "
            f"{image}. It is turned, shifted or another case's: compare both, correct or remove it."
        )


def tissue_share(values: NDArray[Any], mask: NDArray[Any], tissue: tuple[float, float]) -> float:
    """The part of a label that lies on voxels with an intensity in `tissue`; 1 for an empty label.

    Example:
        >>> tissue_share(np.array([-1000.0, 40.0, 50.0]), np.array([1, 1, 0]), (-100, 300))
        0.5
    """
    inside = values[mask > 0]
    return float(np.mean((inside >= tissue[0]) & (inside <= tissue[1]))) if inside.size else 1.0


def save_nifti(path: Path, values: NDArray[Any], affine: NDArray[np.float64] | None) -> None:
    """Write a NIfTI file atomically, in the values' own type; sform, qform and pixdim all say `affine`."""
    import nibabel as nib

    image = nib.Nifti1Image(values, affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units("mm")
    with atomic_path(path) as temporary:
        nib.save(image, temporary)


def _mended(case: Case, problems: list[str], tissue: tuple[float, float] | None) -> Case:
    if not case.label:
        return case
    try:
        kind = grid_problem(_header_grid(case.image[0]), _header_grid(case.label[0]))
    except DataError:
        return case
    if kind == "same" and not (_is_meta(case.label[0]) and is_signed_bytes(case.label[0])):
        return case
    if _is_known(kind, tissue):
        return replace(case, convert=partial(mend_label, tissue=tissue))
    problems.append(_problem_text(case.image[0], case.label[0], kind))
    return case


def _is_known(kind: str, tissue: tuple[float, float] | None) -> bool:
    return kind in ("same", "reoriented") or (kind == "defect" and tissue is not None)


def _on_tissue(
    case: Case, values: NDArray[Any], candidates: list[NDArray[Any]], tissue: tuple[float, float]
) -> NDArray[Any]:
    shares = [tissue_share(values, candidate, tissue) for candidate in candidates]
    best = candidates[int(np.argmax(shares))]
    check_tissue(case.image[0], case.label[0], values, best, tissue)
    for share, other in zip(shares, candidates, strict=True):
        if share > max(shares) - _MARGIN and not np.array_equal(other, best):
            raise DataError(
                f"{case.label[0]}: its header turns it against {case.image[0]}, and its voxels fit "
                "turned and unturned. Compare both in a viewer, save the label with the header of its image."
            )
    return best


def _reordered(mask: NDArray[Any], axes: tuple[int, ...], flips: tuple[bool, ...]) -> NDArray[Any]:
    return _flipped(np.transpose(mask, axes), flips)


def _flipped(mask: NDArray[Any], flips: Sequence[bool]) -> NDArray[Any]:
    return np.flip(mask, tuple(axis for axis, flip in enumerate(flips) if flip))


def _turned_axes(image: Grid, label: Grid) -> list[bool]:
    return [bool(cosine < 0) for cosine in (_axes(image) * _axes(label)).sum(0)]


def _header_grid(path: Path) -> Grid:
    return metaimage_grid(path) if _is_meta(path) else read_grid(path)


def _read(path: Path) -> tuple[NDArray[Any], Grid]:
    return (read_metaimage(path), metaimage_grid(path)) if _is_meta(path) else read_array(path)


def _is_meta(path: Path) -> bool:
    return path.suffix.lower() in (".mhd", ".mha")


def _problem_text(image: Path, label: Path, what: str) -> str:
    what = "its header puts it elsewhere" if what == "defect" else what
    return f"{label}: {what} ({image}). Unpack both again, or resample the label onto the image's grid."


def _size_text(image: Grid, label: Grid) -> str:
    return f"its size {label.shape} is not that of its image {image.shape}"


def _axes(grid: Grid) -> NDArray[np.float64]:
    assert grid.affine is not None
    return grid.affine[:3, : len(grid.shape)] / np.asarray(grid.spacing)


def _rounded(values: Any) -> list[float]:
    return [float(v) for v in np.round(np.asarray(values, dtype=float), 4)]
