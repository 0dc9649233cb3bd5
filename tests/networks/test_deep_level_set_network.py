"""The deep level set as a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.inferers import SimpleInferer
from torch import Tensor, nn

from monai_levelset.levelset import deep_level_set, heaviside, signed_distance
from monai_levelset.losses import DeepLevelSetLoss, DeepLevelSetOutput
from monai_levelset.networks import DeepLevelSetNetwork, DilatedResNet, load_imagenet_weights
from monai_levelset.networks.deep_level_set_network import _resized

SMALL = {"width": 0.125, "skip_channels": 8, "head_channels": 8}
SYSTEMS = {
    "ours": {"in_channels": 5},
    "+CM": {"in_channels": 5, "probability": False},
    "+BD": {"in_channels": 4},
    "DELSE": {"in_channels": 4, "probability": False},
    "DEXTR": {"in_channels": 4, "probability": False, "evolution": False},
}


def network(**changes: Any) -> DeepLevelSetNetwork:
    """Small, its last convolutions large enough that all maps vary."""
    torch.manual_seed(0)
    net = DeepLevelSetNetwork(**{"backbone": "resnet18", **SMALL, **changes})
    for name, head in net.heads.items():
        nn.init.normal_(head.last.weight, std={"phi0": 0.3, "motion": 1.0}.get(name, 2.0))
    return net.eval()


def image(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def trained(net: DeepLevelSetNetwork) -> DeepLevelSetOutput:
    """What the network gives in training, of two images."""
    output = net.train()(image(2, net.backbone.conv1.in_channels, 40, 48))
    assert isinstance(output, DeepLevelSetOutput)
    return output


def predicted(maps: DeepLevelSetOutput) -> tuple[Tensor, ...]:
    """phi_0, V, P and g, all of which are there."""
    found = maps[1:]
    assert None not in found
    return found  # type: ignore[return-value]


@settings(max_examples=10)
@given(st.integers(1, 33), st.integers(1, 33))
@torch.no_grad()
def test_any_size(height: int, width: int) -> None:
    net = network()
    x = image(2, 5, height, width)
    assert net(x).shape == (2, 2, height, width)
    channels = {name: None if m is None else m.shape[1] for name, m in net.maps(x)._asdict().items()}
    assert channels == {"phi": 1, "phi0": 1, "motion": 2, "probability": 2, "modulation": 1}
    assert all(m.shape[2:] == (height, width) for m in net.maps(x) if m is not None)


@pytest.mark.parametrize("system", SYSTEMS)
def test_systems_are_arguments(system: str) -> None:
    net = network(**SYSTEMS[system])
    found = {name for name, m in trained(net)._asdict().items() if m is not None}
    expected = {"phi"} if system == "DEXTR" else {"phi", "phi0", "motion", "modulation"}
    assert found == expected | ({"probability"} if system in ("ours", "+BD") else set())
    assert net.eval()(image(1, net.backbone.conv1.in_channels, 30, 30)).shape == (1, 2, 30, 30)


def test_without_branch_the_rest_is_the_same_network() -> None:
    net, less = network(), network(probability=False)
    less.load_state_dict({k: v for k, v in net.state_dict().items() if "probability" not in k})
    with torch.no_grad():
        assert torch.equal(net(image(1, 5, 33, 40)), less(image(1, 5, 33, 40)))


@torch.no_grad()
def test_ranges_of_the_maps() -> None:
    phi0, _, probability, g = predicted(network(limit=20.0).maps(image(2, 5, 64, 64) * 10))
    assert 15 < phi0.abs().max() <= 20
    assert 0 <= g.min() < 0.4 < 0.6 < g.max() <= 1
    torch.testing.assert_close(probability.sum(1), torch.ones(2, 64, 64))


@torch.no_grad()
def test_the_evolution_is_that_of_the_level_set_core() -> None:
    net = network(steps=3, dt=2.0, regularization=0.1, delta_width=6.0, curvature=0.1)
    maps = net.maps(image(2, 5, 40, 40))
    phi0, motion, _, g = predicted(maps)
    expected = deep_level_set(phi0, motion, 0.1 * g, steps=3, dt=2.0, regularization=0.1, eps=6.0)
    assert torch.equal(maps.phi, expected.phi)
    assert (maps.phi - phi0).abs().max() > 0.1
    path = net.trajectory(maps)
    assert path.shape == (2, 4, 40, 40)
    assert torch.equal(path[:, :1], phi0)
    torch.testing.assert_close(path[:, 3:], maps.phi)


def test_no_trajectory_without_evolution() -> None:
    net = network(evolution=False)
    with pytest.raises(ValueError, match="There is no evolution to show"):
        net.trajectory(net.maps(image(1, 5, 16, 16)))


@torch.no_grad()
@pytest.mark.parametrize("step", ["arctan", "tanh"])
@pytest.mark.parametrize("system", ["ours", "DEXTR"])
def test_scores_are_of_the_evolved_level_set(system: str, step: str) -> None:
    net = network(**SYSTEMS[system], step=step, step_width=2.0)
    x = image(2, net.backbone.conv1.in_channels, 41, 50)
    scores, phi = net(x), net.maps(x).phi
    torch.testing.assert_close(scores[:, 1:], heaviside(phi, 2.0, step))  # type: ignore[arg-type]
    torch.testing.assert_close(scores.sum(1), torch.ones(2, 41, 50))
    assert torch.equal(scores.argmax(1, keepdim=True), (phi > 0).long())
    assert scores.argmax(1).float().mean() not in (0, 1)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_loss_reaches_every_parameter(system: str) -> None:
    net = network(**SYSTEMS[system])
    output = trained(net)
    mask = torch.zeros(2, 1, 40, 48)
    mask[..., 8:30, 12:40] = 1
    dextr = {"heaviside": "tanh", "eps": 2.0} if system == "DEXTR" else {}
    lam = 4e-4 if output.probability is not None else 0.0
    DeepLevelSetLoss(boundary_weight=lam, **dextr)(output, mask).backward()  # type: ignore[arg-type]
    untouched = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert untouched == []
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)


def test_the_cross_entropy_reaches_each_map_through_all_steps() -> None:
    output = trained(network())
    gradients = torch.autograd.grad(output.phi.square().sum(), predicted(output), allow_unused=True)
    assert [None if g is None else bool(g.isfinite().all() and g.any()) for g in gradients] == [
        True,
        True,
        None,
        True,
    ]


def test_warm_up_trains() -> None:
    """A few updates on one image bring phi_0 nearer to the distance, V nearer to the direction."""
    net, x = network(in_channels=1).train(), image(2, 1, 32, 32)
    mask = torch.zeros(2, 1, 32, 32)
    mask[..., 8:24, 10:22] = 1
    criterion, distance = DeepLevelSetLoss(warm_up=True), signed_distance(mask)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(12):
        parts = criterion.parts(net(x + mask), mask, distance)
        losses.append({name: part.item() for name, part in parts.items()})
        optimizer.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimizer.step()
    assert losses[-1]["distance"] < 0.5 * losses[0]["distance"]
    assert losses[-1]["direction"] < losses[0]["direction"]


@torch.no_grad()
@pytest.mark.parametrize(("stride", "size"), [(8, (41, 57)), (16, (33, 49)), (32, (33, 65))])
def test_features_lie_on_pixels(stride: int, size: tuple[int, int]) -> None:
    """On 8 k + 1 pixels nothing is padded, and the whole network commutes with flips of flipped weights."""
    net = network(output_stride=stride).double()
    flipped = network(output_stride=stride).double()
    state = {k: v.flip(3) if v.ndim == 4 else v.clone() for k, v in net.state_dict().items()}
    for key in ("heads.motion.last.weight", "heads.motion.last.bias"):
        state[key][1] *= -1
    flipped.load_state_dict(state)
    x = image(1, 5, *size).double()
    torch.testing.assert_close(flipped(x.flip(3)).flip(3), net(x))


@pytest.mark.parametrize("stride", [4, 8, 32])
def test_maps_are_interpolated_between_the_pixels_they_belong_to(stride: int) -> None:
    """Features of stride s belong to pixels 0, s, 2 s, ...: a ramp comes back as it was."""
    ramp = torch.arange(65.0)[:, None] + 3 * torch.arange(33.0).expand(1, 1, 65, 33)
    torch.testing.assert_close(_resized(ramp[..., ::stride, ::stride], ramp), ramp)


@torch.no_grad()
@pytest.mark.parametrize("stride", [8, 16])
def test_heads_work_at_stride_four(stride: int) -> None:
    net, seen = network(output_stride=stride), []
    net.heads["phi0"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    net(image(1, 5, 60, 33))
    assert seen == [(1, 4 * 8, 17, 9)]


@torch.no_grad()
def test_padding_repeats_the_border() -> None:
    net, x = network(steps=0), image(1, 5, 36, 41)
    padded = torch.cat([x, x[..., -1:, :].expand(-1, -1, 5, -1)], 2)
    torch.testing.assert_close(net(padded)[..., :36, :], net(x))


@torch.no_grad()
@pytest.mark.parametrize("system", ["ours", "DEXTR"])
def test_trace_of_any_size(system: str) -> None:
    net = network(**SYSTEMS[system])
    channels = net.backbone.conv1.in_channels
    traced = torch.jit.trace(net, image(1, channels, 33, 32), check_trace=False)
    for shape in ((1, 33, 32), (3, 32, 50), (1, 64, 41)):
        x = image(shape[0], channels, *shape[1:])
        torch.testing.assert_close(traced(x), net(x))


@torch.no_grad()
def test_simple_inferer_takes_meta_tensors() -> None:
    net, x = network(), image(1, 5, 30, 30)
    assert torch.equal(SimpleInferer()(MetaTensor(x), net), net(x))


def test_autocast_leaves_maps_and_evolution_in_float32() -> None:
    net = network()
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        maps, scores = net.maps(image(1, 5, 40, 40)), net(image(1, 5, 40, 40))
    assert {m.dtype for m in (*maps, scores) if m is not None} == {torch.float32}
    phi0, expected = predicted(maps)[0], predicted(net.maps(image(1, 5, 40, 40)))[0]
    assert (phi0 - expected).abs().mean() < 0.5
    assert len(phi0.unique()) > 1000  # not the 256 steps of a byte of mantissa
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = trained(net)
    output.phi.square().mean().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)


@torch.no_grad()
def test_huge_motion_stays_finite() -> None:
    net = network()
    nn.init.normal_(net.heads["motion"].last.weight, std=1e4)
    assert net(image(2, 5, 40, 40)).isfinite().all()


@torch.no_grad()
def test_items_do_not_meet() -> None:
    net, x = network().double(), image(3, 5, 33, 33).double()
    torch.testing.assert_close(net(x)[1:2], net(x[1:2]))


def test_number_of_parameters() -> None:
    with torch.device("meta"):
        net = DeepLevelSetNetwork(3, "resnet101")
    heads = [4 * 256 * 64 + 9 * 512 * 128 + 256 + 128 * n + n for n in (1, 2, 1, 2)]
    skips = [9 * n * 64 + 128 for n in (64, 256, 512, 2048)]
    assert sum(p.numel() for p in net.parameters()) == 42_500_160 + sum(heads) + sum(skips)


def test_imagenet_weights_for_its_backbone(tmp_path: Path) -> None:
    source = DilatedResNet(3, "resnet18", width=0.125)
    torch.save(source.state_dict(), tmp_path / "r.pth")
    net = network()
    load_imagenet_weights(net, tmp_path / "r.pth", image_channels=3)
    assert torch.equal(net.backbone.conv1.weight[:, :3], source.conv1.weight)
    assert not net.backbone.conv1.weight[:, 3:].any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": -1}, "must not be negative"),
        ({"curvature": -0.1}, "must not be negative"),
        ({"dt": 0.0}, "must be positive"),
        ({"limit": -30.0}, "must be positive"),
        ({"step": "sine"}, "'arctan' or 'tanh', as in the criterion, got 'sine'"),
        ({"backbone": "vgg"}, "Unknown network 'vgg'"),
        ({"stride_on_first": True}, "which resnet18 has not"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**changes)
