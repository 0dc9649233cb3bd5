"""Draws the pictures of the documentation: `python -m docs.gallery [NAME ...] [--out FOLDER]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import figures
from .panels import save

FOLDER = Path(__file__).resolve().parents[1] / "figures"


def main() -> None:
    """Parse the command line and draw."""
    known = figures()
    parser = argparse.ArgumentParser(
        prog="python -m docs.gallery", description="draw the documentation's pictures"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to draw; default: all")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the PNG files")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(known))
    if unknown:
        parser.error(f"no figure is called {', '.join(unknown)}; there are: {', '.join(known)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or known:
        colours = 255 if name.startswith("click_") else 96
        print(save(known[name](), options.out / f"{name}.png", colours=colours))


if __name__ == "__main__":
    main()
