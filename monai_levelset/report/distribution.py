"""How a metric is spread over the cases, as a picture inside a web page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape

import numpy as np

_WIDTH, _HEIGHT, _LEFT, _RIGHT = 640, 92, 20, 20
_AXIS = 66  # its height in the picture
_ROWS = 7  # heights that dots of nearly the same value are spread over


def distribution_svg(values: Mapping[str, float], name: str, *, bounds: tuple[float, float]) -> str:
    """A dot per case over a box from the first to the third quartile, with the median.

    The picture needs nothing else: colours come from the page's variables `--blue`, `--ink` and `--line`, or
    are black. A dot says its case and value when it is pointed at, and the picture's text says what it shows.

    Args:
        values: case -> value.
        name: of the metric, with its unit.
        bounds: ends of the axis; values beyond them widen it.

    Returns:
        An SVG element.

    Raises:
        ValueError: there is no value.

    Example:
        >>> picture = distribution_svg({"a": 0.5, "b": 0.9, "c": 0.7}, "Dice", bounds=(0, 1))
        >>> picture.count("<circle"), "median 0.700" in picture
        (3, True)
    """
    if not values:
        raise ValueError("there is no value to draw")
    numbers = np.array(list(values.values()), dtype=float)
    low, high = min(bounds[0], float(numbers.min())), max(bounds[1], float(numbers.max()))
    low, high = (low, high) if high > low else (low, low + 1)
    first, median, third = (float(q) for q in np.quantile(numbers, (0.25, 0.5, 0.75)))

    def x(value: float) -> float:
        return round(_LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT), 1)

    text = (
        f"{name} of {len(numbers)} cases: median {median:.3f}, quartiles {first:.3f} and {third:.3f}, "
        f"from {numbers.min():.3f} to {numbers.max():.3f}"
    )
    box = f'<rect x="{x(first)}" y="6" width="{max(x(third) - x(first), 1):.1f}" height="{_AXIS - 12}"/>'
    middle = f'<path d="M{x(median)} 6V{_AXIS - 6}" stroke-width="3"/>'
    dots = "".join(_dot(case, value, x(value), row) for row, (case, value) in enumerate(_sorted(values)))
    return (
        f'<svg class="spread" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(text)}">'
        f'<g class="box">{box}{middle}</g>{_axis(low, high, x)}<g class="dots">{dots}</g></svg>'
    )


def _sorted(values: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(values.items(), key=lambda pair: pair[1])


def _dot(case: str, value: float, x: float, index: int) -> str:
    y = 12 + (index % _ROWS) * (_AXIS - 24) / (_ROWS - 1)
    return f'<circle cx="{x}" cy="{y:.1f}" r="4"><title>{escape(case)}: {value:.4g}</title></circle>'


def _axis(low: float, high: float, x: Callable[[float], float]) -> str:
    ticks = np.linspace(low, high, 5)
    labels = "".join(
        f'<text x="{x(float(t))}" y="{_HEIGHT - 6}" text-anchor="middle">{t:.3g}</text>' for t in ticks
    )
    return f'<path class="axis" d="M{_LEFT} {_AXIS}H{_WIDTH - _RIGHT}"/>{labels}'
