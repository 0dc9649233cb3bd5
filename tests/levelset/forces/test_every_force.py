"""What every force of the package must do; one line per force in `CASES`."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_levelset import levelset
from monai_levelset.levelset import (
    ChanVeseForce,
    ClickForce,
    CurvatureForce,
    DistanceRegularization,
    EdgeForce,
    MotionForce,
    MultiphaseChanVeseForce,
    RegionForce,
    ShapePriorForce,
    evolve,
)
from monai_levelset.levelset.similarity import Similarity

from ..fields import ball

SHAPES = [(7, 8), (5, 6, 7)]


@dataclass
class Case:
    """A force made of a map `(B, channels, *spatial)` with values in [0, 1]; M level sets per item."""

    make: Callable[..., object]  # of the map and the spacing
    channels: int = 1
    levels: int = 1
    motion: bool = False  # the first D channels are a vector field, one more is the modulation
    pose: bool = False  # fits a rotation, which is not the same in another order of the axes
    flat: bool = False  # does nothing to a level set without slopes

    def maps(self, shape, dtype=torch.float64, batch=2) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        channels = self.channels + len(shape) * self.motion
        return torch.rand(batch, channels, *shape, generator=generator, dtype=torch.float64).to(dtype)

    def phi(self, shape, dtype=torch.float64, batch=2) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(batch, self.levels, *shape, generator=generator, dtype=torch.float64)
        return (ball(shape, 2.3) + 0.3 * noise).to(dtype)

    def __call__(self, phi: Tensor, maps: Tensor, spacing: Sequence[float] | None = None) -> Tensor:
        return velocity(self.make(maps, spacing), phi)


def velocity(force, phi: Tensor) -> Tensor:
    """Velocity of a force with or without a state."""
    return force.step(phi, force.initial_state(phi))[0] if hasattr(force, "step") else force(phi)


def energy(force, phi: Tensor) -> Tensor:
    return force.energy(phi, force.initial_state(phi)) if hasattr(force, "step") else force.energy(phi)


def motion(maps, h):
    return MotionForce(maps[:, :-1], maps[:, -1:], eps=4.0, detach_curvature=False, spacing=h)


def prior(maps, h):
    """With a fixed pose: what is fitted iteratively is tested in `test_shape_prior`."""
    identity = Similarity.identity(len(maps), maps.ndim - 2, dtype=levelset.heaviside(maps).dtype)
    return ShapePriorForce(maps, initial_pose=identity, residual_limit=1.5, spacing=h)


def clicks(maps, h):
    """On each item two points on the contour and one outside: the brightest voxels of the map, moved a little
    so that they follow flips and turns."""
    values, axes = maps.flatten(2)[:, 0], maps.shape[2:]
    order = values.detach().argsort(dim=1, descending=True)[:, :3]
    places = torch.stack(torch.unravel_index(order, axes), 2).to(maps)
    strength = values.gather(1, order)
    return ClickForce(places[:, :2], places[:, 2:], radius=2.0, level=strength[:, 0], spacing=h)


CASES = {
    "RegionForce": Case(lambda m, h: RegionForce(m, spacing=h)),
    "RegionForce, arctan": Case(lambda m, h: RegionForce(m, kind="arctan", eps=0.7, spacing=h)),
    "CurvatureForce": Case(lambda m, h: CurvatureForce(edge=m, spacing=h), flat=True),
    "CurvatureForce, gradient": Case(
        lambda m, h: CurvatureForce(edge=m, measure="gradient", spacing=h), flat=True
    ),
    "DistanceRegularization": Case(lambda m, h: DistanceRegularization(spacing=h), flat=True),
    "ChanVeseForce": Case(
        lambda m, h: ChanVeseForce(m, inside_weight=0.7, area_weight=0.1, regions="smooth", spacing=h),
        channels=2,
    ),
    "ChanVeseForce, hard": Case(lambda m, h: ChanVeseForce(m, regions="hard", spacing=h)),
    "MultiphaseChanVeseForce": Case(
        lambda m, h: MultiphaseChanVeseForce(m, regions="smooth", spacing=h), 2, levels=2
    ),
    "MultiphaseChanVeseForce, hard": Case(
        lambda m, h: MultiphaseChanVeseForce(m, regions="hard", spacing=h), levels=3
    ),
    "EdgeForce": Case(lambda m, h: EdgeForce(m, balloon=0.3, spacing=h)),
    "EdgeForce, deflating": Case(lambda m, h: EdgeForce(m, balloon=-0.3, spacing=h)),
    "EdgeForce, dirac": Case(lambda m, h: EdgeForce(m, balloon=0.3, measure="dirac", spacing=h)),
    "ClickForce": Case(clicks),
    "MotionForce": Case(motion, motion=True, flat=True),
    "ShapePriorForce": Case(prior, pose=True),
}

every = pytest.mark.parametrize("case", CASES.values(), ids=[*CASES])
shapes = pytest.mark.parametrize("shape", SHAPES, ids=["2D", "3D"])


def test_the_table_names_every_force():
    forces = {n for n in levelset.forces.__all__ if n.endswith(("Force", "Regularization"))}
    assert forces - {"Force", "StatefulForce"} == {name.split(",")[0] for name in CASES}


@every
@shapes
def test_gradcheck_of_velocity_and_energy(case, shape):
    phi, maps = case.phi(shape).requires_grad_(), case.maps(shape).requires_grad_()
    spacing = (0.8, 1.3, 1.1)[: len(shape)]
    assert torch.autograd.gradcheck(lambda p, m: case(p, m, spacing), (phi, maps), fast_mode=True)
    force = case.make(maps, spacing)
    if hasattr(force, "energy"):
        assert torch.autograd.gradcheck(
            lambda p, m: energy(case.make(m, spacing), p), (phi, maps), fast_mode=True
        )


def moved_maps(case: Case, maps: Tensor, move: Callable[[Tensor], Tensor], sign: Tensor, order) -> Tensor:
    """Maps after the grid has moved; the components of a vector field turn along."""
    if case.motion:
        vectors = maps[:, :-1] * sign.view(1, -1, *[1] * (maps.ndim - 2))
        maps = torch.cat([vectors[:, order], maps[:, -1:]], 1)
    return move(maps)


@every
@shapes
def test_flips_and_the_order_of_the_axes_change_nothing(case, shape):
    phi, maps, d = case.phi(shape), case.maps(shape), len(shape)
    spacing = (0.8, 1.3, 1.1)[:d]
    expected, order = case(phi, maps, spacing), [d - 1, *range(d - 1)]
    for axis in range(d):
        sign = torch.ones(d, dtype=maps.dtype)
        sign[axis] = -1
        turned = moved_maps(case, maps, lambda x, a=axis: x.flip(a + 2), sign, [*range(d)])
        assert torch.allclose(case(phi.flip(axis + 2), turned, spacing).flip(axis + 2), expected, atol=1e-10)
    dims = [0, 1, *(a + 2 for a in order)]
    turned = moved_maps(case, maps, lambda x: x.permute(dims), torch.ones(d, dtype=maps.dtype), order)
    permuted = case(phi.permute(dims), turned, [spacing[a] for a in order])
    assert torch.allclose(permuted, expected.permute(dims), atol=1e-10)


@every
@shapes
def test_an_item_alone_is_as_in_its_batch_and_repeats_bit_for_bit(case, shape):
    phi, maps = case.phi(shape, torch.float32, batch=3), case.maps(shape, torch.float32, batch=3)
    copies = phi.clone(), maps.clone()
    together = case(phi, maps)
    assert torch.equal(together, case(phi, maps))
    assert torch.equal(phi, copies[0])
    assert torch.equal(maps, copies[1])
    for i in range(3):
        assert torch.allclose(case(phi[i : i + 1], maps[i : i + 1]), together[i : i + 1], atol=1e-5)


@every
@shapes
def test_memory_layout_and_metatensors_change_nothing(case, shape):
    phi, maps = case.phi(shape, torch.float32), case.maps(shape, torch.float32)
    expected = case(phi, maps)
    last = torch.channels_last if len(shape) == 2 else torch.channels_last_3d
    for layout in (
        lambda x: x.to(memory_format=last),
        lambda x: x.mT.contiguous().mT,
        lambda x: torch.stack([x, x], -1)[..., 0],
    ):
        assert torch.allclose(case(layout(phi), layout(maps)), expected, atol=1e-5)
    meta = case(MetaTensor(phi), MetaTensor(maps))
    assert type(meta) is Tensor
    assert torch.equal(meta, expected)


@every
@shapes
@pytest.mark.parametrize("field", ["empty", "full", "one voxel", "all but one", "zero"])
@pytest.mark.parametrize("image", ["random", "constant"])
def test_regions_without_extent_give_finite_velocities_energies_and_gradients(case, shape, field, image):
    phi = torch.full(
        (1, case.levels, *shape), {"empty": -1.0, "one voxel": -1.0, "zero": 0.0}.get(field, 1.0)
    )
    if field in ("one voxel", "all but one"):
        phi.view(1, case.levels, -1)[..., 9] *= -1
    maps = case.maps(shape, torch.float32, batch=1)
    maps = maps if image == "random" else torch.full_like(maps, 0.7)
    phi.requires_grad_()
    maps.requires_grad_()
    force = case.make(maps, None)
    moved = velocity(force, phi)
    assert moved.isfinite().all()
    total = moved.sum() + (energy(force, phi).sum() if hasattr(force, "energy") else 0)
    for gradient in torch.autograd.grad(total, (phi, maps), allow_unused=True):
        assert gradient is None or gradient.isfinite().all()
    if case.flat and field in ("empty", "full", "zero"):
        assert moved.abs().max() < 1e-6


@every
@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1), (1, 5, 6)])
def test_images_one_voxel_thin(case, shape):
    phi, maps = case.phi(shape, torch.float32), case.maps(shape, torch.float32)
    assert case(phi, maps).isfinite().all()
    assert evolve(phi, [case.make(maps, None)], steps=10, dt=0.02).phi.isfinite().all()


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("flat", [False, True])
def test_half_precision_is_computed_in_float32(case, dtype, flat):
    phi, maps = case.phi((7, 8), dtype), case.maps((7, 8), dtype)
    phi = torch.zeros_like(phi) if flat else phi
    phi.requires_grad_()
    exact = phi.detach().float().requires_grad_()
    expected = case(exact, maps.float())
    with torch.autocast("cpu", dtype):
        moved = case(phi, maps)
    assert moved.dtype == torch.float32
    assert torch.equal(moved, expected)
    force, same = case.make(maps, None), case.make(maps.float(), None)
    if hasattr(force, "energy"):
        assert torch.equal(energy(force, phi), energy(same, exact))
    ours, theirs = (torch.autograd.grad(v.sum(), p)[0] for v, p in ((moved, phi), (expected, exact)))
    assert ours.isfinite().all()
    assert (ours.float() - theirs).norm() <= 2 * torch.finfo(dtype).eps * theirs.norm() + 1e-7


def evolved(case, checkpoint) -> list[weakref.ref]:
    """Weak references to the inputs and the result of an evolution and its backward pass."""
    phi = case.phi((7, 8), torch.float32).requires_grad_()
    maps = case.maps((7, 8), torch.float32).requires_grad_()
    result = evolve(phi, [case.make(maps, None)], steps=6, dt=0.02, checkpoint=checkpoint)
    result.phi.sum().backward()
    return [weakref.ref(x) for x in (phi, maps, result.phi)]


@every
def test_nothing_holds_the_inputs_once_an_evolution_is_gone(case):
    """Memory does not grow: without the garbage collector's help every input is freed."""
    evolved(case, checkpoint=True)  # torch imports what it needs, which leaves cycles once
    gc.disable()
    try:
        for checkpoint in (False, True):
            assert [x() for x in evolved(case, checkpoint)] == [None] * 3
    finally:
        gc.enable()


@pytest.mark.slow
@every
def test_compiled_is_eager(case):
    phi, maps = case.phi((7, 8), torch.float32), case.maps((7, 8), torch.float32)
    torch.compiler.reset()
    captured = torch.compile(case, fullgraph=True, backend="eager")
    assert torch.allclose(captured(phi, maps), case(phi, maps), atol=1e-6)
    results = [evolve(phi, [case.make(maps, None)], steps=4, dt=0.05, compile=c) for c in (False, True)]
    assert torch.allclose(results[0].phi, results[1].phi, atol=1e-4)


@pytest.mark.parametrize(
    "force",
    [
        lambda m: RegionForce(torch.cat([1 - m, m], 1)),  # a softmax instead of the foreground's channel
        lambda m: RegionForce(m.expand(3, 1, 7, 8)),
        lambda m: lambda phi: torch.zeros(1, 1, 5, 7, 8),
    ],
)
def test_maps_that_do_not_fit_are_refused_and_not_broadcast_into_more_level_sets(force):
    maps = torch.rand(1, 1, 7, 8)
    with pytest.raises(ValueError, match="one channel for each level set"):
        evolve(maps - 0.5, [force(maps)], steps=1)


def test_an_edge_map_needs_one_channel():
    with pytest.raises(ValueError, match="`edge` must have one channel"):
        EdgeForce(torch.ones(1, 3, 7, 8))
