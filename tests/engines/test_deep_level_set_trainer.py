"""The trainer of click networks: warm-up, parts of the loss, clipping, and what it takes as criterion."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.engines import IterationEvents
from torch import Tensor, nn

from monai_levelset.engines import DeepLevelSetTrainer, ImageNetWeights, RunCheckpoint
from monai_levelset.losses import DeepLevelSetLoss
from monai_levelset.networks import DeepLevelSetNetwork
from monai_levelset.transforms import SimulatedClicks


def network(**arguments: Any) -> DeepLevelSetNetwork:
    torch.manual_seed(0)
    return DeepLevelSetNetwork(
        3, "resnet18", width=0.125, output_stride=16, skip_channels=8, head_channels=8, **arguments
    )


def batch(count: int = 4, seed: int = 0) -> dict[str, Tensor]:
    """Bright discs on a darker, noisy ground."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.arange(64.0) - 32
    middle = 8 * torch.rand(count, 2, generator=generator) - 4
    radius = 12 + 8 * torch.rand(count, generator=generator)
    rows, columns = x[None, :, None] - middle[:, :1, None], x[None, None] - middle[:, 1:, None]
    label = ((rows**2 + columns**2).sqrt() < radius[:, None, None]).float()[:, None]
    return {"image": label + 0.3 * torch.randn(count, 1, 64, 64, generator=generator), "label": label}


def trainer(net: nn.Module, data: Any = None, **changes: Any) -> DeepLevelSetTrainer:
    arguments: dict[str, Any] = {
        "device": torch.device("cpu"),
        "max_epochs": 1,
        "train_data_loader": [batch()] * 4 if data is None else data,
        "network": net,
        "optimizer": torch.optim.AdamW(net.parameters(), lr=3e-3),
        "loss_function": DeepLevelSetLoss(),
        "augment": SimulatedClicks(48, jitter=2.0),
    }
    return DeepLevelSetTrainer(**{**arguments, **changes})


def parts_by_update(engine: DeepLevelSetTrainer) -> list[set[str]]:
    seen: list[set[str]] = []

    def remember(engine: Any) -> None:
        seen.append({str(name) for name in engine.state.output[0]} - {"image", "label", "pred", "loss"})

    engine.add_event_handler(IterationEvents.MODEL_COMPLETED, remember)
    engine.run()
    return seen


def test_warm_up_terms_are_there_for_so_many_updates_and_no_longer() -> None:
    plain = {"cross_entropy", "boundary"}
    warm = plain | {"distance", "direction"}
    assert parts_by_update(trainer(network(), warm_up_updates=2)) == [warm, warm, plain, plain]
    assert parts_by_update(trainer(network())) == [plain] * 4


def test_a_resumed_run_does_not_warm_up_again(tmp_path: Any) -> None:
    def run(epochs: int, resume: bool) -> list[set[str]]:
        net = network()
        engine = trainer(net, [batch()] * 2, max_epochs=epochs, warm_up_updates=3)
        RunCheckpoint(tmp_path / "run.pt", {"net": net}, resume=resume).attach(engine)
        return parts_by_update(engine)

    first, rest = run(1, False), run(2, True)
    assert ["distance" in parts for parts in first + rest] == [True, True, True, False]


def test_the_loss_is_the_sum_of_its_parts() -> None:
    engine = trainer(network(), [batch()], warm_up_updates=1)
    engine.run()
    output = engine.state.output[0]
    names = ("cross_entropy", "boundary", "distance", "direction")
    assert float(sum(output[name] for name in names)) == pytest.approx(float(output["loss"]), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "loss"),
    [
        ({}, {}),
        ({"probability": False}, {"boundary_weight": 0.0}),
        (
            {"probability": False, "evolution": False},
            {"boundary_weight": 0.0, "heaviside": "tanh", "eps": 2.0},
        ),
    ],
    ids=["whole", "DELSE", "DEXTR"],
)
def test_forty_updates_teach_each_system_to_draw_discs(arguments: Any, loss: Any) -> None:
    net = network(**arguments)
    warm_up = 10 if arguments.get("evolution", True) else 0
    engine = trainer(
        net,
        [batch(seed=k) for k in range(40)],
        loss_function=DeepLevelSetLoss(**loss),
        warm_up_updates=warm_up,
    )
    engine.run()
    inputs, masks = SimulatedClicks(48, jitter=0.0)(*batch(8, seed=99).values())
    with torch.no_grad():
        found = net.eval()(inputs)[:, 1:] > 0.5
    dice = 2 * (found * masks).sum() / (found.sum() + masks.sum())
    assert dice > 0.9


def test_gradients_are_clipped_to_the_given_norm() -> None:
    net = network()
    engine = trainer(net, [batch()], max_grad_norm=0.5, optimizer=torch.optim.SGD(net.parameters(), lr=0.0))
    engine.run()
    norms = [p.grad.norm() for p in net.parameters() if p.grad is not None]
    assert float(torch.stack(norms).norm()) == pytest.approx(0.5, rel=1e-3)


def test_autocast_on_a_cpu_needs_no_scaler_and_keeps_the_maps_in_float32() -> None:
    engine = trainer(network(), [batch()], amp=True)
    engine.run()
    assert engine.scaler is None
    assert engine.state.output[0]["pred"].phi.dtype == torch.float32
    assert torch.isfinite(engine.state.output[0]["loss"])


def test_imagenet_weights_are_loaded_before_the_first_update(tmp_path: Any) -> None:
    source = network()
    with torch.no_grad():
        source.backbone.layer1[0].conv1.weight.fill_(0.25)
    torch.save(source.backbone.state_dict(), tmp_path / "resnet.pth")
    state = {k: v for k, v in source.backbone.state_dict().items() if k != "conv1.weight"}
    torch.save({**state, "conv1.weight": torch.rand(8, 3, 7, 7)}, tmp_path / "resnet.pth")
    net, seen = network(), []
    engine = trainer(
        net, [batch()], train_handlers=[ImageNetWeights(tmp_path / "resnet.pth", net, image_channels=1)]
    )
    engine.add_event_handler(
        Events.STARTED, lambda: seen.append(float(net.backbone.layer1[0].conv1.weight.detach().mean()))
    )
    engine.run()
    assert seen == [0.25]
    assert net.backbone.conv1.weight.shape == (8, 3, 7, 7)


def test_a_negative_warm_up_is_refused() -> None:
    with pytest.raises(ValueError, match="`warm_up_updates` must not be negative, got -1"):
        trainer(network(), warm_up_updates=-1)
