"""Evaluate a folder of predictions, or a bundle on a folder of images, and write the report."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.bundles import find_bundle, inference_config
from monai_levelset.data.click_files import write_clicks
from monai_levelset.data.click_simulation import simulated_clicks
from monai_levelset.data.image_files import find_files
from monai_levelset.data.sequences import one_sequence_per_case
from monai_levelset.metrics.overlap import Labels
from monai_levelset.metrics.summary import Case, evaluate_arrays
from monai_levelset.metrics.volume import PHOTO_SUFFIXES, Volume, check_same_grid, load_label, load_volume
from monai_levelset.prediction import SomeFailed, predict
from monai_levelset.prediction.evolution import save_evolution
from monai_levelset.report.atomic import write_json, write_text
from monai_levelset.report.drawing import Panel, save_figure
from monai_levelset.report.html import html_report
from monai_levelset.report.origin import command_line, versions
from monai_levelset.report.overlay import choose_cases, middle_panel, overlay_figure
from monai_levelset.report.table import cases_csv, text_table


def evaluate(
    predictions: str | Path | None = None,
    labels: str | Path | None = None,
    out: str | Path | None = None,
    *,
    images: str | Path | None = None,
    bundle: str | Path | None = None,
    classes: Labels = None,
    spacing: Sequence[float] | float | None = None,
    postfix: str = "",
    metrics: str | None = None,
    clicks: str | Path | None = None,
    tolerance: float = 2.0,
) -> dict[str, Any]:
    """Score predictions against labels; write summary.json, cases.csv, overlays.png and report.html.

    Files belong together if their names without ending are equal; ``x.png`` may be the prediction for
    ``x.nii.gz``. A label without prediction is missed and gets the worst score. A prediction without label is
    reported and not scored. Give either ``predictions``, or ``bundle`` and ``images``.

    Args:
        predictions: folder of predicted label maps.
        labels: folder of the true label maps.
        out: folder for the results; predictions of a bundle go to ``out/predictions``.
        images: folder of the images, drawn under the contours.
        bundle: name of a bundle of this collection, or the folder of any bundle, to make the predictions
            with.
        classes: the structures to score, e.g. ``{"disc": [1, 2], "cup": 2}``; default: everything not 0.
        spacing: voxel size in mm, per axis or one for all, for files that carry none, such as PNG. Without it
            their distances are in pixels.
        postfix: to cut off the names of predictions, for instance ``_trans``.
        metrics: ``regions`` for maps whose numbers mean nothing: region covering, probabilistic Rand index
            and variation of information. Several people's labels of ``x.png`` are ``x_1.png``, ``x_2.png``,
            ... or the file ``x.mat`` of BSDS500. No overlays are drawn. Default: overlap and distances.
        clicks: JSON file with the clicks for a bundle that segments what is clicked, see ``click_items``.
            Default: the extreme points of the labels' structures, written to ``out/clicks.json``.
        tolerance: of the boundary F-measure, in mm (in pixels for files without spacing).

    Returns:
        The content of ``summary.json``: ``mean``, ``sd``, ``cases``, ``n``, ``missed``, ``unit`` of the
        distances, ``extra``, ``command``, ``versions``, and ``clicks`` where there were any.

    Raises:
        FileNotFoundError: if a folder is missing or empty, or no name is in both.
        ValueError: if files do not lie on one grid, are not label maps or share a name; clicks for a bundle
            that takes none, or that do not fit the images.
    """
    command = command_line("evaluate", locals())
    if labels is None or out is None or (predictions is None) == (bundle is None):
        raise ValueError("give --labels, --out and either --predictions or --bundle with --images")
    if metrics not in (None, "regions"):
        raise ValueError(f"--metrics is regions or left out, got {metrics!r}")
    if clicks is not None and bundle is None:
        raise ValueError("--clicks is for the predictions of a --bundle; leave it out")
    Path(out).mkdir(parents=True, exist_ok=True)
    clicked: dict[str, str] = {}
    if predictions is None:
        predictions, clicks, clicked = _predict(bundle, images, labels, Path(out), clicks)
    if metrics == "regions":
        return _evaluate_regions(
            find_files(predictions, postfix=postfix), Path(predictions), Path(labels), Path(out), command
        )
    truths = find_files(labels)
    pictures = {} if images is None else _pictures(images, truths)
    found = _without_companions(find_files(predictions, postfix=postfix))
    extra = _check_names(found, truths, Path(predictions), Path(labels))
    pairs = {name: (found.get(name), truths[name]) for name in truths}
    summary = evaluate_arrays(_cases(pairs, spacing), labels=classes, tolerance=tolerance)
    summary |= {"unit": _unit(truths.values(), spacing), "extra": extra, "tolerance": tolerance}
    summary |= {**clicked, "command": command, "versions": versions()}
    median = _median_case(summary, found)
    evolution = None
    if bundle is not None and images is not None and median is not None:
        evolution = save_evolution(
            *(bundle, images, median, truths[median], Path(out) / "evolution.png"),
            values=_first_structure(classes),
            points=clicks,
        )
    _write(Path(out), summary, _panels(pairs, pictures, summary, binary=classes is None), evolution)
    _print(Path(out), summary)
    return summary


def _median_case(summary: Mapping[str, Any], found: Mapping[str, Path]) -> str | None:
    scored = sorted((case["dice"], case["id"]) for case in summary["cases"] if case["id"] in found)
    return scored[len(scored) // 2][1] if scored else None


def _first_structure(classes: Labels) -> tuple[int, ...] | None:
    if classes is None:
        return None
    many = list(classes.values()) if isinstance(classes, Mapping) else classes
    first = many if isinstance(many, int) else many[0]
    return (first,) if isinstance(first, int) else tuple(first)


def _evaluate_regions(
    found: Mapping[str, Path], predictions: Path, labels: Path, out: Path, command: str
) -> dict[str, Any]:
    from monai_levelset.region_evaluation import people, score_regions

    matlab = sorted(labels.glob("*.mat")) if labels.is_dir() else []
    files = {path.stem: path for path in matlab} or find_files(labels)
    truths = people(files, found)
    extra = _check_names(found, {name: paths[0] for name, paths in truths.items()}, predictions, labels)
    summary = score_regions(found, truths)
    summary |= {"unit": "bits", "extra": extra, "command": command, "versions": versions()}
    write_text(out / "cases.csv", cases_csv(summary["cases"]))
    write_text(out / "report.html", html_report(summary))
    write_json(out / "summary.json", summary)
    print(text_table(summary))
    return summary


def _predict(
    bundle: str | Path | None,
    images: str | Path | None,
    labels: str | Path,
    out: Path,
    clicks: str | Path | None,
) -> tuple[Path, str | Path | None, dict[str, str]]:
    """The folder of the predictions, the file of clicks, and where these came from."""
    if bundle is None or images is None:
        raise ValueError("--bundle needs --images, the folder to make predictions for")
    root, clicked = find_bundle(bundle), {} if clicks is None else {"clicks": str(clicks)}
    if clicks is None and "clicks" in inference_config(root):
        clicks, clicked = _simulate(root, images, labels, out), {"clicks": "simulated from the labels"}
    try:
        predict(root, images, out / "predictions", points=clicks)
    except SomeFailed as error:
        if error.exit_code == 1:
            raise
        print(f"warning: {error}; these count as missed", file=sys.stderr)
    return out / "predictions", clicks, clicked


def _simulate(bundle_root: Path, images: str | Path, labels: str | Path, out: Path) -> Path:
    """The clicks that a perfect user would make."""
    names, config = find_files(images), inference_config(bundle_root)
    truths = {name: path for name, path in find_files(labels).items() if name in names}
    if not truths:
        raise FileNotFoundError(f"{images} and {labels} have no file name in common, so nothing is clicked")
    clicks = simulated_clicks(truths, config["structures"], axcodes=config.get("axcodes"))
    write_clicks(clicks, out / "clicks.json")
    return out / "clicks.json"


def _pictures(images: str | Path, truths: Mapping[str, Path]) -> dict[str, Path]:
    """Image per name: the folder's files, or one of each case folder's where these are what labels name."""
    cases = one_sequence_per_case(images)
    return cases if cases.keys() & truths.keys() else find_files(images)


def _without_companions(found: Mapping[str, Path]) -> dict[str, Path]:
    """Label maps alone, without what `predict` writes beside them."""
    ends = ("_probabilities", "_preview")
    beside = {name + end for name in found for end in ends}
    return {name: path for name, path in found.items() if name not in beside}


def _check_names(
    found: Mapping[str, Path], truths: Mapping[str, Path], predictions: Path, labels: Path
) -> list[str]:
    if not found.keys() & truths.keys():
        names = f"for instance {next(iter(found))!r} and {next(iter(truths))!r}"
        raise FileNotFoundError(
            f"{predictions} and {labels} have no file name in common, {names}; see --postfix"
        )
    extra = sorted(found.keys() - truths.keys())
    if extra:
        print(f"warning: predictions without label, not scored: {', '.join(extra)}", file=sys.stderr)
    absent = sorted(truths.keys() - found.keys())
    if absent:
        print(f"warning: labels without prediction, missed: {', '.join(absent)}", file=sys.stderr)
    return extra


def _load_pair(prediction: Path | None, label: Path) -> tuple[Volume | None, Volume]:
    truth = load_label(label)
    if prediction is None:
        return None, truth
    predicted = load_label(prediction)
    check_same_grid(predicted, truth)
    return predicted, truth


def _cases(
    pairs: Mapping[str, tuple[Path | None, Path]], spacing: Sequence[float] | float | None
) -> Iterator[Case]:
    for name, (prediction, label) in pairs.items():
        predicted, truth = _load_pair(prediction, label)
        size = truth.spacing if truth.affine is not None or spacing is None else _per_axis(spacing, truth)
        yield Case(name, None if predicted is None else predicted.array, truth.array, size)


def _per_axis(spacing: Sequence[float] | float, volume: Volume) -> Sequence[float]:
    return (float(spacing),) * volume.array.ndim if isinstance(spacing, int | float) else spacing


def _unit(labels: Iterable[Path], spacing: Sequence[float] | float | None) -> str:
    known = spacing is not None or not any(path.suffix.lower() in PHOTO_SUFFIXES for path in labels)
    return "mm" if known else "pixels"


def _panels(
    pairs: Mapping[str, tuple[Path | None, Path]],
    pictures: Mapping[str, Path],
    summary: Mapping[str, Any],
    *,
    binary: bool,
) -> dict[str, list[Panel]]:
    scores = {case["id"]: case["dice"] for case in summary["cases"]}

    def panel(name: str) -> Panel:
        predicted, truth = _load_pair(*pairs[name])
        image = _load_picture(pictures.get(name), truth)
        prediction = np.zeros_like(truth.array) if predicted is None else predicted.array
        note = f"{scores[name]:.3f}" + (" missed" if not prediction.any() and truth.array.any() else "")
        masks = ((mask > 0).astype(int) if binary else mask for mask in (truth.array, prediction))
        return middle_panel(image, *masks, spacing=truth.spacing, affine=truth.affine, title=name, note=note)

    return {group: [panel(name) for name in names[:12]] for group, names in choose_cases(scores).items()}


def _load_picture(path: Path | None, truth: Volume) -> NDArray[Any] | None:
    if path is None:
        return None
    image = load_volume(path)
    check_same_grid(image, truth)
    return image.array[..., 0] if image.array.ndim > 3 else image.array  # the first sequence


def _write(
    out: Path, summary: Mapping[str, Any], panels: Mapping[str, Sequence[Panel]], evolution: Path | None
) -> None:
    picture = save_figure(overlay_figure(panels), out / "overlays.png")
    write_text(out / "cases.csv", cases_csv(summary["cases"]))
    write_text(out / "report.html", html_report(summary, picture=picture, evolution=evolution))
    write_json(out / "summary.json", summary)


def _print(out: Path, summary: Mapping[str, Any]) -> None:
    print(text_table(summary))
    for name in ("overlays.png", "evolution.png", "report.html", "cases.csv", "summary.json"):
        if (out / name).is_file():
            print(out / name)
