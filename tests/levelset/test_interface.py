"""What others rely on in the level-set core: the solver's parameters, and that it needs no MONAI."""

from __future__ import annotations

import inspect

import monai_levelset.levelset as levelset


def test_evolve_keeps_its_parameters():
    names = list(inspect.signature(levelset.evolve).parameters)
    assert names[:5] == ["phi", "forces", "steps", "dt", "spacing"]
    assert {"reinitialize_every", "tolerance", "check_every", "record_energy"} < set(names)


def test_the_mathematics_does_not_import_monai():
    for _, module in inspect.getmembers(levelset, inspect.ismodule):
        source = inspect.getsource(module)
        assert "import monai\n" not in source
        assert "from monai." not in source
