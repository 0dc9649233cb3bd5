"""The mean-teacher trainer: who labels what, how much it counts, and what the teacher is."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from monai_levelset.engines import MeanTeacherTrainer
from monai_levelset.losses import MeanTeacherLoss, MumfordShahLoss, WeightedDiceCELoss
from monai_levelset.transforms import CopyPaste


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1))


def averaged(net: nn.Module, decay: float = 0.9) -> AveragedModel:
    return AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def batch(count: int = 4, labeled: int = 2) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    label = torch.randint(0, 3, (count, 8, 8), generator=generator)
    return {
        "image": torch.rand(count, 1, 8, 8, generator=generator),
        "label": nn.functional.one_hot(label, 3).movedim(-1, 1).float(),
        "labeled": torch.tensor([int(k < labeled) for k in range(count)]),
    }


def trainer(net: nn.Module, data: Any, **changes: Any) -> MeanTeacherTrainer:
    arguments: dict[str, Any] = {
        "device": torch.device("cpu"),
        "max_epochs": 1,
        "train_data_loader": data,
        "network": net,
        "teacher": averaged(net),
        "optimizer": torch.optim.SGD(net.parameters(), lr=0.1),
        "loss_function": MeanTeacherLoss(),
    }
    return MeanTeacherTrainer(**{**arguments, **changes})


def test_one_update_is_that_of_the_formula() -> None:
    """Labels of persons weigh 1, the teacher's most probable classes `pseudo_weight`."""
    data, net = batch(), network()
    other = copy.deepcopy(net)
    trainer(net, [data], pseudo_weight=0.3).run()
    with torch.no_grad():
        found = other.eval()(data["image"][2:]).argmax(1)
    target = torch.cat([data["label"][:2], nn.functional.one_hot(found, 3).movedim(-1, 1).float()])
    weight = torch.tensor([1.0, 1.0, 0.3, 0.3]).view(4, 1, 1, 1).expand(4, 1, 8, 8)
    WeightedDiceCELoss()(other.train()(data["image"]), target, weight).backward()
    for mine, expected in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, expected.grad)


@pytest.mark.parametrize("trust", [0.5, 0.0])
def test_labels_of_unlabelled_items_are_never_looked_at(trust: float) -> None:
    nets = [network(), network()]
    for net, content in zip(nets, (0.0, math.nan), strict=True):
        data = batch()
        data["label"][2:] = content
        trainer(net, [data], pseudo_weight=trust).run()
    for one, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("labeled", [4, 2])
def test_without_trust_in_the_teacher_the_training_is_supervised(labeled: int) -> None:
    data, net, other = batch(labeled=labeled), network(), network()
    trainer(net, [data], pseudo_weight=0.0).run()
    weight = data["labeled"].float().view(4, 1, 1, 1).expand(4, 1, 8, 8)
    WeightedDiceCELoss()(other.train()(data["image"]), data["label"], weight).backward()
    for mine, expected in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, expected.grad)


def test_the_teacher_is_the_average_of_the_networks_after_each_update() -> None:
    net = network()
    run = trainer(net, [batch(), batch(), batch()])
    seen: list[list[Tensor]] = []
    original = run.teacher.update_parameters

    def update(model: nn.Module) -> None:
        seen.append([p.detach().clone() for p in model.parameters()])
        original(model)

    run.teacher.update_parameters = update  # type: ignore[method-assign]
    run.run()
    assert len(seen) == 3
    for k, mine in enumerate(run.teacher.module.parameters()):
        expected = 0.9 * (0.9 * seen[0][k] + 0.1 * seen[1][k]) + 0.1 * seen[2][k]
        torch.testing.assert_close(mine.detach(), expected)
    assert not any(module.training for module in run.teacher.modules())


def test_the_ramp_rises_to_the_weight() -> None:
    run = trainer(network(), [batch()], pseudo_weight=0.5, ramp_updates=10)
    trusted = []
    for updates in (0, 5, 10, 20):
        run.state.updates = updates
        trusted.append(run.trust())
    assert trusted == pytest.approx([0.5 * math.exp(-5), 0.5 * math.exp(-1.25), 0.5, 0.5])


def test_the_teacher_sees_plain_images_and_the_network_augmented_ones() -> None:
    """What the teacher finds moves with the image."""
    net, seen = network(), {}

    def pseudo_label(probability: Tensor, image: Tensor) -> Tensor:
        seen["teacher"] = image
        label = torch.zeros_like(probability)
        label[:, 0, :, :4], label[:, 1, :, 4:] = 1, 1
        return label

    def mirror(image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return image.flip(-1) + 1, target.flip(-1)

    data = batch()
    run = trainer(net, [data], augment=mirror, pseudo_label=pseudo_label, pseudo_weight=0.5)
    run.run()
    output = run.state.output[0]
    assert torch.equal(seen["teacher"], data["image"][2:])
    assert torch.equal(output["image"], data["image"].flip(-1) + 1)
    labels, weight, plain = output["label"].split([3, 1, 1], 1)
    assert bool((labels[2:, 1, :, :4] == 1).all())
    assert bool((labels[2:, 0, :, 4:] == 1).all())
    assert weight[:, 0, 0, 0].tolist() == [1.0, 1.0, 0.5, 0.5]
    assert torch.equal(plain, data["image"].flip(-1))  # its brightness is not changed


def test_mixing_exchanges_images_labels_and_weights() -> None:
    data = batch()
    run = trainer(network(), [data], mix=CopyPaste(0.5), pseudo_weight=0.25)
    run.run()
    labels, weight, plain = run.state.output[0]["label"].split([3, 1, 1], 1)
    image = run.state.output[0]["image"]
    assert torch.equal(plain, image)
    for k, partner in enumerate((2, 3, 0, 1)):
        own = weight[k] == (1.0 if k < 2 else 0.25)
        assert int((~own).sum()) == 16
        assert torch.equal(image[k], torch.where(own, data["image"][k], data["image"][partner]))
    assert torch.equal(labels[0][:, (weight[0, 0] == 1)], data["label"][0][:, (weight[0, 0] == 1)])


def test_the_images_losses_get_the_unlabelled_voxels() -> None:
    loss = MeanTeacherLoss(mumford_shah=MumfordShahLoss(softmax=True), mumford_shah_weight=0.01)
    run = trainer(network(), [batch()], loss_function=loss)
    run.run()
    output = run.state.output[0]
    torch.testing.assert_close(output["loss"], output["segmentation"] + output["mumford_shah"])


def test_a_resumed_teacher_goes_on_averaging() -> None:
    """One run of two updates, and two of one with the states carried over."""
    whole, first = network(), network()
    run = trainer(whole, [batch(), batch(3, 1)])
    run.run()
    one = trainer(first, [batch()])
    one.run()
    second = network()
    other = trainer(second, [batch(3, 1)])
    second.load_state_dict(first.state_dict())
    other.teacher.load_state_dict(one.teacher.state_dict())
    other.run()
    for mine, expected in zip(other.teacher.parameters(), run.teacher.parameters(), strict=True):
        assert torch.equal(mine, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pseudo_weight": 1.0}, r"in \[0, 0.99\]"),
        ({"pseudo_weight": -0.1}, r"in \[0, 0.99\]"),
        ({"ramp_updates": -1}, "must not be negative"),
    ],
)
def test_settings_out_of_range_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trainer(network(), [batch()], **changes)
