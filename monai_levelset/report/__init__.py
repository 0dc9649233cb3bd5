"""Pictures, tables and the HTML report. Matplotlib is imported only when a picture is drawn."""

from __future__ import annotations

from monai_levelset.report.atomic import atomic_path, write_json, write_text
from monai_levelset.report.click_figure import click_figure
from monai_levelset.report.curves import training_curves
from monai_levelset.report.deep_level_set_case import DeepLevelSetCase
from monai_levelset.report.drawing import Panel, save_figure
from monai_levelset.report.evolution import convergence_figure
from monai_levelset.report.evolution_animation import evolution_animation
from monai_levelset.report.html import html_report
from monai_levelset.report.models import ModelRow, model_figure
from monai_levelset.report.overlay import choose_cases, middle_panel, overlay_figure
from monai_levelset.report.table import cases_csv, csv_table, markdown_table, text_table, write_tables

__all__ = [
    "DeepLevelSetCase",
    "ModelRow",
    "Panel",
    "atomic_path",
    "cases_csv",
    "choose_cases",
    "click_figure",
    "convergence_figure",
    "csv_table",
    "evolution_animation",
    "html_report",
    "markdown_table",
    "middle_panel",
    "model_figure",
    "overlay_figure",
    "save_figure",
    "text_table",
    "training_curves",
    "write_json",
    "write_tables",
    "write_text",
]
