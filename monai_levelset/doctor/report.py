"""What a check says, and how it is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["STATES", "Finding", "State", "count_states", "counts_text", "findings_text", "readable_size"]

State = Literal["ok", "warning", "problem"]
STATES: tuple[State, ...] = ("ok", "warning", "problem")


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        section: what was looked at, such as `environment` or `bundle NAME`.
        check: name of the check.
        state: `ok`; `warning`, where something is slow, missing or doubtful; `problem`, where something will
            fail.
        message: what was found.
        fix: what to do about it; empty where nothing is to be done or the message says it.
    """

    section: str
    check: str
    state: State
    message: str
    fix: str = ""


def count_states(findings: Iterable[Finding]) -> dict[str, int]:
    """Number of findings per state.

    Args:
        findings: what the checks found.

    Returns:
        `ok`, `warning` and `problem` -> number.

    Example:
        >>> count_states([Finding("environment", "disk", "ok", "9 GiB free")])
        {'ok': 1, 'warning': 0, 'problem': 0}
    """
    counted = Counter(finding.state for finding in findings)
    return {state: counted[state] for state in STATES}


def counts_text(findings: Iterable[Finding]) -> str:
    """The last line of the output.

    Args:
        findings: what the checks found.

    Returns:
        One line.

    Example:
        >>> counts_text([Finding("data", "files", "problem", "a.png: empty")])
        '0 ok, 0 warnings, 1 problem'
    """
    counts = count_states(findings)
    plural = {name: "" if name == "ok" or number == 1 else "s" for name, number in counts.items()}
    return ", ".join(f"{number} {name}{plural[name]}" for name, number in counts.items())


def findings_text(findings: Sequence[Finding]) -> str:
    """Findings as aligned lines: state, check, message; a fix stands below its finding.

    Args:
        findings: those of one section.

    Returns:
        The section's name and the lines; an empty text for no finding.

    Example:
        >>> found = [
        ...     Finding("data", "grids", "ok", "64 x 64"),
        ...     Finding("data", "patients", "problem", "p1 is in two sections", "keep it in one"),
        ... ]
        >>> print(findings_text(found))
        data
          ok       grids     64 x 64
          problem  patients  p1 is in two sections
                             fix: keep it in one
    """
    if not findings:
        return ""
    width = max(len(finding.check) for finding in findings)
    lines = [findings[0].section]
    for finding in findings:
        first, *others = finding.message.splitlines() or [""]
        lines.append(f"  {finding.state:<7}  {finding.check:<{width}}  {first}".rstrip())
        others += [f"fix: {finding.fix}"] if finding.fix else []
        lines += [f"{'':{width + 13}}{line}" for line in others]
    return "\n".join(lines)


def readable_size(number: float) -> str:
    """A number of bytes for people.

    Args:
        number: bytes.

    Returns:
        KiB, MiB or GiB.

    Example:
        >>> readable_size(64 * 2**20), readable_size(1.5 * 2**30)
        ('64 MiB', '1.5 GiB')
    """
    if number < 2**20:
        return f"{number / 2**10:.0f} KiB"
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"
