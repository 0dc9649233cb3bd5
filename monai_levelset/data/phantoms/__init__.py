"""Structured phantoms: sample data for every task, drawn by code and deterministic by seed."""

from __future__ import annotations

from monai_levelset.data.phantoms.case import PhantomCase, PhantomTask
from monai_levelset.data.phantoms.command import phantom
from monai_levelset.data.phantoms.generate import draw_cases, generate_phantoms
from monai_levelset.data.phantoms.tasks import TASKS, get_task

__all__ = ["TASKS", "PhantomCase", "PhantomTask", "draw_cases", "generate_phantoms", "get_task", "phantom"]
