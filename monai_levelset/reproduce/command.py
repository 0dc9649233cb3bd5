"""The command `monai-levelset reproduce`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from monai_levelset.data.checks import check_folder, check_writable

#: target -> module and function, which gets the target's name first
TARGETS = {
    "tang2017-lv": "monai_levelset.reproduce.tang2017:reproduce_table_1",
    "tang2017-liver": "monai_levelset.reproduce.tang2017:reproduce_table_1",
    "kim2019-losses": "monai_levelset.reproduce.kim2019:reproduce_losses",
    "kimye2020-brats": "monai_levelset.reproduce.kimye2020_brats:reproduce_brats",
    "kimye2020-bsds": "monai_levelset.reproduce.kimye2020_bsds:reproduce_label_free",
    "kimye2020-lits": "monai_levelset.reproduce.kimye2020_lits:reproduce_lits",
    "zheng2020-fundus": "monai_levelset.reproduce.zheng2020:reproduce_clicks",
    "zheng2020-prostate": "monai_levelset.reproduce.zheng2020:reproduce_clicks",
    "few-labels-acdc": "monai_levelset.reproduce.few_labels:reproduce_few_labels",
}


def reproduce(
    target: str,
    data: str,
    out: str,
    *,
    seeds: int = 3,
    epochs: int | None = None,
    jobs: int = 1,
    weights: str | None = None,
    labeled: int | None = None,
    full: bool = False,
) -> dict[str, Any]:
    """Train and evaluate the models of a paper's table over several seeds, beside the paper's numbers.

    Writes `table.md`, `table.csv`, `summary.json` and figures. Finished trainings are not repeated,
    interrupted ones go on from their last epoch: run the same command again.

    Args:
        target: which table; `tang2017-lv` (left ventricle) or `tang2017-liver`. `kim2019-losses` compares
            cross entropy, the level-set loss and a CRF on left ventricle and fundus. `kimye2020-brats`
            segments brain tumours, of BraTS as published or of data with `datalist.json`, with parts of the
            labels; `kimye2020-lits` liver lesions of data with `datalist.json`, such as phantoms.
            `kimye2020-bsds` segments the pictures of BSDS500, as published, without labels.
            `few-labels-acdc` segments three structures of the heart with 3 or 7 labelled patients.
            `zheng2020-fundus` segments optic disc and cup from four clicks, on Drishti as published;
            `zheng2020-prostate` the prostate, trained on phantoms and scored on real images.
        data: folder of the data: with `datalist.json`, or as published: the Sunnybrook pictures for
            `tang2017-lv`; for `tang2017-liver` 8-bit slices (`images`, `labels` and `splits.json`), which are
            prepared into `out/data`. Without a test section the validation section is reported on, and a part
            of the training patients chooses the checkpoints. Without a training section, the finished
            trainings in `out/runs` are scored. For `kim2019-losses` a folder that holds `lv/sunnybrook` and
            `fundus/drishti`, or one of these two. For `zheng2020-prostate` a folder with `promise12_case00`
            and `prostate158`, or one of these two.
        out: folder for the results; its subfolder `runs` holds the trainings.
        seeds: how many seeds: 0, 1, 2, ...
        epochs: length of the pre-training in passes over the labelled items; the other trainings scale with
            it. Default: the bundle's number of updates.
        jobs: seeds trained at the same time, each on one thread; with 1, torch uses all threads.
        weights: for the two `zheng2020` targets: file with ImageNet weights of a ResNet-50, see
            `load_imagenet_weights`, to start it from; without it the bundle's smaller network is trained from
            scratch.
        labeled: for `few-labels-acdc`: how many patients are labelled; default: 3 and 7.
        full: for `few-labels-acdc`: the configuration for a GPU, images of 256 x 256 and 30,000 updates.

    Returns:
        What `summary.json` holds.

    Raises:
        DataError: the data are missing or unfit, or the folder cannot be written.
        ValueError: unknown target, or a number out of range.

    Example:
        >>> reproduce("tang2018-lv", "data", "out")
        Traceback (most recent call last):
        ...
        ValueError: unknown target 'tang2018-lv'; choose from tang2017-lv, tang2017-liver, ...
    """
    if target not in TARGETS:
        raise ValueError(f"unknown target {target!r}; choose from {', '.join(TARGETS)}")
    for name, number in {"seeds": seeds, "epochs": epochs, "jobs": jobs}.items():
        if number is not None and not (isinstance(number, int) and number >= 1):
            raise ValueError(f"--{name} must be a whole number of at least 1, got {number}")
    if weights is not None and not target.startswith("zheng2020"):
        raise ValueError(f"--weights is of the targets zheng2020-fundus and zheng2020-prostate, not {target}")
    few = {} if labeled is None else {"labeled": labeled}
    few |= {"full": True} if full else {}
    if few and target != "few-labels-acdc":
        raise ValueError(f"--{next(iter(few))} is of the target few-labels-acdc, not {target}")
    if labeled is not None and not (isinstance(labeled, int) and labeled >= 1):
        raise ValueError(f"--labeled must be a whole number of at least 1, got {labeled}")
    check_folder(data)
    check_writable(out)
    module, name = TARGETS[target].split(":")
    run: Callable[..., dict[str, Any]] = getattr(import_module(module), name)
    start = {} if weights is None else {"weights": weights}
    return run(target, Path(data), Path(out), seeds=seeds, epochs=epochs, jobs=jobs, **start, **few)
