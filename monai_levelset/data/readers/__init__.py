"""Readers of public data sets in their official layouts, one module per data set."""

from __future__ import annotations

from monai_levelset.data.readers.base import Case, Reader, SourceListing

__all__ = ["Case", "Reader", "SourceListing"]
