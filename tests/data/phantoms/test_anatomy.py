"""Facts about the pictured anatomy that each phantom promises."""

from __future__ import annotations

from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from monai_levelset.data.phantoms import TASKS, PhantomCase

Cases = Callable[[str], list[PhantomCase]]
GEOMETRY = {
    "liver": ((160, 160, 28), (2.2, 2.2, 5.0)),
    "lits": ((160, 160, 28), (2.2, 2.2, 5.0)),
    "prostate": ((128, 128, 22), (1.25, 1.25, 3.6)),
    "brats": ((80, 96, 52, 4), (2.0, 2.0, 2.5)),
}
VALUES = {
    "liver": {0, 1},
    "lv": {0, 1},
    "prostate": {0, 1},
    "lits": {0, 1, 2},
    "brats": {0, 1, 2, 4},
    "fundus": {0, 1, 2},
}


@pytest.mark.parametrize("task", sorted(TASKS))
def test_label_values_grid_and_type(task: str, some_cases: Cases) -> None:
    for case in some_cases(task):
        assert case.label.dtype == np.uint8
        assert {str(value) for value in np.unique(case.label)} <= set(TASKS[task].labels)
        assert case.image.shape[: case.label.ndim] == case.label.shape
        assert case.image.dtype == (np.uint8 if case.affine is None else np.int16)


@pytest.mark.parametrize("task", sorted(VALUES))
def test_every_label_value_occurs(task: str, some_cases: Cases) -> None:
    assert {int(v) for case in some_cases(task) for v in np.unique(case.label)} == VALUES[task]


@pytest.mark.parametrize("task", sorted(GEOMETRY))
def test_matrix_spacing_and_orientation(task: str, some_cases: Cases) -> None:
    shape, spacing = GEOMETRY[task]
    for case in some_cases(task):
        assert case.image.shape == shape
        assert case.affine is not None
        np.testing.assert_allclose(nib.affines.voxel_sizes(case.affine), spacing)
        assert nib.aff2axcodes(case.affine) == ("L", "P", "S")
        centre = (np.array(shape[:3]) - 1) / 2
        np.testing.assert_allclose(case.affine @ [*centre, 1], [0, 0, 0, 1], atol=1e-9)


def test_short_axis_volumes_are_oblique_for_some_patients_and_axial_for_others(some_cases: Cases) -> None:
    affines = [case.affine for case in some_cases("lv")]
    for affine in affines:
        assert affine is not None
        np.testing.assert_allclose(nib.affines.voxel_sizes(affine), (1.4, 1.4, 8.0))
    tilted = [bool(nib.affines.obliquity(affine).max() > 0.1) for affine in affines]
    assert any(tilted)
    assert not all(tilted)


def test_papillary_muscles_are_dark_islands_inside_the_label(some_cases: Cases) -> None:
    for case in some_cases("lv"):
        papillary, pool = case.parts["papillary"], case.parts["pool"]
        assert papillary.any()
        assert (case.label[papillary] == 1).all()
        np.testing.assert_array_equal(papillary | pool, case.label == 1)
        core = ndimage.binary_erosion(papillary, np.ones((3, 3, 1)))
        assert case.image[core].mean() < 0.6 * case.image[pool].mean()


def test_both_ventricles_hold_equally_bright_blood(some_cases: Cases) -> None:
    ratios = []
    for case in some_cases("lv"):
        medians = [np.median(case.image[case.parts[name]]) for name in ("right_ventricle", "pool")]
        ratios.append(medians[0] / medians[1])
    assert np.mean(ratios) == pytest.approx(1, abs=0.15)


def test_myocardium_surrounds_the_pool_and_is_dark(some_cases: Cases) -> None:
    for case in some_cases("lv"):
        ring = ndimage.binary_dilation(case.label, np.ones((3, 3, 1))) & (case.label == 0)
        assert case.parts["myocardium"][ring].all()
        assert np.median(case.image[case.parts["myocardium"]]) < 0.6 * np.median(
            case.image[case.parts["pool"]]
        )


def test_the_cavity_is_one_piece_in_every_slice_and_tapers_to_the_apex(some_cases: Cases) -> None:
    for case in some_cases("lv"):
        slices = np.moveaxis(case.label, 2, 0)
        assert all(ndimage.label(part)[1] == 1 for part in slices)
        areas = slices.sum((1, 2))
        assert 8 <= len(areas) <= 10
        assert areas[-1] < 0.5 * areas[0]


@pytest.mark.parametrize("task", ["liver", "lits"])
def test_ct_is_in_hounsfield_units(task: str, some_cases: Cases) -> None:
    for case in some_cases(task):
        assert case.image.min() >= -1024
        assert np.median(case.image[:4, :4]) < -950
        assert 40 < np.median(case.image[case.label == 1]) < 160


def test_spleen_overlaps_the_liver_in_hounsfield_units(some_cases: Cases) -> None:
    difference = []
    for case in some_cases("liver"):
        spleen = case.parts["spleen"] & (case.label == 0)
        difference.append(abs(case.image[spleen].mean() - case.image[case.label == 1].mean()))
    assert np.median(difference) < 45


def test_liver_lies_on_the_patients_right(some_cases: Cases) -> None:
    for case in some_cases("liver"):
        assert case.affine is not None
        centre = nib.affines.apply_affine(case.affine, np.argwhere(case.label == 1)).mean(0)
        assert centre[0] > 20


def test_lesions_lie_inside_the_liver_and_number_one_to_six(some_cases: Cases) -> None:
    contrasts = []
    for case in some_cases("lits"):
        lesions, liver = case.label == 2, case.parts["liver"]
        assert lesions.any()
        assert not (lesions & ~liver).any()
        assert 1 <= ndimage.label(lesions, np.ones((3, 3, 3)))[1] <= 6
        tissue = (case.label == 1) & ~case.parts["vessels"]
        contrasts.append(float(case.image[lesions].mean() - case.image[tissue].mean()))
    assert np.std(contrasts) > 5
    assert all(abs(contrast) < 90 for contrast in contrasts)


def test_prostate_zones_and_neighbours(some_cases: Cases) -> None:
    for case in some_cases("prostate"):
        zones = {name: case.parts[f"{name}_zone"] for name in ("peripheral", "transition")}
        np.testing.assert_array_equal(zones["peripheral"] | zones["transition"], case.label == 1)
        assert not (zones["peripheral"] & zones["transition"]).any()
        assert 15 < case.label.sum() * 1.25 * 1.25 * 3.6 / 1000 < 90  # millilitres
        gland = case.image[case.label == 1].mean()
        assert case.image[case.parts["bladder"]].mean() > 1.2 * gland
        rows = {name: np.argwhere(mask)[:, 1].mean() for name, mask in case.parts.items()}
        assert rows["rectum"] > rows["peripheral_zone"] > rows["transition_zone"]


def test_brain_background_is_zero_and_tumour_lies_in_the_brain(some_cases: Cases) -> None:
    for case in some_cases("brats"):
        brain = case.parts["brain"]
        assert (case.image[~brain] == 0).all()
        assert (case.image[brain] > 0).all()
        assert brain[case.label > 0].all()


def test_brain_sequences_have_their_contrasts(some_cases: Cases) -> None:
    for case in some_cases("brats"):
        flair, _, t1c, t2 = np.moveaxis(case.image, -1, 0).astype(float)
        oedema, fluid, rest = case.label == 2, case.parts["csf"], case.parts["brain"] & (case.label == 0)
        assert flair[oedema].mean() > flair[rest].mean() > flair[fluid].mean()
        assert t2[fluid].mean() > t2[rest].mean()
        if (case.label == 4).any():
            assert t1c[case.label == 4].mean() > t1c[oedema].mean()


def test_necrosis_is_enclosed_by_the_solid_tumour(some_cases: Cases) -> None:
    for case in some_cases("brats"):
        core = case.label == 1
        near = ndimage.binary_dilation(core) & ~core
        assert np.isin(case.label[near], (1, 4)).all()


def test_cup_lies_inside_the_disc_and_is_paler(some_cases: Cases) -> None:
    for case in some_cases("fundus"):
        cup, disc = case.label == 2, case.label > 0
        assert cup.any()
        around = ndimage.binary_dilation(cup) & ~cup
        assert (case.label[around] == 1).all()
        assert ndimage.label(disc)[1] == 1
        bare = ~case.parts["vessels"]
        green = case.image[..., 1]
        assert green[cup & bare].mean() > green[(case.label == 1) & bare].mean()
        assert 0.05 < cup.sum() / disc.sum() < 0.75


def test_vessels_cross_the_disc_and_are_darker_than_the_retina(some_cases: Cases) -> None:
    for case in some_cases("fundus"):
        vessels, view = case.parts["vessels"], case.parts["field_of_view"]
        assert (vessels & (case.label > 0)).any()
        beside = ndimage.binary_dilation(vessels, iterations=4) & ~ndimage.binary_dilation(vessels) & view
        assert case.image[..., 1][vessels & view].mean() < case.image[..., 1][beside].mean()
        assert case.image[~view].mean() < 10


def test_natural_regions_cover_the_picture_without_slivers(some_cases: Cases) -> None:
    for case in some_cases("natural"):
        values, sizes = np.unique(case.label, return_counts=True)
        assert values.tolist() == list(range(1, len(values) + 1))
        assert 2 <= len(values) <= 6
        assert sizes.min() >= 0.03 * case.label.size
