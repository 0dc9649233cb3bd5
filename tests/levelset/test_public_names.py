"""The public names and signatures that others rely on."""

from __future__ import annotations

import inspect

import monai_levelset.levelset as levelset

NAMES = """CurvatureForce DistanceRegularization EvolutionDivergedError EvolutionResult Force HeavisideKind
PoseGradient RegionForce ResultCode ShapePriorForce Similarity StatefulForce canonical_prior curvature
curvature_times_gradient dirac dirac_derivative edge_indicator evolve gradient gradient_magnitude heaviside
moments_pose pose_gradient reinitialize rotation_matrix signed_distance"""


def test_public_names_are_frozen():
    assert sorted(levelset.__all__) == sorted(NAMES.split())
    assert all(hasattr(levelset, name) for name in levelset.__all__)


def test_evolve_keeps_its_parameters():
    names = list(inspect.signature(levelset.evolve).parameters)
    assert names[:5] == ["phi", "forces", "steps", "dt", "spacing"]
    assert {"reinitialize_every", "tolerance", "check_every", "record_energy"} < set(names)


def test_the_mathematics_does_not_import_monai():
    for _, module in inspect.getmembers(levelset, inspect.ismodule):
        assert "import monai\n" not in inspect.getsource(module)
        assert "from monai." not in inspect.getsource(module)
