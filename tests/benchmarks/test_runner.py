"""A whole run of made-up benchmarks: which rows there are, and what the files hold."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks.case import Aim, Case, Contender, Sizes
from benchmarks.clock import QUICK
from benchmarks.figures import curves, draw
from benchmarks.report import document, write
from benchmarks.runner import run_case

CPU = torch.device("cpu")
KEYS = {"name", "sizes", "ours", "peer", "ratio", "peak_bytes", "threads", "device"}


def square_case(**options) -> Case:
    return Case(
        name="square",
        inputs=lambda sizes, device: torch.arange(float(sizes.units), device=device),
        ours={"eager": Contender(torch.square), "slow": Contender(lambda x: torch.stack([x] * 50).prod(0))},
        peers={
            "product": Contender(lambda x: (x * x).neg()),
            "flat only": Contender(lambda x: x * x, dims=(2,)),
            "absent": Contender(torch.square, needs="no_such_module"),
        },
        aims=[Aim("eager", "product", memory=0.5)],
        difference=lambda ours, peer: float((ours.abs() - peer.abs())[:2].max()),
        **options,
    )


def rows(sizes: Sizes, **options) -> list:
    made = square_case(sizes=[sizes], **options)
    return run_case(made, CPU, QUICK, sizes)


def test_every_variant_meets_every_peer_that_can_do_the_size() -> None:
    flat, solid = rows(Sizes((32, 32))), rows(Sizes((8, 8, 8)))
    assert [(row.variant, row.peer_name) for row in solid] == [
        (ours, peer) for ours in ("eager", "slow") for peer in ("product", "absent")
    ]
    assert len(flat) == 6
    assert {row.note for row in flat if row.peer_name == "absent"} == {"not installed"}
    assert {row.device for row in flat} == {"cpu"}
    assert {row.threads for row in flat} == {1}


def test_rows_hold_what_was_measured() -> None:
    first = rows(Sizes((32, 32)))[0]
    assert first.peak_bytes == 4 * 1024  # the squares
    assert first.peer_peak_bytes == 8 * 1024  # the products, and their negatives
    assert (first.memory_ratio, first.met, first.difference) == (0.5, True, 0.0)
    assert first.ours > 0
    assert first.ratio == pytest.approx(first.peer / first.ours)
    assert first.ours_median >= first.ours


def test_a_contender_that_fails_is_named() -> None:
    made = Case(
        "broken", lambda sizes, device: None, {"eager": Contender(lambda x: x + 1)}, {}, [Sizes((4, 4))]
    )
    with pytest.raises(RuntimeError, match=r"'broken': 'eager' failed: unsupported operand"):
        run_case(made, CPU, QUICK, made.sizes[0])


def test_files_hold_the_agreed_keys_and_a_table_that_says_what_was_missed(tmp_path) -> None:
    content = document(rows(Sizes((32, 32))), CPU, quick=True, failures=["'x' failed: y"])
    json_path, markdown_path = write(content, tmp_path / "new")
    stored = json.loads(json_path.read_text())
    assert stored == content
    assert all(row.keys() >= KEYS for row in stored["rows"])
    assert {"torch", "scipy", "monai-levelset", "python"} <= stored["versions"].keys()
    assert stored["machine"].keys() == {"processor", "cores", "memory_gib", "system", "accelerator"}
    text = markdown_path.read_text()
    assert "**quick**" in text
    assert "**Failed:** 'x' failed: y" in text
    table = [line for line in text.splitlines() if line.startswith("| square")]
    assert len(table) == 6
    assert all(line.count("|") == 14 for line in table)
    assert "| memory 0.5 x | yes |" in table[0]
    assert "| absent (not installed) |  |" in table[2]


def test_the_host_is_not_named() -> None:
    import platform

    assert platform.node() not in json.dumps(document([], CPU, quick=False, failures=[]))


def test_points_of_a_curve_are_drawn_and_tabled_apart(tmp_path) -> None:
    made = [row for n in (8, 16, 4) for row in rows(Sizes((n, n)), plot=True)]
    made += [row for n in (4, 8) for row in rows(Sizes((n, n, n)), plot=True)]
    content = document(made, CPU, quick=False, failures=[])
    flat = curves(content["rows"], "square", 2)
    assert list(flat) == ["ours, eager", "ours, slow", "product", "flat only"]
    assert [side for side, _ in flat["ours, eager"]] == [4, 8, 16]
    assert [side for side, _ in curves(content["rows"], "square", 3)["product"]] == [4, 8]
    (path,) = draw(content["rows"], tmp_path)
    assert path.name == "benchmark_square.png"
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert "## Cost against size" in write(content, tmp_path)[1].read_text()
