"""Volumes through a bundle's inference, as a user runs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from monai_levelset.data.datalist import Item
from monai_levelset.data.image_files import find_files
from monai_levelset.data.readers.files import strip_suffix
from monai_levelset.reproduce.targets import Target, config_files


def segment(
    target: Target, items: Sequence[Item], weights: Path, out: Path, *overrides: str, **settings: Any
) -> list[Path]:
    """Write the label map of every item of one file.

    Args:
        target: whose bundle it is.
        items: of the data list.
        weights: of the network.
        out: folder of the label maps.
        overrides: names of the configuration files that are laid over `inference.json`.
        settings: further entries of the configuration.

    Returns:
        The label maps, in the order of the items.
    """
    workflow = ConfigWorkflow(
        config_file=config_files(target.folder, *overrides, base="inference"),
        meta_file=None,
        logging_file=None,
        workflow_type="infer",
        bundle_root=str(target.folder),
        output_dir=str(out),
        checkpoint=str(weights),
        dataset_dir=str(Path(items[0]["image"]).parent),
        datalist=[str(item["image"]) for item in items],
        **settings,
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    files = find_files(out)
    return [files[strip_suffix(Path(item["image"]))] for item in items]
