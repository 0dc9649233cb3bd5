"""The semi-supervised trainer: which loss sees what, and how many updates that makes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.handlers import from_engine
from torch import Tensor, nn

from monai_levelset.engines import SemiSupervisedTrainer
from monai_levelset.losses import MumfordShahLoss, SemiSupervisedLoss
from monai_levelset.transforms import BatchAugmentation, CentreSlice

CE = nn.CrossEntropyLoss()


def network(channels: int = 1, classes: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(channels, classes, 3, padding=1)


def batch(count: int = 4, labeled: int = 2, channels: int = 1, classes: int = 2) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    return {
        "image": torch.rand(count, channels, 8, 8, generator=generator),
        "label": torch.randint(0, classes, (count, 1, 8, 8), generator=generator).float(),
        "labeled": torch.tensor([int(k < labeled) for k in range(count)]),
    }


def trainer(net: nn.Module, data: Any, loss: SemiSupervisedLoss, **changes: Any) -> SemiSupervisedTrainer:
    arguments: dict[str, Any] = {
        "device": torch.device("cpu"),
        "max_epochs": 1,
        "train_data_loader": data,
        "network": net,
        "optimizer": torch.optim.SGD(net.parameters(), lr=0.1),
        "loss_function": loss,
    }
    return SemiSupervisedTrainer(**{**arguments, **changes})


def gradients(net: nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


@pytest.mark.parametrize("classes", [2, 3])
def test_the_loss_is_the_sum_of_equation_16(classes: int) -> None:
    data, net, copy = batch(classes=classes), network(classes=classes), network(classes=classes)
    unsupervised = MumfordShahLoss(softmax=True)
    trainer(net, [data], SemiSupervisedLoss(CE, unsupervised, beta=0.01), classes=classes).run()
    scores = copy(data["image"])
    labels = data["label"][:2, 0].long()
    loss = 0.5 * nn.functional.cross_entropy(scores[:2], labels) + 0.01 * unsupervised(scores, data["image"])
    loss.backward()
    for found, expected in zip(gradients(net), gradients(copy), strict=True):
        torch.testing.assert_close(found, expected)


def test_the_output_holds_the_loss_and_its_parts() -> None:
    run = trainer(network(), [batch()], SemiSupervisedLoss(CE, MumfordShahLoss(softmax=True), beta=0.01))
    run.run()
    output = run.state.output[0]
    torch.testing.assert_close(output["loss"], output["supervised"] + output["unsupervised"])
    assert not output["loss"].requires_grad


def test_monai_s_handlers_take_the_loss_from_the_output() -> None:
    """As `--tracking mlflow` and the model zoo's `StatsHandler` do."""
    run = trainer(network(), [batch()], SemiSupervisedLoss(CE, None))
    run.run()
    assert from_engine(["loss"], first=True)(run.state.output) is run.state.output[0]["loss"]


def test_without_an_unsupervised_loss_unlabelled_items_have_no_gradient() -> None:
    data = batch(3, labeled=0)
    data["label"] = torch.full_like(data["label"], torch.nan)
    net = network()
    run = trainer(net, [data], SemiSupervisedLoss(CE, None))
    run.run()
    assert all(g.abs().max() == 0 for g in gradients(net))
    assert run.state.updates == 1


def test_no_label_at_all() -> None:
    data = {"image": batch()["image"]}
    net, copy = network(), network()
    loss = SemiSupervisedLoss(CE, MumfordShahLoss(softmax=True), beta=1.0)
    trainer(net, [data], loss).run()
    MumfordShahLoss(softmax=True)(copy(data["image"]), data["image"]).backward()
    for found, expected in zip(gradients(net), gradients(copy), strict=True):
        torch.testing.assert_close(found, expected)


def test_the_bias_channel_is_no_class() -> None:
    data, net = {"image": batch()["image"]}, network(classes=3)
    loss = SemiSupervisedLoss(CE, MumfordShahLoss(softmax=True, bias_field=True), beta=1.0)
    run = trainer(net, [data], loss)
    run.run()
    assert torch.isfinite(run.state.output[0]["loss"])
    assert all(g[2].abs().max() > 0 for g in gradients(net))  # the bias field is trained


class Spy(nn.Module):
    """An unsupervised loss that keeps the image it was given."""

    def forward(self, scores: Tensor, image: Tensor) -> Tensor:
        self.image = image.clone()
        return scores.sum() * 0


def test_what_is_measured_is_moved_but_not_shaded() -> None:
    data = batch(channels=6)
    data["image"][:, :, :4] = 0
    spy = Spy()
    augment = BatchAugmentation(
        rotation=0.0, scale=0.0, stretch=0.0, shift=0.0, bend=0.0, shade=1.0, contrast=0.5, noise=0.5
    )
    torch.manual_seed(0)
    run = trainer(
        network(6), [data], SemiSupervisedLoss(CE, spy), measure=CentreSlice(3, [1]), augment=augment
    )
    run.run()
    assert spy.image.shape == (4, 1, 8, 8)
    assert spy.image[:, :, :4].abs().max() == 0
    mirrored = data["image"][:, 4:5].flip(-1)
    for found, image, other in zip(spy.image, data["image"][:, 4:5], mirrored, strict=True):
        assert torch.allclose(found, image, atol=1e-5) or torch.allclose(found, other, atol=1e-5)
    assert not torch.allclose(run.state.output[0]["image"][:, 4:5], spy.image, atol=0.05)


def test_the_budget_ends_the_training() -> None:
    run = trainer(network(), [batch()] * 5, SemiSupervisedLoss(CE, None), max_updates=7, max_epochs=100)
    run.run()
    assert run.state.updates == 7


def test_a_class_that_does_not_exist() -> None:
    data = batch(classes=2)
    data["label"][0, 0, 0, 0] = 4
    run = trainer(network(), [data], SemiSupervisedLoss(CE, None))
    with pytest.raises(ValueError, match="holds class 4, but `classes` is 2"):
        run.run()
