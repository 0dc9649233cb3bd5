"""The paper's numbers, and which configuration wins."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser

from monai_levelset.reproduce.command import TARGETS as COMMANDS
from monai_levelset.reproduce.models import level_set, load_network
from monai_levelset.reproduce.stages import budget, setting, train
from monai_levelset.reproduce.targets import ROWS, TARGETS, Stage, Target, config_files, find_target
from monai_levelset.transforms import LevelSetRefinement

JOINT = Stage("joint", "joint")


@pytest.fixture
def tiny(tiny_bundle: Path) -> Target:
    return replace(find_target("tang2017-liver"), bundle=str(tiny_bundle))


def test_the_command_knows_every_target() -> None:
    assert TARGETS.keys() <= COMMANDS.keys()
    for target, place in COMMANDS.items():
        module, name = place.split(":")
        parameters = inspect.signature(getattr(import_module(module), name)).parameters
        more = ["weights"] if target.startswith("zheng2020") else []
        more += ["labeled", "full"] if target.startswith("few-labels") else []
        assert list(parameters)[1:] == ["data", "out", "seeds", "epochs", "jobs", *more]


def test_printed_numbers_stand_at_their_rows() -> None:
    liver = find_target("tang2017-liver").paper
    assert liver["post-processing level set"] == (0.885, 0.794)
    assert liver["FCN-levelset"] == (0.923, 0.857)
    assert find_target("tang2017-lv").paper["baseline FCN"] == (0.804, 0.672)
    for target in TARGETS.values():
        assert list(target.paper) == list(ROWS)[:5]


def test_overrides_are_laid_in_order(tiny: Target) -> None:
    files = tiny.files("joint")
    assert files == config_files(tiny.folder, "slices", "joint")
    assert [Path(file).stem for file in files] == ["train", "slices", "joint"]
    assert setting(tiny, JOINT, "value") == "joint"
    assert budget(tiny, JOINT) == 3
    assert budget(tiny, Stage("pre-trained", "pretrain")) == 2  # of slices.json
    assert budget(replace(tiny, overrides=()), Stage("pre-trained", "pretrain")) == 1


def test_trainings_get_the_overrides_in_order(tiny: Target, tmp_path: Path, trainings: Any) -> None:
    train(tiny, JOINT, tmp_path / "seed0", data=tmp_path, seed=0, updates=1)
    assert trainings.files == [["train", "slices", "joint"]]


def test_the_network_is_the_configuration_s(tiny: Target, tmp_path: Path) -> None:
    saved = torch.nn.Conv2d(1, 2, 3)  # kernel_size of slices.json
    torch.save(saved.state_dict(), tmp_path / "model.pt")
    network = load_network(tiny, tmp_path)
    assert isinstance(network, torch.nn.Conv2d)
    image = torch.rand(1, 1, 6, 6)
    torch.testing.assert_close(network(image), saved(image))


def test_the_bundle_s_own_network_is_loaded(tmp_path: Path) -> None:
    for target in TARGETS.values():
        parser = ConfigParser()
        parser.read_config(target.files("joint"))
        torch.save(parser.get_parsed_content("network_def").state_dict(), tmp_path / "model.pt")
        numbers = sum(p.numel() for p in load_network(target, tmp_path).parameters())
        assert numbers == sum(p.numel() for p in parser.get_parsed_content("network_def").parameters())


def test_only_what_the_refinement_knows_is_taken_from_the_inference(tiny: Target, tmp_path: Path) -> None:
    step = {
        "_target_": "monai_levelset.transforms.LevelSetRefinementd",
        "keys": "pred",
        "image_key": "image",
        "soft": True,
        "region_weight": 0.7,
        "edge_contrast": "$@weak / 2",
        "min_peak": "@value",
        "prior": "@shape_prior",
    }
    steps = [{"_target_": "Activationsd", "keys": "pred"}, step]
    content = {
        "value": 0.5,
        "weak": 0.6,
        "network_def": {},
        "postprocessing": {"_target_": "Compose", "transforms": steps},
    }
    (tiny.folder / "configs" / "inference.json").write_text(json.dumps(content))
    prior = torch.rand(1, 1, 4, 4)
    torch.save(prior, tmp_path / "shape_prior.pt")
    refine = level_set(tiny, tmp_path)
    assert (refine.region_weight, refine.edge_contrast) == (0.7, 0.3)
    assert refine.min_peak == "slices"  # laid over the inference too
    torch.testing.assert_close(refine.prior, prior)
    defaults = inspect.signature(LevelSetRefinement).parameters
    assert refine.curvature_weight == defaults["curvature_weight"].default
