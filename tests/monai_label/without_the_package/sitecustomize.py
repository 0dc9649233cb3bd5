"""On the path of a process, this hides the package monai-levelset from it."""

import importlib.abc
import sys


class _Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        """None lets others look for it."""
        if name.split(".")[0] == "monai_levelset":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, _Hidden())
