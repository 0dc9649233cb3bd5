"""The pictures of the documentation, one module per page, drawn from phantoms.

`make gallery`, or `python -m docs.gallery` in the root of the repository, draws them all into `docs/figures`;
names of figures after it draw only those. A figure is a public function without arguments in one of the
modules of `MODULES`; its name is the name of the file. Every random number has a fixed seed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODULES = (
    "region",
    "curvature",
    "shape_prior",
    "distance_regularization",
    "chan_vese",
    "multiphase",
    "edge",
    "motion",
    "click",
    "solvers",
    "loss_mumford_shah",
    "loss_level_set",
    "loss_deep_level_set",
    "loss_semi_supervised",
    "clicks",
)


def figures() -> dict[str, Callable[[], Figure]]:
    """Name of each figure -> the function that draws it, in the order of the pages."""
    found: dict[str, Callable[[], Figure]] = {}
    for name in MODULES:
        module = import_module(f".{name}", __name__)
        for function, draw in inspect.getmembers(module, inspect.isfunction):
            if function.startswith(("force_", "loss_", "solver_", "click_system")):
                found[function] = draw
    return found
