"""Leave an epoch in its middle, and enter it there again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .random_state import RandomState

__all__ = ["EpochPlace"]


class EpochPlace:
    """A data loader around another one, that can start an epoch where an interrupted run has left it.

    The order of an epoch follows from the random generators at its start. They are remembered; to enter again
    they are put back, the mini-batches of before are passed over, and the generators get the state they had
    at the interruption.

    Args:
        loader: the data loader.

    Attributes:
        start: state of the random generators when the epoch that runs was begun.

    Example:
        >>> import torch
        >>> loader = EpochPlace(torch.utils.data.DataLoader(range(6), shuffle=True))
        >>> epoch = iter(loader)
        >>> _, left, then = next(epoch), RandomState().state_dict(), next(epoch)
        >>> loader.enter(1, loader.start, left)
        >>> bool(next(iter(loader)) == then)
        True
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader = loader
        self.start: Mapping[str, Any] = {}
        self._entry: tuple[int, Mapping[str, Any], Mapping[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        entry, self._entry = self._entry, None
        if entry is None:
            self.start = RandomState().state_dict()
            return iter(self.loader)
        skip, self.start, left = entry
        RandomState().load_state_dict(self.start)
        batches = iter(self.loader)
        for _ in range(skip):
            next(batches)
        RandomState().load_state_dict(left)
        return batches

    def enter(self, skip: int, start: Mapping[str, Any], left: Mapping[str, Any]) -> None:
        """Begin the next epoch in its middle.

        Args:
            skip: mini-batches that the epoch has had.
            start: state of the random generators at its start.
            left: their state where it was left.
        """
        self._entry = (skip, start, left)
