"""The rows of the comparison: each one's network and post-processing, scored and timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from monai_levelset.report import write_json
from monai_levelset.reproduce.dense_crf import dense_crf
from monai_levelset.reproduce.kim2019_choice import mean_scores, probability
from monai_levelset.reproduce.kim2019_pydensecrf import available, lattice_crf
from monai_levelset.reproduce.kim2019_seconds import seconds
from monai_levelset.reproduce.kim2019_task import TRAININGS, Task, Views, score
from monai_levelset.reproduce.stages import read_json

CE, LOSS, CRF, LATTICE = "CE", "CE + level-set loss", "CE + CRF", "CE + CRF (pydensecrf)"

#: (probability, image) -> probability
Refine = Callable[[Tensor, Tensor], Tensor]


def rows(choice: Mapping[str, Any]) -> dict[str, tuple[str, Refine | None]]:
    """Row -> training and post-processing; of the weights that were not chosen after the others."""
    settings = choice["crf"]
    found: dict[str, tuple[str, Refine | None]] = {
        CE: ("ce", None),
        LOSS: (choice["training"], None),
        CRF: ("ce", partial(dense_crf, **settings)),
    }
    if available():
        found[LATTICE] = ("ce", partial(lattice_crf, **settings))
    others = [name for name, weight in TRAININGS.items() if weight and name != choice["training"]]
    return found | {f"{LOSS}, lambda {TRAININGS[name]:g}": (name, None) for name in others}


def score_seed(task: Task, views: Views, folder: Path, choice: Mapping[str, Any]) -> dict[str, Any]:
    """Row -> metric -> mean over the images, under `mean`; and per image under `cases`. Done once."""
    file, wanted = folder / "scores.json", _key(choice)
    if file.is_file() and read_json(file)["key"] == wanted:
        return read_json(file)
    found: dict[str, Any] = {"key": wanted, "mean": {}, "cases": {}}
    for row, (training, refine) in rows(choice).items():
        network = task.network(folder / training)
        cases = []
        for i, truth in enumerate(views.truths):
            image = views.images[i][None]
            p = probability(network, image)
            cases.append(score(task, views.predict(i, (refine(p, image) if refine else p)[0]), truth))
        found["mean"][row] = mean_scores(cases)
        found["cases"][row] = [{"id": name, **case} for name, case in zip(views.ids, cases, strict=True)]
    write_json(file, found)
    return found


def time_seed(task: Task, views: Views, folder: Path, choice: Mapping[str, Any]) -> dict[str, Any]:
    """Row -> seconds per image under `image`, and per update under `step`. Done once."""
    file, wanted = folder / "seconds.json", _key(choice)
    if file.is_file() and read_json(file)["key"] == wanted:
        return read_json(file)
    image = views.images[len(views.ids) // 2][None]
    calls = {}
    for row, (training, refine) in rows(choice).items():
        calls[row] = partial(_segment, task.network(folder / training), image, refine)
    steps = seconds({CE: task.step(0.0), LOSS: task.step(choice["weight"])})
    found = {
        "key": wanted,
        "image": seconds(calls, rounds=30),
        "step": {row: steps[LOSS if TRAININGS[name] else CE] for row, (name, _) in rows(choice).items()},
    }
    write_json(file, found)
    return found


def _segment(network: Any, image: Tensor, refine: Refine | None) -> Tensor:
    p = probability(network, image)
    return refine(p, image) if refine else p


def _key(choice: Mapping[str, Any]) -> dict[str, Any]:
    return {"crf": choice["crf"], "training": choice["training"], "rows": list(rows(choice))}
