"""Peak of live bytes against allocations counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.memory import highest, peak_bytes

CPU = torch.device("cpu")
KIB = 1024


def floats(kib: int) -> torch.Tensor:
    return torch.zeros(kib * KIB // 4)


def test_what_lives_at_once_counts_and_what_was_there_before_does_not() -> None:
    before = floats(64)

    def call() -> torch.Tensor:
        first = floats(8)  # 8
        second = floats(4)  # 12
        del first  # 4
        third = floats(6)  # 10
        return before[: len(third)] + third + second.sum()  # sum: 4 bytes; two more of 6 KiB: 22 KiB + 4

    assert peak_bytes(call, CPU, "torch") == 22 * KIB + 4


def test_tensors_that_autograd_keeps_count() -> None:
    # exp keeps its result (16 KiB) for the backward pass, which makes the gradient (16 KiB);
    # sum makes a scalar, its gradient is one more, which is expanded without memory
    x = floats(16).requires_grad_()
    peak = peak_bytes(lambda: torch.autograd.grad(x.exp().sum(), x), CPU, "torch")
    assert 32 * KIB <= peak <= 32 * KIB + 64


def test_views_and_in_place_work_are_free() -> None:
    x = floats(16)
    assert peak_bytes(lambda: x.view(2, -1).transpose(0, 1).add_(x.view(2, -1).T), CPU, "torch") == 0


def test_scratch_within_a_kernel_counts() -> None:
    # sort of 1024 float32: 4 KiB of values and 8 KiB of indices are returned
    x = floats(4)
    assert peak_bytes(lambda: x.sort(), CPU, "torch") >= 12 * KIB


def test_numpy_arrays_count_where_asked() -> None:
    def call() -> None:
        a = np.zeros(256 * KIB, np.uint8)
        b = np.zeros(128 * KIB, np.uint8)
        del a, b
        np.zeros(300 * KIB, np.uint8)

    assert peak_bytes(call, CPU, "numpy") == pytest.approx(384 * KIB, abs=4 * KIB)
    assert peak_bytes(call, CPU, "torch") == 0


def test_native_memory_is_not_reported() -> None:
    assert peak_bytes(lambda: None, CPU, "unseen") is None


def test_highest_sum_on_the_way() -> None:
    assert highest([]) == 0
    assert highest([-5, 3, 4]) == 2
    assert highest([1, 2, -3, 5, -1]) == 5
