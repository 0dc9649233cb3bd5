"""The level-set half of FCN-levelset: what it repairs, where it starts, and that items do not mix."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_levelset.transforms import LevelSetRefinement, LevelSetRefinementd

SIZE = 40


def distance(radius: float, row: float = 0, column: float = 0, size: int = SIZE) -> Tensor:
    """Signed distance (1, 1, size, size) of a disc, positive inside."""
    x = torch.arange(float(size)) - (size - 1) / 2
    return (radius - ((x[:, None] - row) ** 2 + (x - column) ** 2).sqrt())[None, None]


def disc(radius: float = 12, row: float = 0, column: float = 0) -> Tensor:
    """Probability of a disc."""
    return torch.sigmoid(distance(radius, row, column))


def notched() -> Tensor:
    """A disc with a notch, and a distant blob."""
    probability = disc()
    probability[..., 19:, 18:22] = 0.2
    return torch.maximum(probability, 0.9 * disc(2, -16, -16))


def dice(a: Tensor, b: Tensor) -> float:
    return (2 * (a & b).sum() / (a.sum() + b.sum())).item()


def refinement(**changes) -> LevelSetRefinement:
    return LevelSetRefinement(**{"shape_weight": 0.1, "prior": distance(9), "steps": 15, **changes})


def test_repairs_a_notch_and_removes_a_distant_blob() -> None:
    truth, probability = distance(12) > 0, notched()
    refined = refinement(steps=50)(probability)
    assert refined.dtype == torch.bool
    assert dice(probability > 0.5, truth) < 0.93
    assert dice(refined, truth) > 0.96
    assert not refined[..., :8, :8].any()


def test_without_a_prior_the_notch_stays_open_at_the_rim() -> None:
    truth = distance(12) > 0
    plain = LevelSetRefinement(steps=25)(notched())
    assert dice(plain, truth) < dice(refinement(steps=25)(notched()), truth)
    assert not plain[..., :8, :8].any()


def test_the_larger_of_two_objects_is_kept() -> None:
    probability = torch.maximum(disc(9, 0, -10), disc(5, 0, 12))
    start = LevelSetRefinement().initial_mask(probability)
    assert torch.equal(start, (disc(9, 0, -10) > 0.5).float())


def test_diagonal_neighbours_are_not_connected() -> None:
    probability = torch.zeros(1, 1, 6, 6)
    probability[0, 0, 0:2, 0:2] = probability[0, 0, 2:5, 2:5] = 0.9
    assert LevelSetRefinement().initial_mask(probability).sum() == 9


def test_a_faint_object_starts_from_its_peak() -> None:
    faint = 0.4 * disc(10) / disc(10).max()
    start = LevelSetRefinement().initial_mask(faint)
    assert torch.equal(start > 0, faint > 0.2)
    strong = LevelSetRefinement().initial_mask(disc(10))
    assert torch.equal(strong > 0, disc(10) > 0.5)


def test_min_peak_leaves_an_image_empty() -> None:
    both = torch.cat([0.3 * disc(10), disc(10)])
    refined = refinement(min_peak=0.35)(both)
    assert not refined[0].any()
    assert dice(refined[1:], disc(10) > 0.5) > 0.95
    assert refinement(min_peak=0.25).initial_mask(both)[0].any()
    assert refinement(min_peak=0.35).soft(both)[0].max() < 1e-6


def test_zero_probability_gives_an_empty_mask() -> None:
    assert not refinement()(torch.zeros(2, 1, 20, 20)).any()


def test_a_batch_equals_its_items_one_by_one() -> None:
    batch = torch.cat([notched(), disc(8, 5, -6), 0.3 * disc(10), torch.zeros(1, 1, SIZE, SIZE)])
    refine = refinement()
    together = refine.soft(batch)
    alone = torch.cat([refine.soft(item[None]) for item in batch])
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=0)
    assert torch.equal(refine(batch), torch.cat([refine(item[None]) for item in batch]))


def test_the_same_input_gives_the_same_output_and_stays_as_it_is() -> None:
    refine, probability = refinement(), notched()
    kept = probability.clone()
    assert torch.equal(refine.soft(probability), refine.soft(probability))
    assert torch.equal(probability, kept)


def test_nan_keeps_the_initial_mask_and_the_other_items() -> None:
    broken = disc(10, 3, 3)
    broken[..., 5, 5] = torch.nan
    refine = refinement()
    refined = refine(torch.cat([broken, notched()]))
    assert torch.equal(refined[:1], distance(10, 3, 3) > 0)
    assert torch.equal(refined[1:], refine(notched()))
    assert refine.soft(broken).isfinite().all()
    assert not refine(torch.full((1, 1, 16, 16), torch.nan)).any()


def test_a_step_that_is_too_large_keeps_the_initial_mask() -> None:
    wild = LevelSetRefinement(region_weight=1e6, reinitialize_every=0)
    assert wild.evolution(notched()).diverged.all()
    assert torch.equal(wild(notched()), wild.initial_mask(notched()) > 0)


@pytest.mark.parametrize("softness", [0.5, 1.5, 4.0])
def test_the_soft_mask_agrees_with_the_mask(softness: float) -> None:
    refine = refinement(softness=softness)
    batch = torch.cat([notched(), disc(8, 5, -6)])
    soft, mask = refine.soft(batch), refine(batch)
    assert soft.min() >= 0
    assert soft.max() <= 1
    clear = (soft - 0.5).abs() > 1e-6
    assert torch.equal((soft > 0.5)[clear], mask[clear])
    assert clear.float().mean() > 0.999
    between = ((soft > 0.01) & (soft < 0.99)).float().sum() / 2
    assert between == pytest.approx(2 * 3.14 * 10 * 1.6 * softness, rel=0.5)  # width of the soft boundary


def test_no_gradient_passes() -> None:
    probability = disc().requires_grad_()
    assert not refinement().soft(probability).requires_grad
    assert not refinement()(probability).requires_grad


def test_start_overrides_the_initial_mask() -> None:
    elsewhere = (distance(4, 12, 12) > 0).float()
    result = LevelSetRefinement(region_weight=0, curvature_weight=1e-9, steps=1).evolution(disc(), elsewhere)
    assert torch.equal(result.phi > 0, elsewhere > 0)


def test_random_prior_is_repeatable_and_varies() -> None:
    priors = torch.cat([distance(9), distance(9) + distance(4, 5, 5).clamp_min(0), distance(9).clamp_max(2)])
    refine = refinement(prior=priors, random_prior=True)
    torch.manual_seed(4)
    first, after = refine.soft(notched().expand(6, 1, -1, -1)), torch.rand(1)
    torch.manual_seed(4)
    assert torch.equal(refine.soft(notched().expand(6, 1, -1, -1)), first)
    assert torch.equal(torch.rand(1), after)
    assert any(not torch.equal(first[0], item) for item in first[1:])


def test_without_random_prior_the_first_is_taken_and_no_number_is_drawn() -> None:
    priors = torch.cat([distance(9), distance(9).clamp_max(2)])
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    refined = refinement(prior=priors).soft(notched())
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(refined, refinement(prior=priors[:1]).soft(notched()))


def test_the_prior_follows_place_size_and_turn() -> None:
    truth = torch.cat([distance(8, 8, -9), distance(14, -4, 3)]) > 0
    probability = torch.cat([disc(8, 8, -9), disc(14, -4, 3)])
    probability[0, :, 28:, 8:14] = probability[1, :, 16:, 21:25] = 0.3
    refined = refinement(shape_weight=0.3, steps=40)(probability)
    for k in range(2):
        assert dice(refined[k], truth[k]) > dice(probability[k] > 0.5, truth[k]) + 0.01


def test_prior_from_a_file(tmp_path: Path) -> None:
    torch.save(distance(9), tmp_path / "prior.pt")
    for path in (tmp_path / "prior.pt", str(tmp_path / "prior.pt")):
        assert torch.equal(refinement(prior=path)(notched()), refinement()(notched()))


def test_3d() -> None:
    x = torch.arange(20.0) - 9.5
    radius = (x[:, None, None] ** 2 + x[:, None] ** 2 + x**2).sqrt()[None, None]
    probability = torch.sigmoid(6 - radius)
    probability[..., 9:11, 9:11, 12:] = 0.3
    refined = LevelSetRefinement(shape_weight=0.05, prior=5 - radius, steps=20)(probability)
    assert refined.shape == probability.shape
    assert dice(refined, radius < 6) > 0.95


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a `prior`"):
        LevelSetRefinement(shape_weight=0.1)
    with pytest.raises(FileNotFoundError, match=r"gone\.pt.*no shape prior"):
        LevelSetRefinement(prior=tmp_path / "gone.pt")
    with pytest.raises(ValueError, match=r"got \(40, 40\)"):
        LevelSetRefinement(prior=distance(9)[0, 0])
    with pytest.raises(ValueError, match=r"got \(1, 2, 40, 40\)"):
        LevelSetRefinement(prior=distance(9).expand(1, 2, -1, -1))


def both_classes(foreground: Tensor) -> Tensor:
    return torch.cat([1 - foreground, foreground])


def test_dictionary_form_of_one_and_two_classes() -> None:
    expected = refinement()(notched())[0].float()
    transform = LevelSetRefinementd("pred", shape_weight=0.1, prior=distance(9), steps=15)
    data = {"pred": notched()[0], "other": 1}
    assert torch.equal(transform(data)["pred"], expected)
    assert torch.equal(data["pred"], notched()[0])
    assert torch.equal(transform({"pred": both_classes(notched()[0])})["pred"], expected)


def test_dictionary_form_of_a_volume_slice_by_slice() -> None:
    slices = [notched()[0], disc(8, 5, -6)[0], torch.zeros(1, SIZE, SIZE), *([disc(10)[0]] * 11)]
    volume = both_classes(torch.stack(slices, -1))
    assert volume.shape == (2, SIZE, SIZE, 14)
    transform = LevelSetRefinementd("pred", shape_weight=0.1, prior=distance(9), steps=5)
    refined = transform({"pred": volume})["pred"]
    assert refined.shape == (1, SIZE, SIZE, 14)
    refine = refinement(steps=5)
    for k in (0, 1, 2, 13):
        assert torch.equal(refined[..., k] > 0, refine(slices[k][None])[0])


def test_dictionary_form_of_a_volume_as_a_whole() -> None:
    x = torch.arange(16.0) - 7.5
    ball = torch.sigmoid(5 - (x[:, None, None] ** 2 + x[:, None] ** 2 + x**2).sqrt())[None]
    refined = LevelSetRefinementd("pred", slicewise=False, steps=5)({"pred": ball})["pred"]
    assert torch.equal(refined > 0, LevelSetRefinement(steps=5)(ball[None])[0])


def test_dictionary_form_keeps_meta_data_and_survives_nan() -> None:
    affine = torch.diag(torch.tensor([1.5, 1.5, 8.0, 1.0]))
    probability = MetaTensor(both_classes(disc(10)[0]), affine=affine)
    probability[1, 0, 0] = torch.nan
    refined = LevelSetRefinementd("pred")({"pred": probability})["pred"]
    assert isinstance(refined, MetaTensor)
    torch.testing.assert_close(refined.affine, probability.affine)
    assert torch.equal(refined.as_tensor(), (disc(10)[0] > 0.5).float())


def test_dictionary_form_refuses_more_classes_and_missing_keys() -> None:
    with pytest.raises(ValueError, match="got 3 classes"):
        LevelSetRefinementd("pred")({"pred": torch.rand(3, 20, 20)})
    with pytest.raises(KeyError, match="pred"):
        LevelSetRefinementd("pred")({})
    assert LevelSetRefinementd("pred", allow_missing_keys=True)({"a": 1}) == {"a": 1}


def test_a_map_of_an_untrained_network_does_not_start_from_the_whole_image() -> None:
    noise = 0.01 * torch.rand(1, 1, 40, 40, generator=torch.manual_seed(0))
    start = LevelSetRefinement().initial_mask(0.48 + noise)
    assert 0 < start.mean() < 0.6


def step_image(radius: float = 12) -> Tensor:
    """1 inside a disc, 0 outside."""
    return (distance(radius) > 0).float()


def test_the_image_edge_holds_a_contour_that_curvature_would_shrink() -> None:
    # Without data term a disc shrinks; b = 1/(1 + (0.5/0.02)^2) at the edge of the image all but stops it.
    settings = {"region_weight": 1e-9, "curvature_weight": 1.0, "steps": 40}
    truth = distance(12) > 0
    free = LevelSetRefinement(**settings)(disc())
    held = LevelSetRefinement(**settings, edge_contrast=0.02)(disc(), step_image())
    assert free.sum() < 0.9 * truth.sum()
    assert dice(held, truth) > 0.98


def test_the_edge_weight_is_that_of_the_paper_for_grey_values() -> None:
    one = LevelSetRefinement(edge_contrast=1 / 255, steps=5)(disc(), 0.2 * step_image())
    grey = LevelSetRefinement(edge_contrast=1.0, steps=5)(disc(), 255 * 0.2 * step_image())
    assert torch.equal(one, grey)


def test_dictionary_form_takes_the_image_along() -> None:
    refine = {"region_weight": 1e-9, "curvature_weight": 1.0, "steps": 40, "edge_contrast": 0.02}
    flat = {"pred": disc()[0], "image": step_image()[0]}
    mask = LevelSetRefinementd("pred", **refine)(flat)["pred"]
    assert torch.equal(mask[None] > 0, LevelSetRefinement(**refine)(disc(), step_image()))
    volume = {key: torch.stack([x, x.flip(1)], -1) for key, x in flat.items()}
    masks = LevelSetRefinementd("pred", **refine)(volume)["pred"]
    assert torch.equal(masks[..., 0], mask)


def test_edge_contrast_needs_an_image_and_a_positive_value() -> None:
    with pytest.raises(ValueError, match="pass the image"):
        LevelSetRefinement(edge_contrast=0.1)(disc())
    with pytest.raises(ValueError, match="positive"):
        LevelSetRefinement(edge_contrast=0.0)
