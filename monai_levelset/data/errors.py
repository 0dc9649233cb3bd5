"""The one exception of everything that reads data."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from types import TracebackType

__all__ = ["DataError", "data_error", "raise_problems", "show_reason_last"]

_WRAPPERS = ("Failed to evaluate", "Failed to instantiate")


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


def data_error(error: BaseException) -> BaseException:
    """The `DataError` behind an error, as a new one, or the error itself.

    `monai.bundle` wraps the errors of a bundle's components.

    Example:
        >>> wrapped = RuntimeError("Failed to evaluate")
        >>> wrapped.__cause__ = DataError("a.png: missing")
        >>> data_error(wrapped)
        DataError('a.png: missing')
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DataError):
        cause = cause.__cause__
    return error if cause is None else DataError(str(cause))


def show_reason_last() -> None:
    """End the traceback of an uncaught error with the line that matters, for the rest of this process.

    `monai.bundle` wraps an error of a bundle's component in others that only say which component failed, and
    Python prints these last. A bundle's `initialize` calls this, so that the reason stands at the end. Ctrl-C
    is no error: it has one line and no traceback. The hook that was there before still prints the traceback.
    """
    if getattr(sys.excepthook, "func", None) is not _excepthook:
        sys.excepthook = functools.partial(_excepthook, sys.excepthook)


def _excepthook(
    before: Callable[..., object],
    kind: type[BaseException],
    error: BaseException,
    traceback: TracebackType | None,
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("error: interrupted", file=sys.stderr)
        return
    before(kind, error, traceback)
    reason = error
    while reason.__cause__ is not None and str(reason).startswith(_WRAPPERS):
        reason = reason.__cause__
    if reason is not error:
        print(f"error: {reason}", file=sys.stderr)
