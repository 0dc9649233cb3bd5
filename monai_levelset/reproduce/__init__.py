"""A paper's table from one command."""

from .command import reproduce

__all__ = ["reproduce"]
