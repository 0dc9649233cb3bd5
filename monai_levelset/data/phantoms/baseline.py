"""How well a trivial threshold solves each phantom task: the floor that a trained model must clear.

``python -m monai_levelset.data.phantoms.baseline --cases 12 --seed 0`` prints the table of the documentation.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_multiotsu

from monai_levelset.data.phantoms.case import PhantomCase
from monai_levelset.data.phantoms.generate import draw_cases
from monai_levelset.data.phantoms.shapes import Array
from monai_levelset.data.phantoms.tasks import TASKS, get_task

BINS = 48


@dataclass(frozen=True)
class Target:
    """A structure to be found: which label values it has, and which Otsu class a user would pick for it.

    Attributes:
        task: name of the task.
        name: what the structure is called.
        values: label values that belong to it; empty for every region in turn (natural images).
        channel: channel of the image to be thresholded; None for the mean over channels.
        bright: whether the brightest (True) or the middle Otsu class is taken.
        window: fixed intensities that are clipped to first (CT in HU), or None.
        central: look at the central half of the first two axes only.
    """

    task: str
    name: str
    values: tuple[int, ...]
    channel: int | None = None
    bright: bool = True
    window: tuple[float, float] | None = None
    central: bool = False


TARGETS: tuple[Target, ...] = (
    Target("liver", "liver", (1,), bright=False, window=(-100, 240)),
    Target("lv", "left ventricle", (1,), central=True),
    Target("prostate", "gland", (1,), bright=False, central=True),
    Target("lits", "liver with lesions", (1, 2), bright=False, window=(-100, 240)),
    Target("lits", "lesions", (2,), bright=False, window=(-20, 180)),
    Target("brats", "complete tumour", (1, 2, 4), channel=0),
    Target("fundus", "optic disc", (1, 2), channel=0, central=True),
    Target("fundus", "optic cup", (2,), channel=1, central=True),
    Target("natural", "every region", ()),
)


def grey(task: str, image: Array, target: Target | None = None) -> Array:
    """The single channel a threshold looks at, windowed for CT."""
    target = target or next(t for t in TARGETS if t.task == task)
    values = np.asarray(image, np.float32)
    if image.ndim == 4 or image.shape[-1] == 3:
        values = values.mean(-1) if target.channel is None else values[..., target.channel]
    return values if target.window is None else np.clip(values, *target.window)


def largest_component(mask: Array) -> Array:
    """Keep the largest connected component of a mask (an empty mask stays empty)."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return np.zeros_like(mask, dtype=bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def threshold_baseline(task: str, image: Array, target: Target | None = None) -> Array:
    """What a user gets without training: three Otsu classes, the fitting one, its largest component.

    Args:
        task: name of the task.
        image: image as in the file (channel last where there are several).
        target: structure to be found; the task's first if None.

    Returns:
        Boolean mask on the image's grid. For ``natural`` the three classes as region ids 1 to 3 (uint8).

    Raises:
        ValueError: if the task is unknown.
    """
    get_task(task)
    target = target or next(t for t in TARGETS if t.task == task)
    values = grey(task, image, target)
    region = region_of_interest(target, values)
    lower, upper = threshold_multiotsu(values[region], classes=3, nbins=128)
    if not target.values:
        return np.asarray(np.digitize(values, (lower, upper)) + 1, np.uint8)
    chosen = values > upper if target.bright else (values > lower) & (values <= upper)
    return largest_component(chosen & region)


def region_of_interest(target: Target, values: Array) -> Array:
    """The central half of the first two axes for a central target, otherwise everything."""
    mask = np.full(values.shape, not target.central)
    mask[tuple(slice(n // 4, n - n // 4) for n in values.shape[:2])] = True
    return mask


def dice(prediction: Array, label: Array) -> float:
    """Dice overlap of two masks; 1 if both are empty."""
    total = int(prediction.sum()) + int(label.sum())
    return 2 * int((prediction & label).sum()) / total if total else 1.0


def region_dice(prediction: Array, label: Array) -> float:
    """Each region's Dice with the predicted region that fits it best, averaged over the regions."""
    found = [prediction == value for value in np.unique(prediction)]
    return float(np.mean([max(dice(p, label == value) for p in found) for value in np.unique(label)]))


def otsu_dice(target: Target, case: PhantomCase) -> float:
    """Dice of `threshold_baseline` on one case."""
    prediction = threshold_baseline(target.task, case.image, target)
    if not target.values:
        return region_dice(prediction, case.label)
    return dice(prediction, np.isin(case.label, target.values))


def interval_counts(target: Target, cases: list[PhantomCase]) -> tuple[Array, Array, Array]:
    """Cumulative histograms over common intensity bins: voxels in the structure and voxels in all, per case.

    Intensities are scaled per image by its 1st and 99th percentile, except CT windows, which are absolute.
    """
    inside, everything = [], []
    edges = np.linspace(-1e-6, 1 + 1e-6, BINS + 1)
    for case in cases:
        scaled = np.clip(scale(target, case), 0, 1)
        mask, region = np.isin(case.label, target.values), region_of_interest(target, scaled)
        inside.append(np.cumsum(np.r_[0, np.histogram(scaled[mask & region], edges)[0]]))
        everything.append(np.cumsum(np.r_[0, np.histogram(scaled[region], edges)[0]]))
    return np.array(inside), np.array(everything), edges


def scale(target: Target, case: PhantomCase) -> Array:
    """Intensities in units of the window, or of the image's own percentiles."""
    values = grey(target.task, case.image, target)
    low, high = target.window or np.percentile(values, (1, 99))
    return np.asarray((values - low) / (high - low))


def oracle_dice(target: Target, cases: list[PhantomCase]) -> list[float]:
    """Dice of the best intensity interval, chosen with all labels in view.

    The interval is common to the data set (for ``natural`` it is chosen anew for every region of every
    image); its largest component counts if that is better on average.
    """
    if not target.values:
        return [region_oracle(target, case) for case in cases]
    inside, everything, edges = interval_counts(target, cases)
    size = inside[:, -1][:, None, None]
    hits = inside[:, None, :] - inside[:, :, None]
    taken = everything[:, None, :] - everything[:, :, None]
    score = np.where(
        np.triu(np.ones((BINS + 1, BINS + 1)), 1) > 0, (2 * hits / np.maximum(taken + size, 1)).mean(0), -1
    )
    low, high = np.unravel_index(score.argmax(), score.shape)
    plain, largest = [], []
    for case in cases:
        scaled, label = np.clip(scale(target, case), 0, 1), np.isin(case.label, target.values)
        mask = (scaled >= edges[low]) & (scaled < edges[high]) & region_of_interest(target, scaled)
        plain.append(dice(mask, label))
        largest.append(dice(largest_component(mask), label))
    return max(plain, largest, key=lambda scores: float(np.mean(scores)))


def region_oracle(target: Target, case: PhantomCase) -> float:
    """Mean over the regions of one image of the Dice of the best interval for that very region."""
    scores = []
    for value in np.unique(case.label):
        alone = PhantomCase(case.image, (case.label == value).astype(np.uint8))
        one = Target(target.task, target.name, (1,), target.channel)
        scores.append(oracle_dice(one, [alone])[0])
    return float(np.mean(scores))


def measure(target: Target, cases: int, seed: int) -> tuple[list[float], list[float]]:
    """Dice per case of the Otsu baseline and of the oracle interval."""
    drawn: list[PhantomCase] = []
    while len(drawn) < cases:
        drawn += draw_cases(target.task, len(drawn) // get_task(target.task).images_per_patient, seed)
    drawn = drawn[:cases]
    return [otsu_dice(target, case) for case in drawn], oracle_dice(target, drawn)


def table(cases: int, seed: int, tasks: tuple[str, ...] = ()) -> str:
    """Markdown table of mean and standard deviation of Dice per task."""
    rows = ["| task | structure | Otsu + largest component | oracle interval |", "|---|---|---|---|"]
    for target in (t for t in TARGETS if t.task in (tasks or TASKS)):
        cells = [f"{np.mean(scores):.3f} ± {np.std(scores):.3f}" for scores in measure(target, cases, seed)]
        rows.append(f"| {target.task} | {target.name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description="threshold baselines on the phantoms")
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--task", action="append", default=[], choices=sorted(TASKS))
    options = parser.parse_args()
    print(table(options.cases, options.seed, tuple(options.task)))


if __name__ == "__main__":
    main()
