"""Averaging in the plane: hand-computed values, grids, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd

from monai_levelset.transforms import InPlaneSpacing, InPlaneSpacingd

AFFINE = torch.tensor(
    [[0.0, -2.0, 0.0, 3.0], [1.0, 0.0, 0.0, -7.0], [0.0, 0.0, 8.0, 2.0], [0.0, 0.0, 0.0, 1.0]],
    dtype=torch.float64,
)


def image(values: torch.Tensor, affine: torch.Tensor = AFFINE) -> MetaTensor:
    return MetaTensor(values, affine=affine)


def test_larger_pixels_are_averages() -> None:
    values = torch.arange(24.0).view(1, 4, 6)  # pixels of 1 x 2 mm
    coarse = InPlaneSpacing((2.0, 6.0))(image(values))
    # rows 0-1 and columns 0-2: 0, 1, 2, 6, 7, 8
    torch.testing.assert_close(coarse.as_tensor(), torch.tensor([[[4.0, 7.0], [16.0, 19.0]]]))
    assert coarse.pixdim[:2].tolist() == [2.0, 6.0]


def test_smaller_pixels_are_interpolated() -> None:
    fine = InPlaneSpacing((0.5, 2.0))(image(torch.tensor([[[0.0, 8.0], [4.0, 8.0]]])))
    expected = [[0.0, 8.0], [1.0, 8.0], [3.0, 8.0], [4.0, 8.0]]
    torch.testing.assert_close(fine.as_tensor(), torch.tensor([expected]))


def test_each_axis_goes_its_own_way() -> None:
    """The first axis shrinks to averages although the second grows: no pixel is left out."""
    values = torch.zeros(1, 8, 3)
    values[:, 1] = 4.0
    out = InPlaneSpacing((4.0, 1.0))(image(values))
    torch.testing.assert_close(out.as_tensor(), torch.tensor([[[1.0], [0.0]]]).expand(1, 2, 6))


@given(
    st.integers(5, 40), st.integers(5, 40), st.floats(0.3, 9), st.floats(0.3, 9), st.sampled_from([(), (3,)])
)
def test_the_affine_says_where_the_pixels_are(
    rows: int, columns: int, first: float, second: float, rest: tuple[int, ...]
) -> None:
    """A ramp of the world's x, y coordinates stays one, inside, whatever the pixel size."""
    grid = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")).double()
    x, y = AFFINE[0, 1] * grid[1] + AFFINE[0, 3], AFFINE[1, 0] * grid[0] + AFFINE[1, 3]
    world = torch.stack([x, y]).float()
    source = image(world[..., None].expand(*world.shape, *rest) if rest else world)
    out = InPlaneSpacing((first, second))(source)
    assert out.shape[3:] == rest
    sizes = out.shape[1:3]
    assert [max(1, round(n * h / w)) for n, h, w in ((rows, 1, first), (columns, 2, second))] == list(sizes)
    a = out.affine.numpy()
    for i in range(1, sizes[0] - 1):
        for j in range(1, sizes[1] - 1):
            found = out[:, i, j] if not rest else out[:, i, j, 1]
            expected = a[:2, :2] @ [i, j] + a[:2, 3]
            # an adaptive average reaches half a pixel too far at most
            np.testing.assert_allclose(found.numpy(), expected, atol=1.01)
    corners = torch.tensor([[-0.5, -0.5, 0, 1], [sizes[0] - 0.5, sizes[1] - 0.5, 0, 1]], dtype=torch.float64)
    old = torch.tensor([[-0.5, -0.5, 0, 1], [rows - 0.5, columns - 0.5, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(corners @ out.affine.T, old @ AFFINE.T)


@given(st.integers(4, 30), st.integers(4, 30), st.floats(0.3, 9), st.integers(0, 99))
def test_a_flipped_image_gives_the_flipped_result(rows: int, columns: int, size: float, seed: int) -> None:
    values = torch.rand(1, rows, columns, generator=torch.Generator().manual_seed(seed))
    transform = InPlaneSpacing((size, 1.7))
    flipped = transform(image(values.flip(1, 2))).as_tensor()
    torch.testing.assert_close(flipped.flip(1, 2), transform(image(values)).as_tensor())


@pytest.mark.parametrize("shape", [(1, 30, 22), (1, 30, 22, 4)])
@pytest.mark.parametrize("pixdim", [(4.0, 4.0), (0.7, 0.9), (3.0, 1.0)])
def test_there_and_back(shape: tuple[int, ...], pixdim: tuple[float, float]) -> None:
    transform = InPlaneSpacing(pixdim)
    source = image(torch.full(shape, 0.25))
    there = transform(source)
    back = transform.inverse(there)
    torch.testing.assert_close(back.as_tensor(), source.as_tensor())
    torch.testing.assert_close(back.affine, AFFINE, atol=1e-9, rtol=0)
    assert back.applied_operations == []


def test_a_soft_edge_comes_back_where_it_was() -> None:
    """A step between two coarse pixels, inverted linearly, crosses one half exactly there."""
    step = torch.zeros(1, 24, 8)
    step[:, 12:] = 1
    transform = InPlaneSpacing((4.0, 4.0))
    back = transform.inverse(transform(image(step)))
    assert torch.equal((back.as_tensor() > 0.5).float(), step)


@pytest.mark.parametrize("nearest", [True, False])
def test_invertd(nearest: bool) -> None:
    preprocessing = Compose([InPlaneSpacingd("image", (4.0, 4.0))])
    data = preprocessing({"image": image(torch.rand(1, 16, 12, 2))})
    data["pred"] = (data["image"] > 0.5).float()
    back = Invertd("pred", preprocessing, orig_keys="image", nearest_interp=nearest)(data)["pred"]
    assert back.shape == (1, 16, 12, 2)
    assert (set(back.unique().tolist()) <= {0.0, 1.0}) == nearest
    if nearest:  # 4 x 2 pixels each
        blocks = back.as_tensor().view(1, 4, 4, 6, 2, 2)
        assert torch.equal(blocks.amax((2, 4)), blocks.amin((2, 4)))
        assert torch.equal(blocks.amax((2, 4)), data["pred"].as_tensor())


def test_without_spacing_pixels_are_1_mm_and_integers_are_welcome() -> None:
    out = InPlaneSpacing((2, 2))(torch.arange(16).view(1, 4, 4))
    torch.testing.assert_close(out, torch.tensor([[[2.5, 4.5], [10.5, 12.5]]]))


@pytest.mark.parametrize("pixdim", [(4.0,), (4.0, 4.0, 4.0), (0.0, 4.0), (4.0, -1.0)])
def test_refused_sizes(pixdim: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"pixel size in mm"):
        InPlaneSpacing(pixdim)


def test_dictionary_form() -> None:
    data = {"image": image(torch.rand(1, 8, 8)), "other": 1}
    transform = InPlaneSpacingd(["image", "label"], (2.0, 2.0), allow_missing_keys=True)
    changed = transform(data)
    assert (changed["image"].shape, changed["other"], data["image"].shape) == ((1, 4, 8), 1, (1, 8, 8))
    assert transform.inverse(changed)["image"].shape == (1, 8, 8)
