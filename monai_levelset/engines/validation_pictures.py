"""A few validation cases with the contours of truth and prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys as Keys
from numpy.typing import NDArray
from torch import Tensor

from monai_levelset.report.drawing import Panel
from monai_levelset.report.overlay import middle_panel, overlay_figure

__all__ = ["ValidationPictures"]


class ValidationPictures:
    """Keep a few cases of a validation, spread over all, and draw them; of a volume, one slice.

    Args:
        count: how many; 0: none.
        colour: whether the first three channels of an image are a colour picture.

    Example:
        >>> pictures = ValidationPictures(1)
        >>> mask = torch.zeros(1, 32, 32)
        >>> mask[:, 8:20, 8:24] = 1
        >>> pictures.keep("case", {"image": torch.rand(1, 32, 32), "label": mask, "pred": mask})
        >>> pictures.draw().shape[2]
        3
    """

    def __init__(self, count: int = 4, *, colour: bool = False) -> None:
        self.count, self.colour = count, colour
        self.panels: list[Panel] = []
        self._seen, self._chosen = 0, set[int]()

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator that takes its mini-batches apart into cases."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._look)

    def draw(self) -> NDArray[Any] | None:
        """The cases kept, side by side, `(rows, columns, 3)` in bytes; None where there are none."""
        if not self.panels:
            return None
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figure = overlay_figure({"": self.panels}, crop=False)
        figure.set_dpi(120)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def keep(self, name: str, case: Mapping[str, Any]) -> None:
        """Keep what is drawn of a case.

        Args:
            name: its title.
            case: `image`, `pred` and perhaps `label`, each `(C, H, W[, D])`; several channels of `pred` are
                scores of classes.
        """
        image, prediction = case[Keys.IMAGE], _label_map(case[Keys.PRED])
        label = case.get(Keys.LABEL)
        truth = np.zeros_like(prediction) if label is None else _label_map(label)
        self.panels.append(middle_panel(self._picture(image), truth, prediction, title=name))

    def _begin(self, engine: Any) -> None:
        total = len(engine.data_loader.dataset)
        self.panels, self._seen = [], 0
        places = (np.arange(self.count) + 0.5) * total / max(self.count, 1)
        self._chosen = {int(place) for place in places}

    def _look(self, engine: Any) -> None:
        output, batch = engine.state.output, engine.state.batch
        for index, case in enumerate(output if isinstance(output, list) else []):
            if self._seen in self._chosen:
                self.keep(str(batch[index].get("id", self._seen)), case)
            self._seen += 1

    def _picture(self, image: Tensor) -> NDArray[Any]:
        if not self.colour:
            return image[0].cpu().float().numpy()
        values = image[:3].cpu().float().movedim(0, -1)
        low, high = values.amin((0, 1)), values.amax((0, 1))
        return ((values - low) / (high - low).clamp_min(1e-6)).numpy()


def _label_map(values: Tensor) -> NDArray[Any]:
    classes = values.argmax(0) if len(values) > 1 else values[0].round()
    return classes.to(torch.int16).cpu().numpy()
