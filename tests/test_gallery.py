"""The documentation's pictures: every one named in a page is drawn by the gallery and shows something."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "figures"
NAMED = re.compile(r"figures/((?:click|force|loss|solver)_\w+)\.png")


def load_gallery() -> ModuleType:
    """`docs.gallery` from wherever the tests are started; `docs` is no package of its own."""
    folder = ROOT / "docs" / "gallery"
    spec = importlib.util.spec_from_file_location(
        "docs_gallery", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_gallery"] = module
    spec.loader.exec_module(module)
    return module


gallery = load_gallery()
DRAW = gallery.figures()
QUICK = """force_chan_vese_start force_curvature_measure force_motion_field force_motion_modulation
force_multiphase_length force_multiphase_levels force_multiphase_start force_region_weight"""


def pages() -> dict[Path, set[str]]:
    return {page: set(NAMED.findall(page.read_text("utf-8"))) for page in (ROOT / "docs").rglob("*.md")}


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(float)


def test_pages_name_exactly_the_figures_that_the_gallery_draws() -> None:
    assert set.union(*pages().values()) == set(DRAW)


def test_every_figure_lies_in_the_folder_and_is_small() -> None:
    sizes = {
        path.stem: path.stat().st_size
        for path in FIGURES.glob("*.png")
        if NAMED.match(f"figures/{path.name}")
    }
    assert set(sizes) == set(DRAW)
    assert max(sizes.values()) < 120_000
    assert sum(size for name, size in sizes.items() if not name.startswith(("click_", "loss_"))) < 1_500_000


def test_every_page_of_a_force_has_a_picture_and_a_module_of_the_gallery() -> None:
    named = {page.stem: names for page, names in pages().items() if page.parent.name == "forces"}
    assert set(named) <= set(gallery.MODULES)
    for module, names in named.items():
        assert names
        assert all(name.startswith(f"force_{module}_") for name in names)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK.split() else [pytest.mark.slow]) for name in DRAW]
)
def test_a_figure_is_drawn_as_it_lies_in_the_folder(name: str, tmp_path: Path) -> None:
    from docs_gallery.panels import save

    path = save(DRAW[name](), tmp_path / "figure.png")
    drawn, stored = pixels(path), pixels(FIGURES / f"{name}.png")
    assert drawn.shape == stored.shape
    assert drawn.std() > 20
    saturation = drawn.max(2) - drawn.min(2)
    assert inspect.getdoc(DRAW[name])
    assert (saturation > 60).mean() > 0.002 or name.startswith(("force_multiphase", "loss_"))
    assert (
        np.abs(drawn - stored).mean() < 6
    )  # other versions draw other fonts and edges, but the same picture


def test_the_same_figure_twice_is_the_same_file(tmp_path: Path) -> None:
    from docs_gallery.panels import save

    first, second = (save(DRAW["force_multiphase_length"](), tmp_path / f"{i}.png") for i in range(2))
    assert first.read_bytes() == second.read_bytes()


def test_an_unknown_name_is_refused_with_the_names_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from docs_gallery.__main__ import main

    monkeypatch.setattr(sys, "argv", ["gallery", "force_of_nature"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "force_of_nature" in (message := capsys.readouterr().err)
    assert "force_region_weight" in message
