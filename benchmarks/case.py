"""A benchmark as data: what is called, on what, beside whom, and what is aimed at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, Literal

import torch

Function = Callable[..., Any]

SQUARES = [(n, n) for n in (64, 128, 256, 512, 1024)]
CUBES = [(n, n, n) for n in (32, 64, 96, 128, 192)]


@dataclass(frozen=True)
class Sizes:
    """How large the input is.

    Attributes:
        shape: spatial shape.
        batch: images at once.
        classes: classes of a segmentation, where there are some.
        iterations: steps of an iteration; costs are then per pixel-iteration.
    """

    shape: tuple[int, ...]
    batch: int = 1
    classes: int | None = None
    iterations: int = 1

    @property
    def pixels(self) -> int:
        """Pixels or voxels of one input."""
        return self.batch * math.prod(self.shape)

    @property
    def units(self) -> int:
        """Pixels, or pixel-iterations, of one call."""
        return self.pixels * self.iterations

    def small(self) -> Sizes:
        """The same kind of input, small enough for a test."""
        limit = 32 if len(self.shape) == 2 else 12
        shape = tuple(min(n, limit) for n in self.shape)
        return replace(self, shape=shape, batch=min(self.batch, 2), iterations=min(self.iterations, 3))

    def __str__(self) -> str:
        """For tables: 4 x 256 x 256, 3 classes."""
        text = " x ".join(str(n) for n in (self.batch, *self.shape))
        text += f", {self.classes} classes" if self.classes else ""
        return text + (f", {self.iterations} steps" if self.iterations > 1 else "")


@dataclass(frozen=True)
class Contender:
    """One way to compute the result.

    Attributes:
        run: called with the case's inputs; returns what was computed.
        memory: what can see its memory. `torch`: torch's allocators; `numpy`: these and Python's, as a sum;
            `unseen`: nothing, its memory is not reported.
        needs: module without which it cannot run; it is then listed as not installed.
        dims: numbers of spatial axes it can do; it does not appear at others.
    """

    run: Function
    memory: Literal["torch", "numpy", "unseen"] = "torch"
    needs: str | None = None
    dims: tuple[int, ...] = (2, 3)

    @property
    def installed(self) -> bool:
        """Whether it can run here."""
        return self.needs is None or find_spec(self.needs) is not None


@dataclass(frozen=True)
class Aim:
    """What one of our variants should reach against one peer.

    Attributes:
        ours: our variant.
        peer: the peer.
        speed: at least so many times as fast.
        memory: at most this part of the peer's memory.
        error: results differ at most by this much.
        part: takes at most this part of the peer's time.
        at: values of `Sizes` for which the aim is stated; empty for all.
    """

    ours: str
    peer: str
    speed: float | None = None
    memory: float | None = None
    error: float | None = None
    part: float | None = None
    at: Mapping[str, Any] = field(default_factory=dict)

    def applies(self, ours: str, peer: str, sizes: Sizes) -> bool:
        """Whether it is stated for this pair and size."""
        here = all(getattr(sizes, name) == value for name, value in self.at.items())
        return here and (ours, peer) == (self.ours, self.peer)

    def met(self, ratio: float, memory_ratio: float | None, error: float | None) -> bool:
        """Whether it is reached; what was not measured is not reached."""
        wanted = [
            self.speed is None or ratio >= self.speed,
            self.memory is None or (memory_ratio is not None and memory_ratio <= self.memory),
            self.error is None or (error is not None and error <= self.error),
            self.part is None or 1 / ratio <= self.part,
        ]
        return all(wanted)

    def __str__(self) -> str:
        """For tables."""
        parts = [
            None if self.speed is None else f"{self.speed:g} x as fast",
            None if self.memory is None else f"memory {self.memory:g} x",
            None if self.error is None else ("exact" if self.error == 0 else f"error below {self.error:g}"),
            None if self.part is None else f"below {100 * self.part:g} %",
        ]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class Case:
    """A benchmark: every one of our variants against every peer at every size.

    Attributes:
        name: what is measured.
        inputs: called with the sizes and the device; makes what the contenders are called with.
        ours: our variants.
        peers: the peers.
        sizes: the sizes.
        aims: what should be reached.
        difference: how far two results are apart; none if they are not the same quantity.
        unit: what a cost is per.
        memory_per_unit: memory grows with the iterations and is given per unit, not per pixel.
        devices: where it is worth running.
        plot: the sizes form a curve of cost against size, drawn rather than tabled.
    """

    name: str
    inputs: Callable[[Sizes, torch.device], Any]
    ours: Mapping[str, Contender]
    peers: Mapping[str, Contender]
    sizes: Sequence[Sizes]
    aims: Sequence[Aim] = ()
    difference: Callable[[Any, Any], float] | None = None
    unit: str = "pixel"
    memory_per_unit: bool = False
    devices: tuple[str, ...] = ("cpu", "cuda")
    plot: bool = False

    def aim(self, ours: str, peer: str, sizes: Sizes) -> Aim | None:
        """The aim of this pair at this size."""
        return next((aim for aim in self.aims if aim.applies(ours, peer, sizes)), None)
