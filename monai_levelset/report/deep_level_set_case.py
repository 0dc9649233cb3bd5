"""One case as the deep level set sees it: image, clicks, the network's maps, the contour at every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.metrics.overlap import case_metrics

if TYPE_CHECKING:
    from torch import Tensor

    from monai_levelset.losses import DeepLevelSetOutput
    from monai_levelset.networks.deep_level_set_network import DeepLevelSetNetwork


@dataclass(frozen=True, eq=False)
class DeepLevelSetCase:
    """What `click_figure` and `evolution_animation` draw.

    Attributes:
        image: `(rows, columns)` or `(rows, columns, 3)`, any value range; colours in [0, 1] or [0, 255].
        truth: mask `(rows, columns)`, > 0 inside.
        points: clicks `(4, 2)`, (row, column) in pixels, NaN where one is missing.
        phis: level sets phi_0, ..., phi_T, `(T + 1, rows, columns)`, pixels, > 0 inside. A network without
            evolution has one, the logit of its mask.
        maps: further maps by name, each `(rows, columns)`; `heatmap`, `confidence`, `modulation` and
            `probability` have titles of their own. May be empty.
        motion: field V, `(2, rows, columns)`, row and column component; the contour moves by -V, see
            `MotionForce`. None for a network without evolution.

    Raises:
        ValueError: shapes that do not fit, level sets that are not finite.

    Example:
        >>> y, x = np.mgrid[:32, :32] - 15.5
        >>> r = np.hypot(x, y)
        >>> case = DeepLevelSetCase(r, r < 8, np.full((4, 2), np.nan), np.stack([12 - r, 10 - r, 8 - r]))
        >>> case.steps, case.dice(case.phis[2])
        (2, 1.0)
    """

    image: NDArray[Any]
    truth: NDArray[Any]
    points: NDArray[Any]
    phis: NDArray[Any]
    maps: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    motion: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        if self.truth.ndim != 2:
            raise ValueError(f"`truth` must be a mask (rows, columns), got shape {self.truth.shape}.")
        shape = self.truth.shape
        if self.image.shape not in (shape, (*shape, 3)):
            raise ValueError(
                f"`image` must be {shape} like `truth`, or {(*shape, 3)} for a colour image, "
                f"got shape {self.image.shape}."
            )
        _check("points", self.points, (4, 2))
        if self.phis.ndim != 3 or len(self.phis) == 0:
            raise ValueError(f"`phis` must be (T + 1, rows, columns), got shape {self.phis.shape}.")
        _check("phis", self.phis, (len(self.phis), *shape))
        if not np.isfinite(self.phis).all():
            raise ValueError("`phis` must be finite; NaN or infinity has no contour.")
        for name, values in self.maps.items():
            _check(f"maps[{name!r}]", values, shape)
        if self.motion is not None:
            _check("motion", self.motion, (2, *shape))

    @property
    def steps(self) -> int:
        """T, 0 without evolution."""
        return len(self.phis) - 1

    def dice(self, phi: NDArray[Any]) -> float:
        """Dice of phi > 0, `(rows, columns)`, with the truth; 1 where both are empty."""
        return case_metrics(phi > 0, self.truth > 0, distances=False)["dice"]

    def transposed(self) -> DeepLevelSetCase:
        """Rows and columns exchanged: a case of axes (x, y), as pictures are loaded, the way they are shown.

        Example:
            >>> flat, points = np.zeros((4, 6)), np.arange(8.0).reshape(4, 2)
            >>> case = DeepLevelSetCase(flat, flat, points, flat[None])
            >>> turned = case.transposed()
            >>> turned.phis.shape, turned.points[0].tolist()
            ((1, 6, 4), [5.0, 4.0])
        """
        return DeepLevelSetCase(
            np.swapaxes(self.image, 0, 1),
            self.truth.T,
            self.points[[2, 3, 0, 1]][:, ::-1],
            np.swapaxes(self.phis, 1, 2),
            {name: values.T for name, values in self.maps.items()},
            None if self.motion is None else np.swapaxes(self.motion[::-1], 1, 2),
        )

    @classmethod
    def from_network(
        cls,
        network: DeepLevelSetNetwork,
        x: Tensor,
        truth: Any,
        points: Any,
        *,
        image_channels: int = 3,
        channels: Sequence[str] = ("heatmap", "confidence"),
    ) -> DeepLevelSetCase:
        """What a network makes of one input. It runs in evaluation mode and is given back as it was.

        Args:
            network: of any of the systems; without evolution or class probabilities there are fewer maps.
            x: its input `(C, H, W)`: the channels of the image, then those of the clicks.
            truth: mask `(H, W)` or `(1, H, W)`, array or tensor.
            points: clicks `(4, 2)` (row, column) in pixels of `x`, NaN where one is missing.
            image_channels: how many of the channels are the image: 3 are shown in colour, of any other number
                the first; normalised colours are brought back to [0, 1].
            channels: names of the channels that follow, in order; there may be fewer.

        Returns:
            The case, NumPy arrays.

        Raises:
            ValueError: `x` is not `(C, H, W)`, has no image or more channels than have names; otherwise see
                the class.

        Example:
            >>> import torch
            >>> from monai_levelset.networks import DeepLevelSetNetwork
            >>> net = DeepLevelSetNetwork(5, "resnet18", steps=2, width=0.125, skip_channels=8)
            >>> points = torch.tensor([[2.0, 12.0], [20.0, 12.0], [12.0, 2.0], [12.0, 20.0]])
            >>> case = DeepLevelSetCase.from_network(net, torch.rand(5, 24, 24), torch.ones(24, 24), points)
            >>> case.phis.shape, list(case.maps)
            ((3, 24, 24), ['heatmap', 'confidence', 'modulation', 'probability'])
        """
        _check_input(x, image_channels, channels)
        output, phis = _run(network, x)
        clicks = dict(zip(channels, _array(x[image_channels:]), strict=False))
        return cls(
            _picture(_array(x[:image_channels])),
            np.squeeze(_array(truth), 0) if np.ndim(truth) == 3 else _array(truth),
            _array(points),
            phis,
            clicks | _output_maps(output),
            None if output.motion is None else _array(output.motion[0]),
        )


def _check(name: str, values: NDArray[Any], shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise ValueError(f"`{name}` must have shape {shape}, got {values.shape}.")


def _check_input(x: Tensor, image_channels: int, channels: Sequence[str]) -> None:
    if x.ndim != 3:
        raise ValueError(f"`x` must be one input (C, H, W), got shape {tuple(x.shape)}.")
    if not 0 < image_channels <= len(x):
        raise ValueError(f"`image_channels` must be from 1 to the {len(x)} of `x`, got {image_channels}.")
    if len(x) - image_channels > len(channels):
        raise ValueError(
            f"`channels` names {len(channels)} maps, but `x` has {len(x) - image_channels} channels after "
            f"the image's {image_channels}; name them all, or correct `image_channels`."
        )


def _run(network: DeepLevelSetNetwork, x: Tensor) -> tuple[DeepLevelSetOutput, NDArray[Any]]:
    """Maps and level sets, `(T + 1, rows, columns)`, of one input."""
    import torch

    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            output = network.maps(x[None].to(next(network.parameters()).device))
            phis = output.phi if output.phi0 is None else network.trajectory(output)
    finally:
        network.train(training)
    return output, _array(phis[0])


def _output_maps(output: DeepLevelSetOutput) -> dict[str, NDArray[Any]]:
    maps = {"modulation": output.modulation, "probability": output.probability}
    return {name: _array(value[0, -1]) for name, value in maps.items() if value is not None}


def _array(values: Any) -> NDArray[Any]:
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _picture(channels: NDArray[Any]) -> NDArray[Any]:
    """`(rows, columns)` or `(rows, columns, 3)` of the image's channels `(C, rows, columns)`."""
    if len(channels) != 3:
        return channels[0]
    colours = np.moveaxis(channels, 0, -1)
    if colours.min() >= 0:
        return colours
    low, high = np.percentile(colours, (0.2, 99.8))
    return np.clip((colours - low) / max(high - low, 1e-9), 0, 1)
