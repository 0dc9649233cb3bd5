"""The joint trainer: who is trained on what, how much it counts, and how many updates that makes."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from monai.engines import IterationEvents
from torch import Tensor, nn

from monai_levelset.engines import FCNLevelSetTrainer, MemoryReplay
from monai_levelset.networks import ShallowFCN
from monai_levelset.transforms import BatchAugmentation, LevelSetRefinement


def gradients(net: nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in net.parameters()]


def weights(net: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in net.parameters()]


class Spy(LevelSetRefinement):
    """Refinement that notes what it was asked and answers with a fixed soft mask."""

    def __init__(self, answer: float | None = None) -> None:
        super().__init__(steps=2)
        self.answer, self.asked = answer, []

    def soft(self, probability: Tensor, image: Tensor | None = None) -> Tensor:
        assert not probability.requires_grad
        assert image is not None
        assert len(image) == len(probability)
        self.asked.append(probability.clone())
        if self.answer is not None:
            return torch.full_like(probability, self.answer)
        return super().soft(probability, image)


class LossSpy(nn.CrossEntropyLoss):
    """Cross entropy that notes the targets."""

    def __init__(self) -> None:
        super().__init__(reduction="none")
        self.targets: list[Tensor] = []

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        self.targets.append(target.detach().clone())
        return super().forward(scores, target)


def test_one_update_is_sgd_on_the_mean_cross_entropy(toys: ModuleType) -> None:
    batch, net, copy = toys.batch(4, 0), toys.network(), toys.network()
    toys.trainer(net, [batch], refinement=None).run()
    loss = nn.functional.cross_entropy(copy(batch["image"]), batch["label"][:, 0].long())
    loss.backward()
    for found, start in zip(net.parameters(), copy.parameters(), strict=True):
        torch.testing.assert_close(found, start - 0.1 * start.grad)


def test_weight_zero_silences_unlabelled_items(toys: ModuleType) -> None:
    batch, net, copy = toys.batch(4, 3), toys.network(), toys.network()
    trainer = toys.trainer(net, [batch], unlabeled_weight=0.0)
    trainer.run()
    nn.functional.cross_entropy(copy(batch["image"][:1]), batch["label"][:1, 0].long()).backward()
    for found, alone in zip(gradients(net), gradients(copy), strict=True):
        torch.testing.assert_close(found, alone / 4)  # the mean is over all four items


def test_weight_zero_makes_the_unlabelled_gradient_exactly_zero(toys: ModuleType) -> None:
    net = toys.network()
    toys.trainer(net, [toys.batch(3, 3)], unlabeled_weight=0.0).run()
    assert all(g.abs().max() == 0 for g in gradients(net))


def test_labelled_train_on_labels_unlabelled_on_the_refined_probability(toys: ModuleType) -> None:
    batch, net, spy, loss = toys.batch(5, 2), toys.network(), Spy(), LossSpy()
    with torch.no_grad():
        probability = toys.network().eval()(batch["image"]).softmax(1)[:, 1:]
    toys.trainer(net, [batch], refinement=spy, loss_function=loss).run()
    assert len(spy.asked) == 1
    torch.testing.assert_close(spy.asked[0], probability[3:])
    (target,) = loss.targets
    assert torch.equal(target[:3, 1:], batch["label"][:3])
    assert torch.equal(target[3:, 1:], LevelSetRefinement(steps=2).soft(spy.asked[0]))
    torch.testing.assert_close(target.sum(1), torch.ones(5, toys.SIZE, toys.SIZE))


def test_any_content_may_stand_in_for_a_missing_label(toys: ModuleType) -> None:
    first, second = toys.network(), toys.network()
    batch = toys.batch(4, 2)
    toys.trainer(first, [batch]).run()
    other = {**batch, "label": batch["label"].clone()}
    other["label"][2:] = torch.nan
    toys.trainer(second, [other]).run()
    assert all(torch.equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))
    assert other["label"][2:].isnan().all()  # the data are left alone


def test_no_gradient_passes_through_the_level_set(toys: ModuleType) -> None:
    batch, net, copy = toys.batch(3, 3), toys.network(), toys.network()
    toys.trainer(net, [batch]).run()
    with torch.no_grad():
        soft = LevelSetRefinement(steps=2).soft(copy.eval()(batch["image"]).softmax(1)[:, 1:])
    scores = copy(batch["image"])
    loss = -(soft * scores.log_softmax(1)[:, 1:] + (1 - soft) * scores.log_softmax(1)[:, :1]).mean()
    loss.backward()
    for found, expected in zip(gradients(net), gradients(copy), strict=True):
        torch.testing.assert_close(found, expected)


def test_the_level_set_sees_the_network_in_evaluation_mode(toys: ModuleType) -> None:
    net, modes = toys.network(), []
    net.register_forward_hook(lambda module, arguments, output: modes.append(module.training))
    toys.trainer(net, [toys.batch(4, 2)]).run()
    assert modes == [False, True]


@pytest.mark.parametrize("views", [1, 2, 4])
def test_views_are_averaged_over_quarter_turns(toys: ModuleType, views: int) -> None:
    torch.manual_seed(3)
    net, image = toys.network().eval(), torch.rand(2, 1, 16, 12)
    spy = Spy()
    trainer = toys.trainer(net, [toys.batch()], refinement=spy, views=views)
    trainer.targets(image, torch.zeros_like(image), torch.zeros(2))
    turns = {1: [0], 2: [0, 2], 4: [0, 1, 2, 3]}[views]
    with torch.no_grad():
        turned = [net(torch.rot90(image, k, (2, 3))).softmax(1)[:, 1:] for k in turns]
    mean = sum(torch.rot90(p, -k, (2, 3)) for k, p in zip(turns, turned, strict=True)) / len(turns)
    torch.testing.assert_close(spy.asked[0], mean)


class Halves:
    """A refinement that finds the upper half of every image."""

    def soft(self, probability: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        mask = torch.zeros_like(probability)
        mask[..., : mask.shape[2] // 2, :] = 1
        return mask


class ImageIsProbability(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(image), torch.logit(image)], 1) + self.bias


def test_an_image_whose_label_the_network_contradicts_is_left_out(toys: ModuleType) -> None:
    # p = .8 in the upper half and .2 below: 2 * .8/2 / (.5 + .5) = .8; p = .2 and .8: 2 * .2/2 / 1 = .2
    image = torch.full((3, 1, 8, 8), 0.2)
    image[0, :, :4], image[1, :, 4:], image[2, :, 4:] = 0.8, 0.8, 0.8
    given = {"replay": None, "refinement": Halves()}
    labeled, label = torch.tensor([0.0, 0.0, 1.0]), torch.zeros_like(image)
    for least, expected in ((0.0, [1, 1, 1]), (0.19, [1, 1, 1]), (0.21, [1, 0, 1]), (0.81, [0, 0, 1])):
        trainer = toys.trainer(ImageIsProbability(), [toys.batch()], min_agreement=least, **given)
        assert trainer.targets(image, label, labeled)[1].tolist() == expected


def test_a_left_out_image_changes_no_weight(toys: ModuleType) -> None:
    batch, nets = toys.batch(4, 4), [toys.network(), toys.network()]
    toys.trainer(nets[0], [batch], min_agreement=2.0).run()
    for trained, fresh in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(trained, fresh)


@pytest.mark.parametrize(
    ("capacity", "batches", "updates"), [(None, 5, 5), (1, 5, 10), (3, 5, 14), (9, 5, 5)]
)
def test_number_of_updates_with_replay(
    toys: ModuleType, capacity: int | None, batches: int, updates: int
) -> None:
    # capacity 3: passes of 3 updates after the third, fourth and fifth mini-batch, 5 + 3 * 3
    seen = []
    replay = None if capacity is None else MemoryReplay(capacity)
    trainer = toys.trainer(toys.network(), [toys.batch(2, 1)] * batches, replay=replay)
    trainer.add_event_handler(IterationEvents.MODEL_COMPLETED, lambda: seen.append(trainer.state.updates))
    trainer.run()
    assert trainer.state.updates == updates
    assert seen == list(range(1, updates + 1))


def test_replay_reuses_the_targets_of_the_first_time(toys: ModuleType) -> None:
    spy, loss = Spy(), LossSpy()
    replay = MemoryReplay(1)
    toys.trainer(
        toys.network(), [toys.batch(3, 2)] * 2, refinement=spy, replay=replay, loss_function=loss
    ).run()
    assert len(spy.asked) == 2  # once per mini-batch, not per update
    for once, again in ((0, 1), (2, 3)):
        first = sorted(loss.targets[once][:, 1].sum((1, 2)).tolist())
        assert sorted(loss.targets[again][:, 1].sum((1, 2)).tolist()) == first


def test_replay_keeps_what_was_not_augmented(toys: ModuleType) -> None:
    replay, batch = MemoryReplay(3), toys.batch(2, 0)
    toys.trainer(toys.network(), [batch] * 2, replay=replay, augment=BatchAugmentation()).run()
    for image, label, labeled, trusted in replay.state_dict()["samples"]:
        assert torch.equal(image, batch["image"])
        assert torch.equal(label, batch["label"])
        assert labeled.tolist() == trusted.tolist() == [1, 1]


@pytest.mark.parametrize("limit", [1, 2, 5, 7])
def test_max_updates_stops_exactly(toys: ModuleType, limit: int) -> None:
    net = toys.network()
    scheduler_steps = []

    class Scheduler:
        def step(self) -> None:
            scheduler_steps.append(1)

    trainer = toys.trainer(
        net,
        [toys.batch(2, 1)] * 3,
        max_epochs=100,
        replay=MemoryReplay(2),
        max_updates=limit,
        scheduler=Scheduler(),
    )
    trainer.run()
    assert trainer.state.updates == limit
    assert len(scheduler_steps) == limit
    # updates per iteration: 1, then 1 + 2 each
    assert trainer.state.iteration == 1 + -(-(limit - 1) // 3)


@pytest.mark.parametrize("limit", [0, 3])
def test_no_update_beyond_max_updates_when_there_are_more_already(toys: ModuleType, limit: int) -> None:
    net = toys.network()
    trainer = toys.trainer(net, [toys.batch(2, 0)] * 2, max_epochs=50, max_updates=limit)
    trainer.state.updates = 4
    start = weights(net)
    trainer.run()
    assert trainer.state.iteration == 1
    assert all(torch.equal(a, b) for a, b in zip(start, weights(net), strict=True))


def test_ramp(toys: ModuleType) -> None:
    # every loss is log 2 without training, so the mean loss shows the weight
    net = toys.network()
    for p in net.parameters():
        nn.init.zeros_(p)
    losses = []
    trainer = toys.trainer(
        net,
        [toys.batch(2, 2)] * 6,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.0),
        unlabeled_weight=0.5,
        ramp_updates=4,
    )
    trainer.add_event_handler(
        IterationEvents.MODEL_COMPLETED, lambda: losses.append(float(trainer.state.output[0]["loss"]))
    )
    trainer.run()
    ramp = [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
    assert losses == pytest.approx([w * 0.6931472 for w in ramp], rel=1e-5)


def test_losses_per_item_and_per_pixel_are_alike(toys: ModuleType) -> None:
    nets = toys.network(), toys.network()
    per_pixel = nn.CrossEntropyLoss(reduction="none")

    def per_item(scores: Tensor, target: Tensor) -> Tensor:
        return per_pixel(scores, target).mean((1, 2))

    for net, loss in zip(nets, (per_pixel, per_item), strict=True):
        toys.trainer(net, [toys.batch()], loss_function=loss).run()
    for a, b in zip(weights(nets[0]), weights(nets[1]), strict=True):
        torch.testing.assert_close(a, b)


def test_the_same_seed_gives_identical_weights(toys: ModuleType) -> None:
    def train(seed: int) -> list[Tensor]:
        net = toys.network()
        torch.manual_seed(seed)
        toys.trainer(
            net, [toys.batch()] * 3, replay=MemoryReplay(2), augment=BatchAugmentation(size=(12, 12))
        ).run()
        return weights(net)

    assert all(torch.equal(a, b) for a, b in zip(train(0), train(0), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(train(0), train(1), strict=True))


def test_training_lowers_the_loss_of_labelled_and_unlabelled(toys: ModuleType) -> None:
    net, whole = toys.network(), toys.batch(6, 0)
    half = {**whole, "labeled": torch.tensor([1, 1, 1, 0, 0, 0])}
    trainer = toys.trainer(
        net, [half] * 60, optimizer=torch.optim.Adam(net.parameters(), lr=0.02), ramp_updates=30
    )

    def loss() -> Tensor:
        with torch.no_grad():
            scores = net.eval()(whole["image"])
        return nn.functional.cross_entropy(scores, whole["label"][:, 0].long(), reduction="none").mean((1, 2))

    before = loss()
    trainer.run()
    assert (loss() < 0.6 * before).all()


def test_unlabelled_without_refinement_is_an_error(toys: ModuleType) -> None:
    with pytest.raises(ValueError, match="no `refinement`"):
        toys.trainer(toys.network(), [toys.batch(2, 1)], refinement=None).run()


def test_labelled_without_refinement_is_fine(toys: ModuleType) -> None:
    trainer = toys.trainer(toys.network(), [toys.batch(2, 0)], refinement=None)
    trainer.run()
    assert trainer.state.updates == 1


def test_a_loss_that_averages_is_refused(toys: ModuleType) -> None:
    net = toys.network()
    start = weights(net)
    with pytest.raises(ValueError, match='reduction="none"'):
        toys.trainer(net, [toys.batch()], loss_function=nn.CrossEntropyLoss()).run()
    assert all(torch.equal(a, b) for a, b in zip(start, weights(net), strict=True))


@pytest.mark.parametrize("views", [0, 3, 8])
def test_refused_views(toys: ModuleType, views: int) -> None:
    with pytest.raises(ValueError, match=f"1, 2 or 4, got {views}"):
        toys.trainer(toys.network(), [], views=views)


def test_output_for_handlers(toys: ModuleType) -> None:
    trainer = toys.trainer(toys.network(), [toys.batch(4, 1)], augment=BatchAugmentation(size=(8, 8)))
    trainer.run()
    output = trainer.state.output[0]
    assert output["image"].shape == output["label"].shape == (4, 1, 8, 8)
    assert output["pred"].shape == (4, 2, 8, 8)
    assert output["loss"].ndim == 0
    assert "updates" in trainer.state_dict()


def test_default_network_trains(toys: ModuleType) -> None:
    net = ShallowFCN()
    trainer: FCNLevelSetTrainer = toys.trainer(net, [toys.batch()])
    trainer.run()
    assert all(p.grad is not None for p in net.parameters())
