"""The one exception of everything that reads data."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["DataError", "raise_problems"]


class DataError(ValueError):
    """Data that cannot be used as it is.

    The message names the file, says what is wrong with it and how to put it right.
    """


def raise_problems(problems: Sequence[str], *, max_problems: int = 20) -> None:
    """Raise one `DataError` that lists all `problems`, or do nothing where there are none.

    Args:
        problems: one line per problem; repeated lines are shown once.
        max_problems: lines shown; the message counts the rest.

    Raises:
        DataError: where `problems` is not empty.

    Example:
        >>> raise_problems([])
        >>> raise_problems(["a.png: missing", "b.png: missing", "a.png: missing"], max_problems=1)
        Traceback (most recent call last):
        ...
        monai_levelset.data.errors.DataError: 2 problems in the data:
        - a.png: missing
        - ... and 1 more
    """
    unique = list(dict.fromkeys(problems))
    if not unique:
        return
    if len(unique) == 1:
        raise DataError(unique[0])
    lines = [f"- {problem}" for problem in unique[:max_problems]]
    if len(unique) > max_problems:
        lines.append(f"- ... and {len(unique) - max_problems} more")
    raise DataError("\n".join([f"{len(unique)} problems in the data:", *lines]))
