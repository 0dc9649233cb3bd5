"""What further clicks bring: Dice and contour distance after each, clicked where the contour is farthest off.

`python -m tests.bundles.click_corrections prostate_mri_levelset_deepgrow DATA [--jitter 2] [--section test]`
prints the table of the bundle's card; DATA is a folder with a `datalist.json`, volumes having their slices
along the third axis.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.transforms import SaveImaged

from monai_levelset.data import load_section, simulated_clicks
from monai_levelset.engines import PretrainedWeights
from monai_levelset.levelset import signed_distance
from monai_levelset.metrics.overlap import case_metrics
from monai_levelset.metrics.volume import load_label

from .common import ROOT, Array

Clicks = dict[str, list[list[float]]]


class ClickedBundle:
    """A click bundle's inference on single files, as a viewer runs it: transforms one by one, no result file.

    Args:
        bundle: name of the bundle.
        settings: entries of the configuration to replace.
    """

    def __init__(self, bundle: str, **settings: Any) -> None:
        root = ROOT / "bundles" / bundle
        parser = ConfigParser()
        parser.read_config(root / "configs" / "inference.json")
        parser.update({"bundle_root": str(root), "device": "cpu", **settings})
        names = ("preprocessing", "network", "inferer", "postprocessing", "structures", "checkpoint")
        self.prepare, self.network, self.infer, finish, self.structures, weights = (
            parser.get_parsed_content(name) for name in names
        )
        self.finish = [step for step in finish.transforms if not isinstance(step, SaveImaged)]
        PretrainedWeights(weights, self.network).attach(_Now())
        self.network.eval()
        self.kept: dict[bytes, torch.Tensor] = {}

    def label(self, image: str | Path, foreground: Any, background: Any = None) -> Array:
        """The label map of a file for these clicks, with the file's axes."""
        data = self.prepare({"image": str(image), "foreground": foreground, "background": background})
        data["pred"] = self._scores(data["image"])
        for transform in self.finish:
            data = transform(data)
        return np.asarray(data["pred"].cpu())

    def _scores(self, crops: torch.Tensor) -> torch.Tensor:
        key = np.asarray(crops).tobytes()
        if key not in self.kept:
            with torch.no_grad():
                self.kept = {key: self.infer(crops[None], self.network)[0]}
        return self.kept[key].clone()


class _Now:
    """Runs a handler's start at once."""

    def add_event_handler(self, event: Any, handler: Any, *arguments: Any) -> None:
        handler(self, *arguments)

    logger = logging.getLogger(__name__)


def planes(array: Array) -> list[Array]:
    """The slices of a volume along its third axis; an image is one."""
    return [array] if array.ndim == 2 else list(np.moveaxis(array, 2, 0))


def farthest_click(found: Array, truth: Array) -> list[int]:
    """The boundary pixel of the true mask that is farthest from the contour of the other."""
    phi = signed_distance(torch.from_numpy(np.ascontiguousarray(found != 0)).float()[None, None])
    edge = signed_distance(torch.from_numpy(np.ascontiguousarray(truth != 0)).float()[None, None])
    off = (phi - edge).abs().where(edge.eq(0.5), -1.0)[0, 0].numpy()
    return [int(n) for n in np.unravel_index(off.argmax(), off.shape)]


def measure(
    bundle: ClickedBundle, items: Sequence[Mapping[str, Any]], *, further: int = 3, jitter: float = 0.0
) -> list[dict[str, float]]:
    """Means over all clicked slices with four clicks, and after each further one.

    Args:
        bundle: the bundle.
        items: of a data list, with `image` and `label`.
        further: number of further clicks on each slice and structure.
        jitter: of the four, pixels; the further ones are exact.
    """
    rounds: list[list[dict[str, float]]] = [[] for _ in range(further + 1)]
    for item in items:
        file = {"case": item["label"]}
        clicks: Any = simulated_clicks(file, bundle.structures, axcodes="PLS", jitter=jitter)["case"]
        label = load_label(item["label"])
        for scores in rounds:
            for name, values in bundle.structures.items():
                truth = np.isin(label.array, values) if len(bundle.structures) > 1 else label.array > 0
                result = bundle.label(item["image"], {name: clicks[name]})
                for k, (found, true) in enumerate(zip(planes(result), planes(truth), strict=True)):
                    if true.any():
                        missed = {"missed": float(not found.any())}
                        scores.append({**case_metrics(found > 0, true, label.spacing[:2]), **missed})
                        clicks[name].append([*farthest_click(found, true), *([k] if truth.ndim > 2 else [])])
    return [{key: float(np.mean([s[key] for s in part])) for key in part[0]} for part in rounds]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("data")
    parser.add_argument("--section", default="test")
    parser.add_argument("--jitter", type=float, default=0.0)
    options = parser.parse_args()
    bundle = ClickedBundle(options.bundle)
    rows = measure(bundle, load_section(options.data, options.section), jitter=options.jitter)
    print("| further clicks | Dice | ASD | HD | without a result |\n|---|---|---|---|---|")
    for number, row in enumerate(rows):
        scores = f"{row['dice']:.4f} | {row['asd']:.3f} | {row['hd']:.2f}"
        print(f"| {number} | {scores} | {row['missed']:.1%} |")


if __name__ == "__main__":
    main()
