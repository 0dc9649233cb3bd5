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


def infer(target: Target, weights: Path, out: Path, *overrides: str, **settings: Any) -> None:
    """Run a bundle's inference with these weights.

    Args:
        target: whose bundle it is.
        weights: of the network.
        out: folder of the label maps.
        overrides: names of the configuration files that are laid over `inference.json`.
        settings: further entries of the configuration, such as what to segment.
    """
    workflow = ConfigWorkflow(
        config_file=config_files(target.folder, *overrides, base="inference"),
        meta_file=None,
        logging_file=None,
        workflow_type="infer",
        bundle_root=str(target.folder),
        output_dir=str(out),
        checkpoint=str(weights),
        **settings,
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def segment(
    target: Target, items: Sequence[Item], weights: Path, out: Path, *overrides: str, **settings: Any
) -> list[Path]:
    """Write the label map of every item of one file; see `infer`.

    Returns:
        The label maps, in the order of the items.
    """
    images = [Path(item["image"]) for item in items]
    settings = {
        "dataset_dir": str(images[0].parent),
        "datalist": [str(image) for image in images],
        **settings,
    }
    infer(target, weights, out, *overrides, **settings)
    files = find_files(out)
    return [files[strip_suffix(image)] for image in images]
