"""Ratios, costs and aims of the benchmark's lines, from made-up measurements and a made-up clock."""

from __future__ import annotations

from itertools import cycle

import pytest
import torch

from benchmarks.case import Aim, Case, Contender, Sizes
from benchmarks.clock import Effort, cpu_clock, in_turns
from benchmarks.row import Measurement, Pair, make_row


def case(**options) -> Case:
    contender = Contender(lambda inputs: inputs)
    return Case(
        name="made up",
        inputs=lambda sizes, device: torch.zeros(sizes.shape),
        ours={"eager": contender},
        peers={"other": contender},
        sizes=[Sizes((10, 10), batch=2, iterations=5)],
        **options,
    )


PAIR = Pair("eager", "other", difference=0.5)
OURS = Measurement([4e-6, 2e-6, 3e-6], peak=2000)
PEER = Measurement([9e-6, 6e-6, 7e-6], peak=8000)


def test_costs_are_nanoseconds_per_unit_and_ratios_are_of_the_lowest_times() -> None:
    # 2 images of 10 x 10 pixels, 5 steps: 1000 pixel-iterations, but memory of 200 pixels
    made = case()
    row = make_row(made, made.sizes[0], PAIR, OURS, PEER, device="cpu", threads=1)
    assert row.units == 1000
    assert (row.ours, row.ours_median) == pytest.approx((2.0, 3.0))
    assert (row.peer, row.peer_median) == pytest.approx((6.0, 7.0))
    assert row.ratio == pytest.approx(3.0)
    assert (row.bytes_per_pixel, row.peer_bytes_per_pixel, row.memory_ratio) == (10.0, 40.0, 0.25)
    assert (row.difference, row.aim, row.met, row.note) == (0.5, None, None, "")
    assert row.sizes == {"shape": [10, 10], "batch": 2, "classes": None, "iterations": 5}


def test_memory_that_grows_with_the_steps_is_given_per_step() -> None:
    made = case(memory_per_unit=True)
    assert make_row(made, made.sizes[0], PAIR, OURS, PEER).bytes_per_pixel == 2.0


@pytest.mark.parametrize(
    ("aim", "met"),
    [
        (Aim("eager", "other", speed=3.0), True),
        (Aim("eager", "other", speed=3.1), False),
        (Aim("eager", "other", part=0.34), True),
        (Aim("eager", "other", part=0.33), False),
        (Aim("eager", "other", speed=2.0, memory=0.25), True),
        (Aim("eager", "other", speed=2.0, memory=0.2), False),
        (Aim("eager", "other", error=0.5), True),
        (Aim("eager", "other", error=0.4), False),
        (Aim("compiled", "other", speed=99), None),
        (Aim("eager", "other", speed=99, at={"batch": 12}), None),
    ],
)
def test_an_aim_is_met_when_all_of_it_is(aim: Aim, met: bool | None) -> None:
    made = case(aims=[aim])
    row = make_row(made, made.sizes[0], PAIR, OURS, PEER)
    assert row.met is met
    assert (row.aim is None) == (met is None)


def test_a_peer_that_is_not_installed_leaves_a_line_that_says_so() -> None:
    made = case(aims=[Aim("eager", "other", speed=2)])
    row = make_row(made, made.sizes[0], Pair("eager", "other"), OURS, None)
    assert (row.peer, row.ratio, row.memory_ratio, row.met, row.note) == (
        None,
        None,
        None,
        None,
        "not installed",
    )
    assert not Contender(print, needs="no_such_module").installed
    assert Contender(print, needs="numpy").installed


def test_memory_that_cannot_be_seen_misses_an_aim_about_it() -> None:
    made = case(aims=[Aim("eager", "other", memory=0.5)])
    assert make_row(made, made.sizes[0], PAIR, OURS, Measurement([1.0], peak=None)).met is False


def test_functions_take_turns_and_short_ones_are_called_several_times_per_sample() -> None:
    # seconds of one call; the clock adds 10 % in every second round to both alike
    cost, order = {"ours": 0.25, "peer": 2.0}, []
    noise = {name: cycle([1.0, 1.0, 1.1]) for name in cost}

    def clock(call, times: int) -> float:
        name = call()
        order.append((name, times))
        return times * cost[name] * next(noise[name])

    calls = {name: lambda name=name: name for name in cost}
    samples = in_turns(calls, clock, Effort(rounds=2, sample=1.0, budget=100.0))
    assert order == [("ours", 1), ("peer", 1), ("ours", 4), ("peer", 1), ("ours", 4), ("peer", 1)]
    assert samples == {"ours": pytest.approx([0.25, 0.275]), "peer": pytest.approx([2.0, 2.0, 2.2])}


def test_slow_functions_end_with_the_budget_but_not_before_the_least_rounds() -> None:
    samples = in_turns({"slow": lambda: None}, lambda call, times: 10.0, Effort(budget=1.0, least_rounds=3))
    assert samples == {"slow": [10.0] * 4}


def test_the_cpu_clock_does_not_count_waiting() -> None:
    import time

    assert cpu_clock(lambda: time.sleep(0.05), 2) < 0.05
    assert cpu_clock(lambda: sum(range(1_000_000)), 2) > 0.001
