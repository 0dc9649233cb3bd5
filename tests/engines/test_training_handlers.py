"""What a training says, writes and draws while it runs: progress, table, curves, TensorBoard."""

from __future__ import annotations

import csv
import io
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import decollate_batch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_levelset.engines import TrainingBoard, TrainingHistory, TrainingProgress
from monai_levelset.engines import training_progress as progress_module
from monai_levelset.engines.training_scalars import training_scalars, validation_scalars
from monai_levelset.engines.validation_pictures import ValidationPictures

BUDGET, INTERVAL = 10, 4


def run(toys: ModuleType, folder: Path, budget: int = BUDGET, *, resume: bool = False) -> dict[str, Any]:
    """A joint training with all three; it is validated after 3, 6, 9 and the last update."""
    pieces: dict[str, Any] = toys.joint_run(folder, 50, max_updates=budget, resume=resume)
    handlers = [
        TrainingProgress(INTERVAL, pieces["best"]),
        TrainingHistory(folder, INTERVAL),
        TrainingBoard(folder, INTERVAL),
    ]
    for handler in handlers:
        handler.attach(pieces["trainer"])
        handler.attach(pieces["evaluator"])
    pieces["trainer"].run()
    return pieces


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def board(folder: Path) -> EventAccumulator:
    (file,) = folder.glob("events.*")
    events = EventAccumulator(str(file))
    events.Reload()
    return events


@pytest.fixture(scope="module")
def trained(toys: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    run(toys, folder)
    return folder


def test_lines_where_there_is_no_terminal(
    toys: ModuleType, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(toys, tmp_path)
    said = capfd.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    updates = [line for line in lines if line.startswith("update ")]
    form = r"update (\d+)/10: loss \d\.\d{4}, learning rate \S+, peak memory \d+\.\d GB, \d\d:\d\d left"
    assert [int(re.fullmatch(form, line)[1]) for line in updates] == [4, 8, 10]  # type: ignore[index]
    rows = {int(row["update"]): row for row in table(trained)}
    assert [f"loss {float(rows[n]['loss']):.4f}" in line for n, line in zip((4, 8, 10), updates, strict=True)]
    validations = [line for line in lines if line.startswith("validation ")]
    scores = [float(rows[n]["score"]) for n in (3, 6, 9, 10)]
    for number, (update, line) in enumerate(zip((3, 6, 9, 10), validations, strict=True)):
        best = max(scores[: number + 1])
        new = number == 0 or scores[number] > max(scores[:number])
        mark = "the best so far" if new else f"best so far {best:.4f}"
        assert line == f"validation after update {update}: score {scores[number]:.4f} ({mark})"
    assert len(lines) == len(updates) + len(validations)


def test_one_bar_in_a_terminal(toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    run(toys, tmp_path)
    shown = terminal.getvalue()
    last = [line for line in re.split(r"[\r\n]", shown) if line.startswith("training:")][-1]
    assert "10/10" in last
    assert re.search(r"loss \d\.\d{4}, learning rate", last)
    assert "update 4/10" not in shown
    assert shown.count("validation after update") == 4


def test_losses_are_read_at_each_interval_only(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def reading(engine: Any) -> dict[str, float]:
        read.append(engine.state.updates)
        return training_scalars(engine)

    monkeypatch.setattr(progress_module, "training_scalars", reading)
    run(toys, tmp_path)
    assert read == [4, 8, 10]


def test_history_is_a_table_and_a_figure(trained: Path) -> None:
    rows = table(trained)
    assert list(rows[0]) == ["update", "score", "loss", "learning_rate"]
    assert [int(row["update"]) for row in rows] == [3, 4, 6, 8, 9, 10]
    assert [int(row["update"]) for row in rows if row["score"]] == [3, 6, 9, 10]
    assert [int(row["update"]) for row in rows if row["loss"]] == [4, 8, 10]
    with Image.open(trained / "curves.png") as picture:
        assert min(picture.size) > 300
        assert np.asarray(picture.convert("L")).std() > 5
    assert not [path for path in trained.iterdir() if path.name.startswith(".")]


def test_a_resumed_run_goes_on_with_the_rows_of_before(
    toys: ModuleType, trained: Path, tmp_path: Path
) -> None:
    run(toys, tmp_path, 7)
    assert [int(row["update"]) for row in table(tmp_path)][-1] == 7
    run(toys, tmp_path, resume=True)
    rows = {row["update"]: row for row in table(tmp_path)}
    expected = {row["update"]: row for row in table(trained)}
    reached = torch.load(trained / "run.pt", weights_only=True)["trainer"]["updates"]
    assert set(expected) <= set(rows)
    assert reached > 1
    for update, row in expected.items():
        for name, value in row.items():
            assert rows[update][name] == value, (update, name)


def test_a_new_run_does_not_go_on_with_old_rows(toys: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("update,loss\n1,77.0\n")
    run(toys, tmp_path, 4)
    assert "77.0" not in [row["loss"] for row in table(tmp_path)]


def test_tensorboard_counts_updates(trained: Path) -> None:
    events = board(trained)
    assert set(events.Tags()["scalars"]) == {"loss", "learning_rate", "score"}
    assert [event.step for event in events.Scalars("loss")] == [4, 8, 10]
    assert [event.step for event in events.Scalars("score")] == [3, 6, 9, 10]
    rows = {int(row["update"]): row for row in table(trained)}
    for event in events.Scalars("loss"):
        assert event.value == pytest.approx(float(rows[event.step]["loss"]), rel=1e-5)


def test_parts_of_the_loss_and_learning_rate() -> None:
    output = {"image": torch.zeros(1, 1, 4, 4), "loss": torch.tensor(3.0), "boundary": torch.tensor(1.0)}
    groups = [{"lr": 0.1}, {"lr": 1.0}]
    engine: Any = SimpleNamespace(
        state=SimpleNamespace(output=[output], metrics={"dice": 0.5, "per_class": torch.zeros(3)}),
        optimizer=SimpleNamespace(param_groups=groups),
    )
    assert training_scalars(engine) == {"loss": 3.0, "boundary": 1.0, "learning_rate": 0.1}
    assert validation_scalars(engine) == {"dice": 0.5}


def case(size: tuple[int, ...], channels: int = 1) -> dict[str, torch.Tensor]:
    label = torch.zeros(1, *size)
    label[(slice(None), slice(8, 20), slice(10, 22))] = 1
    return {"image": torch.rand(channels, *size), "label": label, "pred": label.roll(4, 1)}


def coloured(picture: Any, channel: int) -> int:
    """Pixels in which one of red, green, blue is far above the others."""
    others = np.delete(picture.astype(int), channel, 2).max(2)
    return int((picture[..., channel].astype(int) - others > 80).sum())


@pytest.mark.parametrize("size", [(32, 32), (32, 32, 5)])
def test_truth_in_blue_and_prediction_in_red(size: tuple[int, ...]) -> None:
    pictures = ValidationPictures(1)
    pictures.keep("a", case(size))
    picture = pictures.draw()
    assert picture is not None
    assert picture.dtype == np.uint8
    assert coloured(picture, 0) > 50
    assert coloured(picture, 2) > 50


def test_pictures_without_truth_of_scores_and_in_colour() -> None:
    scores = torch.stack([torch.zeros(32, 32), case((32, 32))["label"][0]])
    pictures = ValidationPictures(1, colour=True)
    pictures.keep("a", {"image": torch.rand(3, 32, 32) * 9 - 4, "label": None, "pred": scores})
    (panel,) = pictures.panels
    assert panel.image is not None
    assert panel.image.shape == (32, 32, 3)
    assert (panel.image.min(), panel.image.max()) == (0, 1)
    assert [int(mask.sum()) for mask in panel.contours.values()] == [0, 144]


def test_the_cases_drawn_are_few_and_spread_over_all() -> None:
    pictures = ValidationPictures(4)
    dataset = [{**case((16, 32)), "id": str(k)} for k in range(11)]
    engine: Any = SimpleNamespace(data_loader=SimpleNamespace(dataset=dataset), state=SimpleNamespace())
    for _ in range(2):  # of the validation before, nothing is left
        pictures._begin(engine)
        for batch in torch.utils.data.DataLoader(dataset, batch_size=3):  # type: ignore[arg-type]
            engine.state.batch = engine.state.output = decollate_batch(batch)
            pictures._look(engine)
        assert [panel.title for panel in pictures.panels] == ["1", "4", "6", "9"]
