"""What every table does: run its seeds, side by side if wanted, and average over them."""

from __future__ import annotations

import multiprocessing
import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


def run_seeds(
    run: Callable[..., Result], arguments: Sequence[tuple[Any, ...]], *, jobs: int = 1
) -> list[Result]:
    """Call a function once per seed, in this process or in several of one thread each.

    Args:
        run: a function of a module, so that other processes find it.
        arguments: its arguments per call.
        jobs: calls at the same time.

    Returns:
        The results in the order of the arguments.

    Example:
        >>> run_seeds(max, [(1, 2), (4, 3)])
        [2, 4]
    """
    if jobs == 1:
        return [run(*each) for each in arguments]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        jobs, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        return list(pool.map(run, *zip(*arguments, strict=True)))


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Mean, sample standard deviation (None for one seed) and the values.

    Example:
        >>> over_seeds([1.0, 3.0])
        {'mean': 2.0, 'sd': 1.4142135623730951, 'seeds': [1.0, 3.0]}
    """
    tensor = torch.tensor(values, dtype=torch.float64)
    sd = float(tensor.std()) if len(values) > 1 else None
    return {"mean": float(tensor.mean()), "sd": sd, "seeds": list(values)}


def command_line(name: str, data: Path, out: Path, seeds: int, epochs: int | None) -> str:
    """The command that makes a table.

    Example:
        >>> command_line("tang2017-lv", Path("my data"), Path("out"), 3, None)
        "monai-levelset reproduce tang2017-lv --data 'my data' --out out --seeds 3"
    """
    words = ["monai-levelset", "reproduce", name, "--data", str(data), "--out", str(out)]
    words += ["--seeds", str(seeds)] + (["--epochs", str(epochs)] if epochs is not None else [])
    return shlex.join(words)
