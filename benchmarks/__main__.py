"""`python -m benchmarks`: measure, and write `latest.json`, `latest.md` and the figures."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny inputs: shows that everything runs")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--only", action="append", metavar="NAME", help="benchmarks whose name holds NAME")
    parser.add_argument(
        "--out", type=Path, help="default benchmarks/results; its folder quick or part if not all"
    )
    parser.add_argument("--figures", type=Path, help="default docs/figures; the folder of --out if not all")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and stop")
    options = parser.parse_args(arguments)
    published = not (options.quick or options.only)
    results = ROOT / "benchmarks" / "results"
    options.out = options.out or (results if published else results / ("quick" if options.quick else "part"))
    options.figures = options.figures or (ROOT / "docs" / "figures" if published else options.out)
    return options


def use_one_thread() -> None:
    """Before anything is imported: libraries read these variables when they are loaded."""
    for name in ("OMP_NUM", "MKL_NUM", "OPENBLAS_NUM", "NUMEXPR_NUM", "ITK_GLOBAL_DEFAULT_NUMBER_OF"):
        os.environ[f"{name}_THREADS"] = "1"
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the memory profiler's chatter


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: of the command line.

    Returns:
        The exit status: 0, also if an aim was missed; 1 if a benchmark failed; 2 for wrong arguments.
    """
    use_one_thread()
    import torch

    from . import cases, figures, report, runner

    options = parse(arguments)
    torch.set_num_threads(1)
    chosen = cases.select(options.only, options.device, everything=options.list)
    if not chosen or (options.device == "cuda" and not torch.cuda.is_available()):
        print(
            "error: no GPU was found"
            if chosen
            else f"error: no benchmark is called {options.only}, see --list"
        )
        return 2
    if options.list:
        print("\n".join(case.name for case in chosen))
        return 0
    device = torch.device(options.device)
    rows, failures, start = [], [], time.perf_counter()
    for case in chosen:
        try:
            for size, found in runner.rows_of(case, device, options.quick):
                rows += found
                print(f"{time.perf_counter() - start:5.0f} s  {case.name}, {size}", flush=True)
        except RuntimeError as error:
            failures.append(str(error))
            print(f"error: {error}", file=sys.stderr, flush=True)
    content = report.document(rows, device, options.quick, failures)
    written = [*report.write(content, options.out), *figures.draw(content["rows"], options.figures)]
    print(report.markdown(content))
    print("written:", *written)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
