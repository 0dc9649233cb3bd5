"""Readers of public data sets in their official layouts, one module per data set."""

from __future__ import annotations

from monai_levelset.data.readers.base import Case, Dataset, Reader

__all__ = ["Case", "Dataset", "Reader"]
