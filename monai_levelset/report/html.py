"""One self-contained HTML page with the result of an evaluation."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from monai_levelset.report.distribution import distribution_svg

_NAMES = {"dice": "Dice", "iou": "IoU", "rvd": "RVD", "hd": "HD", "hd95": "HD95", "asd": "ASD"}
_NAMES |= {"boundary_f": "boundary F", "precision": "precision", "recall": "recall"}
#: Metrics whose spread over the cases is drawn, where they are there, and the ends of their axis.
_SPREAD = {"dice": (0.9, 1.0), "hd95": (0.0, 0.0), "asd": (0.0, 0.0), "rc": (0.9, 1.0)}
_DISTANCES = ("hd", "hd95", "asd")
_SIGNED = ("rvd",)
_STYLE = """
:root { --ink: #1a1a1a; --soft: #595959; --line: #d9d9d9; --blue: #0072b2; --red: #b34a00; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; color: var(--ink); background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; padding: 0; list-style: none; }
.tiles li { flex: 1 1 8rem; border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .8rem; }
.tiles b { display: block; font-size: 1.35rem; }
.tiles span, figcaption, footer { color: var(--soft); font-size: .88rem; }
.tiles .bad b, tr.missed td:first-child { color: var(--red); }
figure { margin: 0; }
img { width: 100%; min-width: 40rem; height: auto; display: block; }
.scroll { overflow-x: auto; }
.narrow { max-width: 32rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th button { all: unset; cursor: pointer; font-weight: 600; color: var(--blue); padding: .3rem 0; }
th button:focus-visible { outline: 2px solid var(--blue); }
th[aria-sort=ascending] button::after { content: " \\25B2"; }
th[aria-sort=descending] button::after { content: " \\25BC"; }
svg.spread { width: 100%; max-width: 40rem; height: auto; display: block; font-size: 12px; }
svg.spread text { fill: var(--soft); } svg.spread .axis { stroke: var(--soft); }
svg.spread .box rect { fill: #dbe9f4; stroke: var(--blue); } svg.spread .box path { stroke: var(--ink); }
svg.spread circle { fill: var(--blue); fill-opacity: .75; stroke: #fff; }
tbody tr:hover { background: #f3f7fa; }
tr.missed { background: #fff4ec; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .7rem; background: #f5f5f5; }
"""
_SCRIPT = """
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const value = (row, i) => { const t = row.cells[i].dataset.value ?? row.cells[i].textContent;
    return i && t !== '' && !isNaN(t) ? Number(t) : t; };
  heads.forEach((head, i) => head.firstChild.addEventListener('click', () => {
    const up = head.getAttribute('aria-sort') !== 'ascending';
    heads.forEach(h => h.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const order = (a, b) => { const x = value(a, i), y = value(b, i);
      return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1); };
    body.append(...[...body.rows].sort(order));
  }));
}
"""


def html_report(
    summary: Mapping[str, Any],
    *,
    picture: str | Path | None = None,
    evolution: str | Path | None = None,
    title: str = "Segmentation evaluation",
) -> str:
    """Build the page: key numbers, pictures, mean ± sd, spread and a sortable row per case, and its origin.

    Nothing is loaded from elsewhere: style, script and picture are inside the page.

    Args:
        summary: of :func:`~monai_levelset.metrics.summary.summarize`, optionally with ``unit`` of
            the distances (default mm), ``command``, ``versions`` (name -> version) and ``extra`` (predictions
            without a label).
        picture: a PNG file with the cases' contours to embed.
        evolution: a PNG file that shows a level set move.
        title: of the page.

    Returns:
        The page.
    """
    parts = [f"<h1>{escape(title)}</h1>", _tiles(summary)]
    if picture is not None:
        caption = "Ground truth in blue, prediction in red; the number is the Dice of the case."
        parts.append(_figure("Cases", picture, "Contours on best, median and worst cases", caption))
    if evolution is not None:
        caption = "From the initial contour to the final one, on the case with the median Dice."
        parts.append(_figure("How the level set moved", evolution, "Contours of a level set", caption))
    parts += [_means(summary), _spread(summary), _cases(summary), _origin(summary)]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    )
    body = "\n".join(parts)
    body += f"\n<script>{_SCRIPT}</script>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def _figure(title: str, picture: str | Path, alt: str, caption: str) -> str:
    data = base64.b64encode(Path(picture).read_bytes()).decode()
    image = f'<img alt="{alt}" src="data:image/png;base64,{data}">'
    figure = f'<div class="scroll">{image}</div><figcaption>{caption}</figcaption>'
    return f"<h2>{title}</h2><figure>{figure}</figure>"


def _spread(summary: Mapping[str, Any]) -> str:
    cases = summary["cases"]
    pictures = [
        f"<h3>{_head(key, summary)}</h3>"
        + distribution_svg({case["id"]: case[key] for case in cases}, _head(key, summary), bounds=bounds)
        for key, bounds in _SPREAD.items()
        if key in cases[0]
    ]
    note = "A dot per case; the box holds the middle half of them, the line is their median."
    return f"<h2>Spread over cases</h2><p>{note}</p>{''.join(pictures)}" if pictures else ""


def _head(metric: str, summary: Mapping[str, Any]) -> str:
    kind, structure = _parts(metric)
    unit = f" ({summary.get('unit', 'mm')})" if kind in _DISTANCES else ""
    return escape(f"{_NAMES.get(kind, kind)} {structure}".strip() + unit)


def _parts(metric: str) -> tuple[str, str]:
    """Metric and structure: `dice_cup` is the Dice of the cup, `boundary_f` of everything."""
    kind = next((name for name in _NAMES if metric.startswith(f"{name}_")), metric)
    return kind, metric[len(kind) + 1 :]


def _number(metric: str, value: float) -> str:
    """Where the sign says too small or too large it is always printed."""
    return f"{value:+.4f}" if _parts(metric)[0] in _SIGNED else f"{value:.4f}"


def _tiles(summary: Mapping[str, Any]) -> str:
    tiles = [
        f"<li><b>{mean:.3f}</b><span>mean {_head(key, summary)}, sd {summary['sd'][key]:.3f}</span></li>"
        for key, mean in summary["mean"].items()
        if key in ("dice", "iou", "hd95")
    ]
    tiles.append(f"<li><b>{summary['n']}</b><span>cases</span></li>")
    bad = ' class="bad"' if summary["missed"] else ""
    tiles.append(f"<li{bad}><b>{summary['missed']}</b><span>missed (empty or no prediction)</span></li>")
    return f'<ul class="tiles">{"".join(tiles)}</ul>'


def _means(summary: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{_head(key, summary)}</td><td>{_number(key, mean)}</td>"
        f"<td>{summary['sd'][key]:.4f}</td></tr>"
        for key, mean in summary["mean"].items()
    )
    head = "<tr><th>metric</th><th>mean</th><th>sd</th></tr>"
    table = f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"
    return f'<h2>Mean over cases</h2><div class="narrow">{table}</div>'


def _cases(summary: Mapping[str, Any]) -> str:
    cases = summary["cases"]
    keys = list(cases[0])
    names = [_head(key, summary) for key in keys]
    head = "".join(f'<th scope="col"><button type="button">{name}</button></th>' for name in names)
    rows = "".join(_case(case, keys) for case in cases)
    table = f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<h2>Every case</h2><p>Tap a heading to sort.</p><div class="scroll">{table}</div>'


def _case(case: Mapping[str, Any], keys: Sequence[str]) -> str:
    kind = ' class="missed"' if case.get("missed") else ""
    return f"<tr{kind}>{''.join(_cell(key, case[key]) for key in keys)}</tr>"


def _cell(key: str, value: Any) -> str:
    if isinstance(value, float):
        return f'<td data-value="{value!r}">{_number(key, value)}</td>'
    return f"<td>{escape(str(value))}</td>"


def _origin(summary: Mapping[str, Any]) -> str:
    extra = summary.get("extra", [])
    note = f"<p>Predictions without a label, not scored: {escape(', '.join(extra))}.</p>" if extra else ""
    command = f"<pre>{escape(summary['command'])}</pre>" if summary.get("command") else ""
    versions = ", ".join(f"{name} {version}" for name, version in summary.get("versions", {}).items())
    rule = (
        "If exactly one of truth and prediction is empty, overlaps are 0 and distances the image diagonal; "
        "if both are, overlaps are 1 and distances 0."
    )
    if "tolerance" in summary:
        rule += (
            " Boundary F is the share of the contours that agree within "
            f"{summary['tolerance']:g} {summary.get('unit', 'mm')}."
        )
    if "rvd" in summary["mean"]:
        rule += (
            " RVD, the relative volume difference, is signed: below 0 the prediction is too small, -1 if it "
            "is empty; above 0 it is too large, +1 if only the truth is empty. Errors of both kinds cancel "
            "in its mean."
        )
    return f"<h2>How this was made</h2>{note}{command}<footer><p>{rule}</p><p>{escape(versions)}</p></footer>"
