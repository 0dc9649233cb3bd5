"""Volumes and slices on anatomical axes, against the world coordinates of their voxels."""

from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, LoadImage

from monai_levelset.transforms.axial_orientation import AxialOrientation, AxialOrientationd

SPACING = np.array([0.7, 0.9, 5.0])
ALL = [
    (order, flips)
    for order in itertools.permutations(range(3))
    for flips in itertools.product((1, -1), repeat=3)
]


def affine_of(order: tuple[int, ...], flips: tuple[int, ...]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, list(order)] * np.array(flips) * SPACING
    affine[:3, 3] = [5, -6, 7]
    return affine


def world(affine: np.ndarray, shape: tuple[int, ...]) -> torch.Tensor:
    """RAS coordinates of each voxel as three channels."""
    index = np.stack([*np.indices(shape), np.ones(shape)]) if len(shape) == 3 else None
    if index is None:
        index = np.stack([*np.indices(shape), np.zeros(shape), np.ones(shape)])
    return torch.from_numpy(np.tensordot(affine, index, 1)[:3]).float()


@pytest.mark.parametrize(("order", "flips"), ALL)
def test_volumes_point_to_posterior_left_superior(order: tuple[int, ...], flips: tuple[int, ...]) -> None:
    affine = affine_of(order, flips)
    volume = MetaTensor(world(affine, (3, 4, 5)), affine=affine)
    turn = AxialOrientation("PLS")
    turned = turn(volume)
    right, anterior, superior = turned.as_tensor()
    assert (anterior.diff(dim=0) < 0).all()
    assert (right.diff(dim=1) < 0).all()
    assert (superior.diff(dim=2) > 0).all()
    np.testing.assert_allclose(world(turned.affine.numpy(), turned.shape[1:]), turned.as_tensor(), atol=1e-5)
    back = turn.inverse(turned)
    assert torch.equal(back.as_tensor(), volume.as_tensor())
    np.testing.assert_allclose(back.affine, affine, atol=1e-9)


@pytest.mark.parametrize(("order", "flips"), [(o, f) for o, f in ALL if o[2] == 2])
@pytest.mark.parametrize("rank", [2, 3])
def test_slices_are_turned_as_in_their_volume(
    order: tuple[int, ...], flips: tuple[int, ...], rank: int
) -> None:
    """`rank` 2 is the 3 x 3 affine that ITK's formats give a 2D image."""
    affine = affine_of(order, flips)
    values = world(affine, (3, 4))
    known = affine if rank == 3 else affine[np.ix_([0, 1, 3], [0, 1, 3])]
    turn = AxialOrientation("PLS")
    turned = turn(MetaTensor(values, affine=known))
    right, anterior, _ = turned.as_tensor()
    assert (anterior.diff(dim=0) < 0).all()
    assert (right.diff(dim=1) < 0).all()
    back = turn.inverse(turned)
    assert torch.equal(back.as_tensor(), values)
    np.testing.assert_allclose(back.affine, known, atol=1e-9)
    assert back.applied_operations == []


def test_a_picture_as_on_a_screen(tmp_path) -> None:
    """x to the patient's left, y to posterior: `ARS` gives rows to posterior, columns to the left."""
    from PIL import Image

    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)  # rows from anterior, columns from the right side
    Image.fromarray(picture).save(tmp_path / "a.png")
    loaded = LoadImage(ensure_channel_first=True)(tmp_path / "a.png")
    assert AxialOrientation("ARS")(loaded)[0].tolist() == picture.tolist()


def test_pictures_can_have_codes_of_their_own(tmp_path) -> None:
    """A file that states no direction is turned by `picture_axcodes`, there and back; others are not."""
    from PIL import Image

    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(tmp_path / "a.png")
    nib.save(
        nib.Nifti1Image(np.ones((3, 4), np.float32), affine_of((0, 1, 2), (1, 1, 1))), tmp_path / "a.nii"
    )
    turn = Compose([AxialOrientationd("image", "PLS", picture_axcodes="ARS")])
    for name, codes in (("a.png", "ARS"), ("a.nii", "PLS")):
        loaded = LoadImage(ensure_channel_first=True)(tmp_path / name)
        data = turn({"image": loaded})
        assert torch.equal(data["image"].as_tensor(), AxialOrientation(codes)(loaded).as_tensor())
        data["pred"] = data["image"] * 2
        back = Invertd("pred", turn, orig_keys="image")(data)["pred"]
        assert torch.equal(back.as_tensor(), loaded.as_tensor() * 2)
        assert back.applied_operations == []


def test_a_nifti_slice_through_invertd(tmp_path) -> None:
    affine = affine_of((1, 0, 2), (-1, 1, 1))
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "a.nii.gz")
    preprocessing = Compose([AxialOrientationd("image", "PLS")])
    data = preprocessing({"image": LoadImage(ensure_channel_first=True)(tmp_path / "a.nii.gz")})
    data["pred"] = data["image"] * 2
    back = Invertd("pred", preprocessing, orig_keys="image")(data)["pred"]
    np.testing.assert_array_equal(back[0], values * 2)
    np.testing.assert_allclose(back.affine, affine)


@pytest.mark.parametrize("codes", ["PL", "PLA", "PSL", "SPL", "xyz"])
def test_refused_codes(codes: str) -> None:
    with pytest.raises(ValueError, match=r"axcodes"):
        AxialOrientation(codes)
    with pytest.raises(ValueError, match=r"axcodes"):
        AxialOrientation("PLS", picture_axcodes=codes)
