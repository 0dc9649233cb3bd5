"""Level-set segmentation for MONAI.

The package holds what MONAI lacks for the level-set family of methods: curve evolution with interchangeable
forces (`monai_levelset.levelset`), networks, Ignite trainers for partly labelled data
(`monai_levelset.engines`), phantoms and readers (`monai_levelset.data`), metrics and reports. Everything else
comes from MONAI itself, and the bundles put the two together.

Importing this package is cheap: import the subpackage that you need, for example::

    from monai_levelset.levelset import evolve

Sign convention everywhere: a level-set function is **positive inside** the object.
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__"]
