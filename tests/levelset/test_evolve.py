"""The solver: analytic flows, other libraries on the same image, result codes, determinism, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.segmentation import chan_vese, morphological_chan_vese

from monai_levelset.levelset import (
    CurvatureForce,
    DistanceRegularization,
    EvolutionDivergedError,
    RegionForce,
    ResultCode,
    ShapePriorForce,
    Similarity,
    evolve,
    heaviside,
    signed_distance,
)

from .fields import ball, coordinates, dice


@pytest.mark.parametrize(
    ("shape", "spacing", "radius", "rate", "dt"),
    [
        ((64, 64), (1.0, 1.0), 20.0, 2.0, 0.2),
        ((64, 80), (1.0, 0.8), 20.0, 2.0, 0.1),
        ((40, 40, 40), (1.0, 1.0, 1.0), 14.0, 4.0, 0.15),
    ],
)
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_ball_under_curvature_flow(shape, spacing, radius, rate, dt, share):
    # r(t)^2 = r0^2 - 2 t for a disc, r0^2 - 4 t for a ball; `share` of r0^2 is gone at the end.
    steps = round(share * radius**2 / rate / dt)
    phi = ball(shape, radius, spacing=spacing, dtype=torch.float32)
    force = CurvatureForce(measure="gradient", spacing=spacing)
    result = evolve(phi, [force], steps=steps, dt=dt, spacing=spacing, reinitialize_every=0)
    volume = heaviside(result.phi).sum().item() * math.prod(spacing)
    r = (volume / math.pi) ** 0.5 if len(shape) == 2 else (volume * 3 / 4 / math.pi) ** (1 / 3)
    assert r == pytest.approx((radius**2 - rate * steps * dt) ** 0.5, rel=0.01)
    assert (result.energies.diff() < 0).all()


def two_means(shape=(64, 64), noise=0.15, seed=0):
    x, y = coordinates(shape, dtype=torch.float32)
    mask = ((x + 2) / 18) ** 2 + ((y - 3) / 12) ** 2 < 1
    image = 0.3 + 0.4 * mask + noise * torch.randn(shape, generator=torch.manual_seed(seed))
    return image[None, None], mask[None, None]


def region_evolution(image, start, lam=20.0, mu=1.0):
    forces = [
        RegionForce(torch.sigmoid((image - 0.3) ** 2 - (image - 0.7) ** 2), weight=lam),
        CurvatureForce(weight=mu),
    ]
    return evolve(start, forces, steps=300, dt=0.4, tolerance=1e-4)


def test_agrees_with_scikit_image_chan_vese():
    image, truth = two_means()
    image = (image - image.min()) / (image.max() - image.min())
    inside, outside = image[truth].mean(), image[~truth].mean()
    start = ball((64, 64), 14.0, dtype=torch.float32)
    data = RegionForce(torch.sigmoid((image - outside) ** 2 - (image - inside) ** 2), weight=10.0)
    ours = evolve(start, [data, CurvatureForce(weight=1.0)], steps=200, dt=0.4).mask()
    assert dice(ours, truth) > 0.97
    # The same energy: weight of the length over weight of the data = 1/10.
    picture, init = image[0, 0].numpy(), start[0, 0].numpy()
    theirs = chan_vese(picture, mu=0.1, dt=5.0, tol=1e-4, max_num_iter=800, init_level_set=init)
    assert dice(ours[0, 0], torch.from_numpy(theirs)) > 0.97
    morphological = morphological_chan_vese(picture, 60, init_level_set=init > 0, smoothing=2)
    assert dice(ours[0, 0], torch.from_numpy(morphological.astype(bool))) > 0.97


def test_agrees_with_an_itk_level_set():
    image, _ = two_means(noise=0.05)
    start = ball((64, 64), 10.0, dtype=torch.float32)
    ours = region_evolution(image, start, mu=0.2)
    itk = sitk.ThresholdSegmentationLevelSet(
        sitk.GetImageFromArray(-start[0, 0].numpy()),
        sitk.GetImageFromArray(image[0, 0].numpy()),
        lowerThreshold=0.5,
        upperThreshold=2.0,
        numberOfIterations=400,
        curvatureScaling=0.2,
    )
    theirs = torch.from_numpy(np.asarray(sitk.GetArrayFromImage(itk)) < 0)
    assert dice(ours.mask()[0, 0], theirs) > 0.97


@pytest.mark.parametrize("solid", [False, True])
def test_reaches_a_distant_region_only_with_reinitialization(solid):
    shape = (24, 24, 24) if solid else (48, 48)
    target = ball(shape, 9.0, dtype=torch.float32) > 0
    start = ball(shape, 3.0, dtype=torch.float32)
    forces = [RegionForce(torch.where(target, 0.95, 0.05)), CurvatureForce(weight=0.1)]
    assert dice(evolve(start, forces, steps=60).mask(), target) > 0.97
    assert dice(evolve(start, forces, steps=60, reinitialize_every=0).mask(), target) < 0.8
    regularised = [*forces, DistanceRegularization(weight=0.3)]
    assert dice(evolve(start, regularised, steps=150, reinitialize_every=0).mask(), target) > 0.9


def test_the_shape_prior_repairs_a_disc_with_a_bite():
    whole = ball((80, 80), 20.0, (3.0, -5.0), dtype=torch.float32)
    bitten = torch.minimum(whole, -ball((80, 80), 11.0, (3.0, 15.0), dtype=torch.float32)) > 0
    start = signed_distance(bitten.float())
    prior = ball((80, 80), 15.0, dtype=torch.float32)
    region = RegionForce(torch.where(bitten, 0.8, 0.2), weight=0.2)
    without = evolve(start, [region, CurvatureForce(weight=0.3)])
    repaired = evolve(start, [region, CurvatureForce(weight=0.3), ShapePriorForce(prior, weight=0.5)])
    assert dice(without.mask(), whole > 0) < 0.96
    assert dice(repaired.mask(), whole > 0) > 0.985
    pose = repaired.states[2]
    assert pose.scale.item() == pytest.approx(15 / 20, rel=0.03)
    centre = pose.inverse().translation[0]
    assert (centre - torch.tensor([3.0, -5.0])).norm() < 1


def mixed_batch():
    a = ball((32, 32), 6.0, (2.0, 1.0), dtype=torch.float32)
    b = ball((32, 32), 9.0, (-1.0, 0.0), dtype=torch.float32)
    target = torch.cat([ball((32, 32), 8.0, (1.0, 1.0)), ball((32, 32), 7.0, (-2.0, 1.0))]) > 0
    return torch.cat([a, b]), torch.where(target, 0.9, 0.1)


def all_forces(p, **prior):
    shape_prior = ShapePriorForce(ball((32, 32), 8.0, dtype=torch.float32), weight=0.1, **prior)
    return [RegionForce(p), CurvatureForce(weight=0.3), DistanceRegularization(weight=0.1), shape_prior]


def test_same_input_twice_is_bit_identical_and_inputs_are_untouched():
    phi, p = mixed_batch()
    before = phi.clone(), p.clone()
    forces = all_forces(p)
    first, second = evolve(phi, forces, tolerance=1e-3), evolve(phi, forces, tolerance=1e-3)
    assert torch.equal(first.phi, second.phi)
    assert torch.equal(first.energies, second.energies)
    assert all(torch.equal(a, b) for a, b in zip(first.states[3], second.states[3], strict=True))
    assert torch.equal(phi, before[0])
    assert torch.equal(p, before[1])


@pytest.mark.parametrize("tolerance", [0.0, 3e-3])
def test_an_item_does_not_depend_on_its_batch_mates(tolerance):
    phi, p = mixed_batch()
    both = evolve(phi, all_forces(p), steps=80, tolerance=tolerance)
    for i in range(2):
        alone = evolve(phi[i : i + 1], all_forces(p[i : i + 1]), steps=80, tolerance=tolerance)
        assert torch.allclose(both.phi[i], alone.phi[0], atol=1e-3)
        assert both.code[i] == alone.code[0]
        assert both.steps[i] == alone.steps[0]


def test_local_forces_are_bitwise_independent_of_the_batch():
    phi, p = mixed_batch()
    both = evolve(phi, all_forces(p)[:3])
    alone = evolve(phi[1:], all_forces(p[1:])[:3])
    assert torch.equal(both.phi[1:], alone.phi)


def test_converged_items_stop_and_others_go_on():
    phi, p = mixed_batch()
    settled = evolve(phi[:1], [RegionForce(p[:1])], steps=200).phi
    start = torch.cat([settled, phi[1:]])
    result = evolve(start, [RegionForce(p)], steps=30, tolerance=2e-3, check_every=5)
    assert result.code[0] == ResultCode.CONVERGED
    assert result.steps[0] == 5
    assert result.steps[1] > 5
    assert "settled" in result.messages[0]
    assert (result.energies[0, 1:] == result.energies[0, 1]).all()
    one = evolve(start, [RegionForce(p)], steps=3)
    assert one.code.tolist() == [ResultCode.STEP_LIMIT] * 2
    assert "increase `steps`" in one.messages[0]


def test_divergence_is_reported_per_item_and_never_passed_off_as_a_mask():
    phi, p = mixed_batch()

    def explode(x):
        growth = torch.tensor([0.0, 30.0]).view(2, 1, 1, 1)
        return growth * x

    result = evolve(phi, [RegionForce(p), explode], steps=40)
    assert result.code.tolist() == [ResultCode.STEP_LIMIT, ResultCode.DIVERGED]
    assert result.diverged.tolist() == [False, True]
    assert torch.isfinite(result.phi).all()
    assert result.steps[1] < 5
    assert "Decrease `dt`" in result.messages[1]
    with pytest.raises(EvolutionDivergedError, match=r"Items \[1\] diverged"):
        result.mask()
    p[1, 0, 4, 4] = math.nan
    broken = evolve(phi, [RegionForce(p)], steps=5)
    assert broken.code.tolist() == [ResultCode.STEP_LIMIT, ResultCode.DIVERGED]
    assert torch.equal(broken.phi[1], phi[1])
    assert torch.equal(broken.phi[0], evolve(phi[:1], [RegionForce(p[:1])], steps=5).phi[0])


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.sampled_from([[2], [3], [2, 3]]))
def test_flip_equivariance(seed, axes):
    generator = torch.manual_seed(seed)
    phi = ball((20, 22), 5.0) + 0.3 * torch.randn(1, 1, 20, 22, generator=generator).double()
    p = torch.rand(1, 1, 20, 22, generator=generator).double()

    def run(a, b):
        identity = Similarity.identity(1, 2, dtype=torch.float64)
        prior = ShapePriorForce(ball((20, 22), 6.0), initial_pose=identity, weight=0.1)
        return evolve(a, [RegionForce(b), CurvatureForce(weight=0.2), prior], steps=10).phi

    assert torch.allclose(run(phi.flip(axes), p.flip(axes)), run(phi, p).flip(axes), atol=1e-8)


@pytest.mark.parametrize("shape", [(9, 10), (6, 7, 6)])
@pytest.mark.parametrize("every", [0, 2])
def test_gradcheck_through_all_steps(shape, every):
    generator = torch.manual_seed(3)
    phi = ball(shape, 2.7, (0.3, -0.2, 0.1)[: len(shape)])
    phi = (phi + 0.1 * torch.randn(phi.shape, generator=generator).double()).requires_grad_()
    p = torch.rand(phi.shape, generator=generator).double().requires_grad_()
    angle = torch.full((1, 1 if len(shape) == 2 else 3), 0.1).double()
    start = Similarity.from_parameters(
        torch.tensor([1.1]).double(), angle, torch.full((1, len(shape)), 0.2).double()
    )
    prior = ball(shape, 3.1, (0.1, 0.2, 0.3)[: len(shape)])

    def run(a, b):
        forces = [
            RegionForce(b),
            CurvatureForce(weight=0.1),
            DistanceRegularization(weight=0.1),
            ShapePriorForce(prior, weight=0.1, initial_pose=start),
        ]
        result = evolve(a, forces, steps=4, dt=0.3, reinitialize_every=every)
        return result.phi, *result.states[3]

    assert torch.autograd.gradcheck(run, (phi, p), fast_mode=True)


def test_gradient_reaches_the_probability_and_stops_at_nothing_else():
    phi, p = mixed_batch()
    p = p.clone().requires_grad_()
    result = evolve(phi, all_forces(p), steps=10)
    heaviside(result.phi).sum().backward()
    assert torch.isfinite(p.grad).all()
    assert (p.grad != 0).flatten(1).any(1).all()
    assert not result.energies.requires_grad


def test_energies_and_zero_steps():
    phi, p = mixed_batch()
    force = RegionForce(p)
    result = evolve(phi, [force], steps=20, check_every=5, reinitialize_every=0)
    assert result.energies.shape == (2, 5)
    assert torch.equal(result.energies[:, 0], force.energy(phi))
    assert torch.equal(result.energies[:, -1], force.energy(result.phi))
    assert (result.energies.diff() <= 0).all()
    assert evolve(phi, [force], record_energy=False).energies.shape == (2, 0)
    assert torch.equal(evolve(phi, [force], steps=0).phi, phi)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"phi": torch.zeros(4, 4)}, "phi"),
        ({"forces": []}, "empty"),
        ({"steps": -1}, "steps"),
        ({"check_every": 0}, "check_every"),
        ({"dt": 0.0}, "dt"),
        ({"tolerance": -1.0}, "tolerance"),
        ({"tolerance": 0.1, "forces": [torch.zeros_like]}, "needs a force with an energy"),
        ({"spacing": (1.0,)}, "spacing"),
    ],
)
def test_errors(change, message):
    arguments = {"phi": torch.zeros(1, 1, 4, 4), "forces": [CurvatureForce()], **change}
    with pytest.raises(ValueError, match=message):
        evolve(arguments.pop("phi"), arguments.pop("forces"), **arguments)


def test_an_item_that_starts_with_nan_is_reported_and_does_not_touch_the_others():
    phi = ball((16, 16), 5.0, dtype=torch.float32).repeat(2, 1, 1, 1)
    phi[0, 0, 3, 3] = math.nan
    result = evolve(phi, [CurvatureForce()], steps=3)
    assert result.code.tolist() == [ResultCode.DIVERGED, ResultCode.STEP_LIMIT]
    assert result.steps.tolist() == [0, 3]
    assert torch.equal(result.phi[1:], evolve(phi[1:], [CurvatureForce()], steps=3).phi)
    with pytest.raises(EvolutionDivergedError, match="NaN"):
        result.mask()


def test_a_contour_that_vanishes_leaves_an_empty_mask():
    result = evolve(ball((20, 20), 3.0), [CurvatureForce()], steps=500, dt=0.3)
    assert result.code.tolist() == [ResultCode.STEP_LIMIT]
    assert not result.mask().any()


def test_several_level_sets_per_item_move_as_if_alone():
    phi = torch.cat([ball((16, 16), 5.0), ball((16, 16), 3.0, centre=(2.0, 1.0))], 1)
    together = evolve(phi, [CurvatureForce()], steps=12)
    apart = [evolve(phi[:, i : i + 1], [CurvatureForce()], steps=12) for i in range(2)]
    assert torch.equal(together.phi, torch.cat([r.phi for r in apart], 1))
    torch.testing.assert_close(together.energies, apart[0].energies + apart[1].energies)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_and_half_precision_lose_nothing_but_the_input_digits(dtype):
    start = ball((32, 32), 6.0, dtype=torch.float32)
    prior = ball((32, 32), 8.0, dtype=torch.float32)
    probability = torch.sigmoid(ball((32, 32), 10.0, centre=(2.0, -1.0), dtype=torch.float32) / 4).to(dtype)

    def run(phi, p):
        return evolve(phi, [RegionForce(p), CurvatureForce(), ShapePriorForce(prior)], steps=20)

    expected = run(start.to(dtype).float(), probability.float())
    with torch.autocast("cpu", dtype):
        result = run(start.to(dtype), probability)
    assert torch.equal(result.phi, expected.phi)
    assert torch.equal(result.states[2].rotation, expected.states[2].rotation)


def tensors_kept(checkpoint):
    """Result and gradient of an evolution, and the bytes autograd keeps for the backward pass."""
    phi = ball((32, 32), 9.0).requires_grad_()
    probability = torch.sigmoid(ball((32, 32), 11.0) / 4).requires_grad_()
    kept = {}

    def pack(x):
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        forces = [RegionForce(probability), CurvatureForce(weight=0.3)]
        result = evolve(phi, forces, steps=10, checkpoint=checkpoint)
    return result.phi, *torch.autograd.grad(result.phi.square().sum(), [phi, probability]), sum(kept.values())


def test_checkpointing_changes_nothing_but_the_memory():
    *plain, all_bytes = tensors_kept(checkpoint=False)
    *saved, few_bytes = tensors_kept(checkpoint=True)
    for a, b in zip(plain, saved, strict=True):
        assert torch.equal(a, b)
    assert few_bytes < 0.1 * all_bytes


def compare_compiled(forces, phi, dt=0.3):
    expected = evolve(phi, forces, steps=10, dt=dt)
    result = evolve(phi, forces, steps=10, dt=dt, compile=True)
    torch.testing.assert_close(result.phi, expected.phi)
    assert torch.equal(result.code, expected.code)


def test_compiled_steps_agree():
    phi = ball((24, 24), 7.0)
    compare_compiled([RegionForce(torch.sigmoid(phi + 2)), CurvatureForce(weight=0.3)], phi)


@pytest.mark.slow
def test_compiled_steps_stay_compiled_for_many_weights_sizes_and_lists_of_forces(caplog):
    for n in (24, 33):
        phi, target = ball((n, n), 7.0), torch.sigmoid(ball((n, n), 9.0))
        for weight in (0.1, 0.25, 0.4):
            region, smooth = RegionForce(target, weight=weight), CurvatureForce(weight=weight)
            for forces in ([smooth], [region, smooth], [region]):
                compare_compiled(forces, phi, dt=weight)
    assert "recompile_limit" not in caplog.text
