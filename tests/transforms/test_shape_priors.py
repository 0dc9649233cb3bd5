"""Shape priors from a training set's masks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from torch import Tensor

from monai_levelset.data import DataError
from monai_levelset.transforms import LevelSetRefinement, SaveShapePriors, draw_shape_priors


def item(
    height: int, width: int, *, labeled: int = 1, corner: tuple[int, int] = (5, 9), size: int = 90
) -> dict:
    label = torch.zeros(1, size, size)
    label[:, corner[0] : corner[0] + height, corner[1] : corner[1] + width] = 1
    return {"label": label, "labeled": labeled}


def extent(prior: Tensor) -> tuple[int, int]:
    rows, columns = (prior[0] > 0).nonzero(as_tuple=True)
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


def test_masks_are_centred_signed_distances() -> None:
    prior = draw_shape_priors([item(30, 24)])
    assert prior.shape == (1, 1, 72, 72)
    assert extent(prior[0]) == (30, 24)
    rows, columns = (prior[0, 0] > 0).nonzero(as_tuple=True)
    assert rows.float().mean().item() == pytest.approx(35.5)
    assert columns.float().mean().item() == pytest.approx(35.5)
    assert prior.max().item() == pytest.approx(11.5, abs=0.51)
    assert prior[0, 0, 35, :6].tolist() == pytest.approx([-23.5 + i for i in range(6)], abs=0.51)


def test_unlabelled_and_small_masks_are_left_out() -> None:
    items = [item(30, 24, labeled=0), item(10, 10), item(22, 26)]
    priors = draw_shape_priors(items)
    assert [extent(p) for p in priors] == [(22, 26)]
    assert len(draw_shape_priors(items, min_pixels=100)) == 2


def test_draw_is_random_by_seed_and_without_repetition() -> None:
    items = [item(20 + 2 * i, 40) for i in range(12)]
    drawn = [[extent(p)[0] for p in draw_shape_priors(items, count=5, seed=s)] for s in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert len(set(drawn[0])) == 5
    assert sorted(extent(p)[0] for p in draw_shape_priors(items)) == list(range(20, 44, 2))


def test_the_draw_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    draw_shape_priors([item(30, 24)])
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("size", [40, 72, 101])
def test_images_of_all_sizes_give_one_size(size: int) -> None:
    items = [item(24, 20, size=s, corner=(2, 3)) for s in (36, 60, 131)]
    priors = draw_shape_priors(items, size=size)
    assert priors.shape == (3, 1, size, size)
    found = torch.tensor([extent(p) for p in priors])
    assert ((found - torch.tensor([24, 20])).abs() <= size % 2).all()  # between pixels on an odd grid
    assert (priors.amax((1, 2, 3)) - 9.5).abs().max() <= 0.51
    assert (priors[:, 0, :, 0] + size / 2 - 10).abs().max() <= size / 2  # distances go on to the border
    assert priors[:, 0, size // 2, 0].tolist() == pytest.approx([10.5 - size / 2] * 3, abs=0.51)


def test_no_mask_large_enough() -> None:
    with pytest.raises(DataError, match=r"400 pixels.*min_pixels"):
        draw_shape_priors([item(19, 21), item(40, 40, labeled=0)])


def test_saved_when_training_starts_and_read_by_the_refinement(tmp_path: Path) -> None:
    priors = draw_shape_priors([item(30, 24), item(25, 25)])
    path, engine, seen = tmp_path / "models" / "prior.pt", Engine(lambda engine, batch: None), []
    SaveShapePriors(path, priors).attach(engine)
    assert not path.exists()
    engine = Engine(lambda engine, batch: seen.append(path.exists()))
    SaveShapePriors(str(path), priors).attach(engine)
    engine.run([0])
    assert seen == [True]
    prior = LevelSetRefinement(shape_weight=0.1, prior=path).prior
    assert prior is not None
    assert torch.equal(prior, priors)
    assert [p.name for p in path.parent.iterdir()] == ["prior.pt"]
