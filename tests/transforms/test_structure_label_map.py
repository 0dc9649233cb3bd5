"""One label map of several structures."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_levelset.transforms.structure_label_map import StructureLabelMapd


def label_map(values: list[list[float]], **options: bool | float) -> list[float]:
    return StructureLabelMapd("pred", **options)({"pred": torch.tensor(values)})["pred"][0].tolist()  # type: ignore[arg-type]


def test_the_later_structure_lies_on_top() -> None:
    assert label_map([[0.9, 0.9, 0.1, 0.1], [0.1, 0.9, 0.9, 0.1]]) == [1, 2, 2, 0]
    assert label_map([[0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]) == [2, 3]


def test_one_structure_is_a_mask() -> None:
    assert label_map([[0.2, 0.5, 0.51, 1.0]]) == [0, 0, 1, 1]
    assert label_map([[0.2, 0.5, 0.51, 1.0]], nested=True, threshold=0.6) == [0, 0, 0, 1]


def test_a_cup_outside_the_disc_is_dropped_unless_nobody_clicked_the_disc() -> None:
    assert label_map([[0.9, 0.9, 0.1], [0.1, 0.9, 0.9]], nested=True) == [1, 2, 0]
    assert label_map([[0.0, 0.0, 0.0], [0.1, 0.9, 0.9]], nested=True) == [0, 2, 2]


@given(st.integers(1, 3), st.booleans(), st.integers(0, 1000))
def test_values_are_the_structures_present(structures: int, nested: bool, seed: int) -> None:
    found = torch.rand(structures, 4, 5, 2, generator=torch.Generator().manual_seed(seed))
    label = StructureLabelMapd("pred", nested=nested)({"pred": found})["pred"]
    assert label.shape == (1, 4, 5, 2)
    for k in range(structures):
        assert (found[k][label[0] == k + 1] > 0.5).all()
    assert not (label[0] == 0)[found[0] > 0.5].any()
    if nested:
        assert (found[0][label[0] > 0] > 0.5).all()


def test_metadata_stays_and_keys_may_be_missing() -> None:
    image = MetaTensor(torch.rand(2, 3, 3), affine=torch.diag(torch.tensor([2.0, 3, 1, 1])), meta={"a": 1})
    data = {"pred": image}
    label = StructureLabelMapd("pred")(data)["pred"]
    assert isinstance(label, MetaTensor)
    assert label.meta["a"] == 1
    assert torch.equal(label.affine, image.affine)
    assert data["pred"] is image
    assert StructureLabelMapd("other", allow_missing_keys=True)(data) == data
    with pytest.raises(ValueError, match="threshold"):
        StructureLabelMapd("pred", threshold=1.0)
