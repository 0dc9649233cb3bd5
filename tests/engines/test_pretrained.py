"""Weights of an earlier run."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from ignite.engine import Engine

from monai_levelset.data import DataError
from monai_levelset.engines import BestNetwork, PretrainedWeights
from monai_levelset.networks import ShallowFCN


def test_weights_of_the_best_network_are_taken_over(toys: ModuleType, tmp_path: Path) -> None:
    source, target = toys.network(0), toys.network(1)
    best = BestNetwork(tmp_path / "model.pt", source, "dice")
    evaluator = Engine(lambda engine, batch: engine.state.metrics.update(dice=1.0))
    best.attach(evaluator)
    evaluator.run([0])
    PretrainedWeights(tmp_path / "model.pt", target).attach(Engine(lambda engine, batch: None))
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value)


def test_a_wrapper_is_looked_through(toys: ModuleType, tmp_path: Path) -> None:
    torch.save(toys.network(0).state_dict(), tmp_path / "model.pt")
    wrapped = torch.nn.DataParallel(toys.network(1))
    PretrainedWeights(tmp_path / "model.pt", wrapped).attach(Engine(lambda engine, batch: None))
    assert torch.equal(wrapped.module.classify.weight, toys.network(0).classify.weight)


def test_a_resumed_run_goes_on_from_its_own_weights(toys: ModuleType, tmp_path: Path) -> None:
    toys.joint_run(tmp_path, 2)["trainer"].run()
    expected = torch.load(tmp_path / "run.pt", weights_only=True)["model"]
    torch.save(toys.network(7).state_dict(), tmp_path / "pretrained.pt")
    pieces = toys.joint_run(tmp_path, 2, resume=True)
    PretrainedWeights(tmp_path / "pretrained.pt", pieces["model"]).attach(pieces["trainer"])
    pieces["trainer"].run()
    assert all(torch.equal(v, expected[k]) for k, v in pieces["model"].state_dict().items())


def test_another_network_is_refused_before_training(toys: ModuleType, tmp_path: Path) -> None:
    torch.save(ShallowFCN().state_dict(), tmp_path / "model.pt")
    net = toys.network()
    start = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(DataError, match=r"model\.pt: this checkpoint belongs to another network"):
        PretrainedWeights(tmp_path / "model.pt", net).attach(Engine(lambda engine, batch: None))
    assert all(torch.equal(value, start[name]) for name, value in net.state_dict().items())


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.pt: the checkpoint does not exist"):
        PretrainedWeights(tmp_path / "gone.pt", ShallowFCN()).attach(Engine(lambda engine, batch: None))
