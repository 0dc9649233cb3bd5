"""The public names of every package are frozen: a change of the interface is seen in `public_names.json`.

After a wanted change, `python tests/test_public_names.py` writes the list anew.
"""

from __future__ import annotations

import inspect
import json
import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

import monai_levelset

STORED = Path(__file__).with_name("public_names.json")


def packages() -> list[str]:
    """The package and all its subpackages; what is public is re-exported by one of them."""
    found = pkgutil.walk_packages(monai_levelset.__path__, "monai_levelset.")
    return ["monai_levelset", *sorted(module.name for module in found if module.ispkg)]


def public_names() -> dict[str, list[str]]:
    """Names in `__all__` of every package."""
    return {name: sorted(import_module(name).__all__) for name in packages()}


@pytest.mark.parametrize("package", packages())
def test_every_public_name_exists_and_is_documented(package: str) -> None:
    module = import_module(package)
    assert module.__doc__
    values = {name: getattr(module, name) for name in module.__all__}
    defined = {
        name: value for name, value in values.items() if inspect.isclass(value) or inspect.isfunction(value)
    }
    assert [name for name, value in defined.items() if not value.__doc__] == []


def test_public_names_are_the_stored_ones() -> None:
    assert public_names() == json.loads(STORED.read_text()), "wanted? then: python tests/test_public_names.py"


if __name__ == "__main__":
    STORED.write_text(json.dumps(public_names(), indent=2) + "\n")
