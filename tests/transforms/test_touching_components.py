"""Components of label maps that touch no neighbour are dropped, slice by slice."""

from __future__ import annotations

import torch
from monai.data import MetaTensor

from monai_levelset.transforms import TouchingComponentsd

KEEP = TouchingComponentsd("pred", label=1, others=[2, 3])


def slices() -> torch.Tensor:
    """Three slices `(1, 1, 6, 3)`: one component touches 2, the other nothing; then 3; then no neighbour."""
    rows = [[1, 0, 0, 1, 2, 0], [1, 1, 3, 0, 1, 0], [1, 0, 1, 0, 0, 0]]
    return torch.tensor(rows).T[None, None]


def test_each_slice_is_looked_at_by_itself() -> None:
    found = KEEP({"pred": slices()})["pred"]
    assert found[0, 0].T.tolist() == [[0, 0, 0, 1, 2, 0], [1, 1, 3, 0, 0, 0], [1, 0, 1, 0, 0, 0]]
    for k in range(3):
        assert torch.equal(KEEP({"pred": slices()[..., k]})["pred"], found[..., k])


def test_type_and_place_stay_and_the_input_is_not_written() -> None:
    affine = torch.diag(torch.tensor([2.0, 2.0, 5.0, 1.0], dtype=torch.float64))
    label = MetaTensor(slices().to(torch.uint8), affine=affine)
    found = KEEP({"pred": label})["pred"]
    assert isinstance(found, MetaTensor)
    assert found.dtype is torch.uint8
    assert torch.equal(found.affine, affine)
    assert torch.equal(label.as_tensor(), slices().to(torch.uint8))


def test_other_keys_and_other_labels_are_not_touched() -> None:
    label = torch.tensor([[3, 0, 2, 0, 1]])[None]
    data = {"pred": label, "image": label}
    found = KEEP(data)
    assert found["image"] is label
    assert found["pred"].tolist() == [[[3, 0, 2, 0, 0]]]
