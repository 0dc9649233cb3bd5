"""Names of the package become names of `scripts`, and nothing else changes."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from monai_levelset.export.rename import renamed_config, renamed_module

PACKAGE = Path(__file__).resolve().parents[2] / "monai_levelset"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("from monai_levelset.data import x\n", "from scripts.data import x\n"),
        ("from monai_levelset import data\n", "from scripts import data\n"),
        ("import monai_levelset.data as d\n", "import scripts.data as d\n"),
        ("y = monai_levelset.data.x()\n", "y = scripts.data.x()\n"),
        ("def f():\n    from monai_levelset.a import b\n", "def f():\n    from scripts.a import b\n"),
        ("from .data import x\n", "from .data import x\n"),
        ('"""See `monai_levelset.data.x`."""\n', '"""See `scripts.data.x`."""\n'),
        ('a = """ä\nmonai_levelset.b\n"""; c = 1\n', 'a = """ä\nscripts.b\n"""; c = 1\n'),
        ('import_module("monai_levelset.data")\n', 'import_module("scripts.data")\n'),
        ('f"{x} monai_levelset.b {y}"\n', 'f"{x} scripts.b {y}"\n'),
        ("monai_levelset_x = my_monai_levelset\n", "monai_levelset_x = my_monai_levelset\n"),
        ('"monai_levelset"  # the monai_levelset\n', '"monai_levelset"  # the monai_levelset\n'),
        ('"monai-levelset monai_levelset/data"\n', '"monai-levelset monai_levelset/data"\n'),
    ],
)
def test_modules(old: str, new: str) -> None:
    assert renamed_module(old) == new


def test_every_module_of_the_package_means_the_same_afterwards() -> None:
    """The oracle: the syntax tree, with the modules of its imports renamed by hand."""
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                node.module = node.module.replace("monai_levelset", "scripts")
            elif isinstance(node, ast.alias | ast.Name):
                name = "name" if isinstance(node, ast.alias) else "id"
                setattr(node, name, getattr(node, name).replace("monai_levelset", "scripts"))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                node.value = node.value.replace("monai_levelset.", "scripts.")
        renamed = renamed_module(source)
        assert ast.dump(ast.parse(renamed)) == ast.dump(tree), path
        assert len(renamed.splitlines()) == len(source.splitlines())


def test_configs_keep_their_layout_and_their_texts() -> None:
    old = """{
    "imports": ["$from monai_levelset.data import x", "$import torch"],
    "net": {"_target_": "monai_levelset.networks.N", "note": "see monai_levelset.networks.N"},
    "a#_target_": "monai_levelset.b.C",
    "width": [1,  2],
    "text": "of monai_levelset", "other": "$monai_levelset.f(@net#x, 'monai-levelset')"
}
"""
    new = renamed_config(old)
    assert new.splitlines()[4] == '    "width": [1,  2],'
    assert json.loads(new) == {
        "imports": ["$from scripts.data import x", "$import torch"],
        "net": {"_target_": "scripts.networks.N", "note": "see monai_levelset.networks.N"},
        "a#_target_": "scripts.b.C",
        "width": [1, 2],
        "text": "of monai_levelset",
        "other": "$scripts.f(@net#x, 'monai-levelset')",
    }
