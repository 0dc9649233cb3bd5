"""What a click network sees is the same in validation and in use, voxel for voxel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monai_levelset.data import load_section, simulated_clicks
from monai_levelset.data.phantoms import generate_phantoms

from .click_training import BUNDLES, read
from .liver import write_nifti
from .prostate import scan


def validated(task: str, data: Path, **settings: Any) -> dict[str, Any]:
    """Object -> the input that the validation gives the network."""
    parser = read(BUNDLES[task], "train", dataset_dir=str(data), cache_dir=str(data / "cache"), **settings)
    items = parser.get_parsed_content("validate#dataset")
    return {item["id"]: item["image"] for item in items if item["label"].any()}


def seen_in_use(task: str, item: dict[str, Any], **settings: Any) -> torch.Tensor:
    """Inputs `(C, h, w, N)` of an image whose objects are clicked at their extreme points."""
    parser = read(BUNDLES[task], "inference", **settings)
    structures = parser["structures"]
    (clicks,) = simulated_clicks([item["label"]], structures, axcodes=parser.get("axcodes")).values()
    request = {"image": item["image"], "foreground": clicks}
    seen: torch.Tensor = parser.get_parsed_content("preprocessing")(request)["image"].as_tensor()
    return seen


def test_photographs(tmp_path: Path) -> None:
    generate_phantoms("fundus", tmp_path, cases=8, seed=3)
    objects = validated("fundus", tmp_path)
    photographs = load_section(tmp_path, "validation")
    assert len(objects) == 2 * len(photographs) > 2
    for item in photographs:
        crops = seen_in_use("fundus", item)
        assert crops.shape == (5, 256, 256, 2)
        for k, structure in enumerate(("disc", "cup")):
            assert torch.equal(objects[f"{item['id']}-{structure}"], crops[..., k])


def test_volumes(tmp_path: Path) -> None:
    generate_phantoms("prostate", tmp_path, cases=3, seed=3)
    objects = list(validated("prostate", tmp_path).values())
    (item,) = load_section(tmp_path, "validation")
    crops = seen_in_use("prostate", item)
    assert crops.shape == (3, 256, 256, len(objects))
    assert len(objects) > 5
    assert torch.equal(torch.stack(objects, -1), crops)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1), (1, -1, 1)])
def test_volumes_in_any_orientation(order: tuple[int, ...], flips: tuple[int, ...], tmp_path: Path) -> None:
    """Discs, whose extreme points are the same whichever way they are turned."""
    x, y, z = np.ogrid[:48, :40, :5]
    mask = ((x - 20 - z) ** 2 + (y - 19) ** 2 <= (7 + z) ** 2) & (z > 0)
    affine = np.diag([-0.5, -0.6, 3, 1]) @ np.eye(4)[:, [*order, 3]] @ np.diag([*flips, 1])
    values = {"image": scan(mask.astype(np.uint8)), "label": mask.astype(np.uint8)}
    item = {"id": "a", "image": "image.nii", "label": "label.nii"}
    for name, array in values.items():
        stored = array.transpose(order)[tuple(slice(None, None, flip) for flip in flips)]
        write_nifti(tmp_path / f"{name}.nii", stored, affine)
    (tmp_path / "datalist.json").write_text(json.dumps({"validation": [item]}))
    objects = list(validated("prostate", tmp_path).values())
    crops = seen_in_use("prostate", load_section(tmp_path, "validation")[0])
    assert len(objects) == 4
    upright = [torch.stack(objects[:: 1 if forth else -1], -1) for forth in (True, False)]
    assert any(torch.equal(each, crops) for each in upright)


def test_other_maps(tmp_path: Path) -> None:
    generate_phantoms("fundus", tmp_path, cases=4, seed=3)
    settings = {"channels": ["confidence"], "variant": "khan", "size": [48, 80], "margin_ratio": 0.1}
    objects = validated("fundus", tmp_path, **settings)
    item = load_section(tmp_path, "validation")[0]
    crops = seen_in_use("fundus", item, **settings)
    assert crops.shape == (4, 48, 80, 2)
    seen = [objects[f"{item['id']}-{structure}"] for structure in ("disc", "cup")]
    assert torch.equal(torch.stack(seen, -1), crops)
