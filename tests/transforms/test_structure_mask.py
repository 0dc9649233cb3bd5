"""The mask of the structure that an item is about."""

from __future__ import annotations

import torch
from monai.data import MetaTensor

from monai_levelset.transforms import StructureMaskd

LABEL = torch.tensor([[[0, 1, 2], [2, 1, 255]]])


def test_only_the_named_values_belong_to_the_structure() -> None:
    assert StructureMaskd("label")({"label": LABEL, "values": [1, 2]})["label"].tolist() == [
        [[0, 1, 1], [1, 1, 0]]
    ]


def test_without_values_everything_but_zero_belongs_to_it() -> None:
    for data in ({"label": LABEL}, {"label": LABEL, "values": []}):
        assert StructureMaskd("label")(data)["label"].tolist() == [[[0, 1, 1], [1, 1, 1]]]


def test_the_grid_is_kept_and_the_input_stays() -> None:
    label = MetaTensor(LABEL.float(), affine=torch.diag(torch.tensor([2.0, 3, 1, 1])))
    mask = StructureMaskd("label", values_key="which")({"label": label, "which": [2]})["label"]
    assert torch.equal(mask.affine, label.affine)
    assert mask.sum() == 2
    assert label.max() == 255
