"""The seven phantom tasks by name."""

from __future__ import annotations

from monai_levelset.data.phantoms import brats, fundus, lits, liver, lv, natural, prostate
from monai_levelset.data.phantoms.case import PhantomCase, PhantomTask

MODULES = (liver, lv, prostate, lits, brats, fundus, natural)
TASKS: dict[str, PhantomTask] = {module.TASK.name: module.TASK for module in MODULES}


def get_task(name: str) -> PhantomTask:
    """Look a task up by its name.

    Raises:
        ValueError: if there is no such task; the message lists those that exist.

    Example:
        >>> get_task("lv").labels["1"]
        'left ventricle endocardium'
    """
    if name not in TASKS:
        raise ValueError(f"unknown phantom task {name!r}: choose one of {', '.join(sorted(TASKS))}")
    return TASKS[name]


__all__ = ["TASKS", "PhantomCase", "get_task"]
