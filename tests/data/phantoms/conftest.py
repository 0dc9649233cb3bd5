"""A few cases of every task, drawn once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from monai_levelset.data.phantoms import PhantomCase, draw_cases, get_task


@pytest.fixture(scope="session")
def some_cases() -> Callable[[str], list[PhantomCase]]:
    """The first cases of a task, seed 0: four of the slow CT tasks, twelve of the others."""

    @cache
    def cases(task: str) -> list[PhantomCase]:
        wanted = 4 if task in ("liver", "lits") else 12
        patients = wanted // get_task(task).images_per_patient
        return [case for i in range(patients) for case in draw_cases(task, i, 0)]

    return cases
