"""Picture of `docs/papers/zheng2020.md`."""

from __future__ import annotations

import tempfile

from matplotlib.figure import Figure

from monai_levelset.data import load_section
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.report import click_figure
from monai_levelset.reproduce.zheng2020_figures import deep_level_set_case
from monai_levelset.reproduce.zheng2020_objects import ClickedObjects
from monai_levelset.reproduce.zheng2020_rows import FUNDUS


def click_system() -> Figure:
    """The optic disc of a drawn eye, as the fundus bundle's network sees it, and its contour step by step."""
    with tempfile.TemporaryDirectory() as folder:
        generate_phantoms("fundus", folder, cases=6, seed=3)
        items = load_section(folder, "test")[:1]
        (disc, *_) = ClickedObjects(FUNDUS.target.files(""), items, FUNDUS.structures).objects
    return click_figure(deep_level_set_case(FUNDUS, disc, FUNDUS.target.folder / "models" / "model.pt"))
