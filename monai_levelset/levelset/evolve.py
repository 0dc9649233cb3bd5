"""The solver: moves a batch of level sets under a list of forces."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, partial
from typing import Any

import torch
import torch.utils.checkpoint
from torch import Tensor

from .distance import reinitialize
from .forces import Force, StatefulForce
from .geometry import check_spacing, spatial_dims
from .precision import wide


class ResultCode(IntEnum):
    """How the evolution of one item ended; `message` says what to do about it.

    Example:
        >>> ResultCode(2).name
        'DIVERGED'
        >>> ResultCode.DIVERGED.message.split(":")[0]
        'The level set grew without bound or became non-finite'
    """

    CONVERGED = 0
    STEP_LIMIT = 1
    DIVERGED = 2

    @property
    def message(self) -> str:
        """What happened and what to do next."""
        return _MESSAGES[self]


_MESSAGES = {
    ResultCode.CONVERGED: "The energy changed by less than `tolerance`: the contour has settled.",
    ResultCode.STEP_LIMIT: (
        "The step limit was reached before the energy settled. If the contour is still moving, increase "
        "`steps` or `dt`, or raise `tolerance` (0 never stops early)."
    ),
    ResultCode.DIVERGED: (
        "The level set grew without bound or became non-finite: its phi is the last good state, not a "
        "result. Decrease `dt` or the forces' weights, or check the inputs for NaN."
    ),
}


class EvolutionDivergedError(RuntimeError):
    """Raised when a mask is asked of an evolution that diverged."""


@dataclass(frozen=True)
class EvolutionResult:
    """What `evolve` returns.

    Attributes:
        phi: final level sets `(B, C, *spatial)`; of diverged items the last good state.
        code: `ResultCode` of each item, `(B,)` int64.
        energies: total energy per check, `(B, K)`, first before the first step; K = 0 if not recorded.
        steps: number of steps each item took, `(B,)` int64.
        states: the last state of each force, `None` for forces without.
    """

    phi: Tensor
    code: Tensor
    energies: Tensor
    steps: Tensor
    states: tuple[Any, ...]

    @property
    def diverged(self) -> Tensor:
        """Which items diverged, `(B,)` bool."""
        return self.code == ResultCode.DIVERGED

    @property
    def messages(self) -> list[str]:
        """The message of every item's code."""
        return [ResultCode(code).message for code in self.code.tolist()]

    def mask(self) -> Tensor:
        """The inside, phi > 0, `(B, C, *spatial)` bool.

        Returns:
            The masks.

        Raises:
            EvolutionDivergedError: an item diverged; the message names it.
        """
        bad = self.diverged.nonzero().flatten().tolist()
        if bad:
            raise EvolutionDivergedError(f"Items {bad} diverged. {ResultCode.DIVERGED.message}")
        return self.phi > 0


def evolve(
    phi: Tensor,
    forces: Sequence[Force | StatefulForce],
    *,
    steps: int = 50,
    dt: float = 0.5,
    spacing: Sequence[float] | None = None,
    reinitialize_every: int = 5,
    reinitialize_steps: int = 8,
    tolerance: float = 0.0,
    check_every: int = 10,
    record_energy: bool = True,
    checkpoint: bool = False,
    compile: bool = False,
) -> EvolutionResult:
    """Move level sets under forces: phi <- phi + dt (v_1 + v_2 + ...), explicit Euler.

    Items of a batch do not influence each other: one that has converged or diverged is frozen while the
    others go on. The same input gives the same output bit for bit; inputs are never changed; there is no
    hidden state. Differentiable through all steps, with respect to `phi` and to tensors inside the forces.
    Half precision and autocast are set aside: level sets move by fractions of a voxel, which need float32.
    Subclasses of tensors, such as MONAI's MetaTensor, come back plain.

    Main arguments:

    Args:
        phi: initial level sets `(B, C, *spatial)`, 2D or 3D, positive inside, best signed distances. C is 1
            but for forces that couple several level sets, such as `MultiphaseChanVeseForce`.
        forces: each either `Force` (phi -> velocity) or `StatefulForce` (with a state such as a pose).
        steps: number of steps at most.
        dt: step size. Explicit steps need dt mu < h^2/(2 D) for diffusive forces of weight mu.
        spacing: mm per voxel, used to re-initialise and to judge divergence; forces have their own.
        reinitialize_every: make phi a signed distance near the contour again after every so many steps; 0 for
            never. Forces with the compact delta (`kind="sine"`) act only where |phi| < eps: without
            re-initialisation their contour stops after moving about eps.
        reinitialize_steps: steps of each; the band they mend, `reinitialize_steps * min(spacing)/2` on either
            side, should be at least twice eps.
        tolerance: an item has converged when its energy changes between two checks by less than this part of
            its size. 0: take all steps.
        check_every: steps between two energy checks. Only here, and only if `tolerance` > 0, does the host
            wait for the device, to stop when no item is left moving.
        record_energy: return the energy at each check. Energies are detached.
        checkpoint: keep only phi and the states of each step for the backward pass, and compute the rest of
            the step again there: a fraction of the memory for about half more time.
        compile: run each step through `torch.compile`. Several times faster, but the first call with new
            shapes or new kinds of forces takes seconds.

    Returns:
        `EvolutionResult` with phi, code, energies, steps and states. An item whose phi is not finite at the
        start has the code `DIVERGED` and took no step.

    Raises:
        ValueError: phi has a wrong shape, a number is out of range, there is no force, or `tolerance` > 0 and
            no force has an energy; or a force's map has channels or items
            that phi has not.

    Example:
        >>> import torch
        >>> from monai_levelset.levelset import CurvatureForce, RegionForce, evolve, signed_distance
        >>> truth = torch.zeros(1, 1, 24, 24)
        >>> truth[..., 6:18, 6:18] = 1
        >>> start = torch.zeros_like(truth)
        >>> start[..., 9:14, 9:14] = 1
        >>> forces = [RegionForce(0.1 + 0.8 * truth), CurvatureForce(weight=0.2)]
        >>> result = evolve(signed_distance(start), forces, steps=50)
        >>> int((result.mask() != truth.bool()).sum()) <= 8
        True
    """
    h = check_spacing(spacing, spatial_dims(phi))
    _check_arguments(forces, steps, dt, reinitialize_every, tolerance, check_every)
    phi = wide(phi)
    with torch.autocast(phi.device.type, enabled=False):
        advance = _advance_function(checkpoint, compile)
        states = tuple(f.initial_state(phi) if isinstance(f, StatefulForce) else None for f in forces)
        bound = 10 * (_largest(phi) + _diagonal(phi, h))
        moving = bound.isfinite()
        code = torch.where(moving, int(ResultCode.STEP_LIMIT), int(ResultCode.DIVERGED))
        taken = torch.zeros_like(code)
        checks = record_energy or tolerance > 0
        energies = [_energy(phi, forces, states)] if checks else []
        for i in range(1, steps + 1):
            mend = reinitialize_steps if reinitialize_every and i % reinitialize_every == 0 else 0
            phi, states, good = advance(phi, states, moving, bound, forces, dt, h, mend)
            code = torch.where(moving & ~good, int(ResultCode.DIVERGED), code)
            moving = moving & good
            taken = taken + moving
            if checks and i % check_every == 0:
                energies.append(_energy(phi, forces, states))
                if tolerance > 0:
                    settled = moving & _settled(energies[-2], energies[-1], tolerance)
                    code = torch.where(settled, int(ResultCode.CONVERGED), code)
                    moving = moving & ~settled
                    if not moving.any():
                        break
        recorded = torch.stack(energies, 1) if record_energy else phi.new_zeros(phi.shape[0], 0)
        return EvolutionResult(phi, code, recorded, taken, states)


def _check_arguments(
    forces: Sequence[Force | StatefulForce],
    steps: int,
    dt: float,
    reinitialize_every: int,
    tolerance: float,
    check_every: int,
) -> None:
    if len(forces) == 0:
        raise ValueError("`forces` is empty: nothing would move. Give at least one force.")
    if steps < 0 or reinitialize_every < 0 or check_every < 1:
        raise ValueError("`steps` and `reinitialize_every` must be at least 0, `check_every` at least 1.")
    if not (dt > 0 and math.isfinite(dt)) or not tolerance >= 0:
        raise ValueError(f"`dt` must be positive and `tolerance` not negative, got {dt} and {tolerance}.")
    if tolerance > 0 and not any(hasattr(f, "energy") for f in forces):
        raise ValueError("`tolerance` needs a force with an energy; none has one. Set it to 0.")


def _diagonal(phi: Tensor, h: Sequence[float]) -> float:
    length: float = sum((n * s) ** 2 for n, s in zip(phi.shape[2:], h, strict=True)) ** 0.5
    return length


def _largest(phi: Tensor) -> Tensor:
    return phi.detach().flatten(1).abs().amax(1)


def _advance(
    phi: Tensor,
    states: tuple[Any, ...],
    moving: Tensor,
    bound: Tensor,
    forces: Sequence[Any],
    dt: float,
    h: tuple[float, ...],
    mend: int,
) -> tuple[Tensor, tuple[Any, ...], Tensor]:
    """One step of the items that move, with `mend` steps of re-initialisation; which of them stayed sane."""
    new, new_states = phi, []
    for force, state in zip(forces, states, strict=True):
        velocity, next_state = (force(phi), None) if state is None else force.step(phi, state)
        new = new + dt * velocity
        _check_moved(new, phi, force)
        new_states.append(next_state)
    if mend:
        new = reinitialize(new, h, steps=mend)
    good = _largest(new) <= bound
    keep = moving & good
    merged = tuple(_freeze_state(keep, a, b) for a, b in zip(new_states, states, strict=True))
    return _freeze(keep, new, phi), merged, good


def _check_moved(new: Tensor, phi: Tensor, force: Any) -> None:
    """Refuse a velocity that broadcasting would turn into more level sets than there are."""
    if torch.jit.is_tracing() or new.shape == phi.shape:
        return
    raise ValueError(
        f"{type(force).__name__} moves level sets of shape {tuple(phi.shape)} into {tuple(new.shape)}: the "
        "maps of a force need one channel for each level set, and there must be a level set for each item."
    )


def _advance_function(checkpoint: bool, compile: bool) -> Callable[..., Any]:
    step = _compiled_advance() if compile else _advance
    if not checkpoint:
        return step
    return partial(torch.utils.checkpoint.checkpoint, step, use_reentrant=False, preserve_rng_state=False)


@cache
def _compiled_advance() -> Callable[..., Any]:
    """The step, compiled once for each list of forces; torch's default would stop compiling at eight."""
    return torch._dynamo.config.patch(recompile_limit=64)(torch.compile(_advance))


@torch.no_grad()
def _energy(phi: Tensor, forces: Sequence[Any], states: Sequence[Any]) -> Tensor:
    total = phi.new_zeros(phi.shape[0])
    for force, state in zip(forces, states, strict=True):
        if hasattr(force, "energy"):
            total = total + (force.energy(phi) if state is None else force.energy(phi, state))
    return total


def _settled(before: Tensor, after: Tensor, tolerance: float) -> Tensor:
    size = torch.maximum(before.abs(), after.abs())
    return (after - before).abs() <= tolerance * size


def _freeze(moving: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(moving.view(-1, *(1,) * (new.ndim - 1)), new, old)


def _freeze_state(moving: Tensor, new: Any, old: Any) -> Any:
    if new is None:
        return None
    tensors = [_freeze(moving, a, b) for a, b in zip(new, old, strict=True)]
    return type(new)(*tensors) if hasattr(new, "_fields") else tuple(tensors)
