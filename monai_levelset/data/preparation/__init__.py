"""The parts of `monai-levelset prepare`: examine each case, restart, divide into sections, report."""

from __future__ import annotations

__all__: list[str] = []
