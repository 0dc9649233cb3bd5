"""Refinement of a probability map by a level set: Tang et al. (2017), the level-set half of FCN-levelset."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from torch import Tensor

from monai_levelset.levelset import (
    CurvatureForce,
    EvolutionResult,
    Force,
    RegionForce,
    ShapePriorForce,
    StatefulForce,
    edge_indicator,
    evolve,
    heaviside,
    largest_components,
    signed_distance,
)


class LevelSetRefinement(Transform):
    """Evolve a contour from a probability map: smooth, near the probabilities, and shaped like a prior.

    E = nu E_shape + mu E_smooth + lambda E_data (Tang et al. 2017, eq. 1; the probability's log odds drive
    the data term). The contour starts from {p > 1/2}, of which only the largest component is kept (one object
    per image). If nothing exceeds 1/2, it starts from the upper half of the peak above the median, so that a
    faint object is not lost; unless that peak is not above `min_peak`: then the image is taken to be empty.

    Args:
        region_weight: lambda.
        curvature_weight: mu.
        shape_weight: nu; 0 leaves the prior out.
        prior: signed distances of one or more shapes `(K, 1, *spatial)`, or the path of a file that holds
            such a tensor (see `SaveShapePriors`). Needed if `shape_weight` > 0. A call uses one shape per
            image: the first, or drawn at random if `random_prior`.
        steps: iterations; the paper's figure 2 shows 50.
        dt: step size.
        residual_limit: the shape's pull grows no further beyond this distance, in pixels (or mm).
        reinitialize_every: steps between re-initialisations of phi.
        clip: largest |log odds| of the data term.
        min_peak: an image with no probability above this has no object.
        softness: half width, in pixels, of the boundary of the soft mask that `soft` returns.
        random_prior: draw the shape from torch's global generator, as in training.
        spacing: mm per pixel; default 1.
        edge_contrast: weigh the curve's length by b = 1/(1 + |grad I|^2/edge_contrast^2), so that it follows
            edges of the image; at this gradient, in intensity per mm, b = 1/2. Calls then need the image.
            The paper's b (its liver model) for grey values of 0-255 is 1, so 1/255 for images in [0, 1].
            None: b = 1 (its left-ventricle model).

    Raises:
        ValueError: a shape weight without a prior, a prior of a wrong shape, or `edge_contrast` not positive.
        FileNotFoundError: the prior's file does not exist.

    Example:
        >>> import torch
        >>> x = torch.arange(40.0) - 20
        >>> distance = (x[:, None] ** 2 + x**2).sqrt()[None, None]
        >>> probability = torch.sigmoid(10 - distance)
        >>> probability[..., 20:, 18:22] = 0.2  # a notch
        >>> refine = LevelSetRefinement(shape_weight=0.1, prior=10 - distance)
        >>> mask = refine(probability)
        >>> bool(mask[0, 0, 26, 20]), bool(probability[0, 0, 26, 20] > 0.5)
        (True, False)
    """

    def __init__(
        self,
        *,
        region_weight: float = 0.2,
        curvature_weight: float = 0.2,
        shape_weight: float = 0.0,
        prior: Tensor | str | Path | None = None,
        steps: int = 50,
        dt: float = 0.5,
        residual_limit: float | None = 4.0,
        reinitialize_every: int = 10,
        clip: float = 5.0,
        min_peak: float = 0.0,
        softness: float = 1.5,
        random_prior: bool = False,
        spacing: Sequence[float] | None = None,
        edge_contrast: float | None = None,
    ) -> None:
        self.region_weight, self.curvature_weight, self.shape_weight = (
            region_weight,
            curvature_weight,
            shape_weight,
        )
        self.prior = _read_prior(prior)
        if shape_weight > 0 and self.prior is None:
            raise ValueError("`shape_weight` > 0 needs a `prior`: give one, or set the weight to 0.")
        self.steps, self.dt, self.residual_limit, self.clip = steps, dt, residual_limit, clip
        self.reinitialize_every, self.min_peak, self.softness = reinitialize_every, min_peak, softness
        self.random_prior, self.spacing = random_prior, spacing
        if edge_contrast is not None and not edge_contrast > 0:
            raise ValueError(f"`edge_contrast` is a gradient and must be positive, got {edge_contrast}.")
        self.edge_contrast = edge_contrast

    def __call__(self, probability: Tensor, image: Tensor | None = None) -> Tensor:
        """The refined mask `(B, 1, *spatial)`, bool, of probabilities of the same shape.

        `image` is `(B, C, *spatial)` and only used with `edge_contrast`. An item whose evolution diverges, as
        it does from a NaN, keeps its initial mask.
        """
        return self.level_set(probability, image) > 0

    def soft(self, probability: Tensor, image: Tensor | None = None) -> Tensor:
        """The soft mask H(phi), `(B, 1, *spatial)` in [0, 1], to train on: 1/2 on the contour."""
        phi = self.level_set(probability, image)
        return heaviside(phi, self.softness).clamp(0, 1)  # its sine is out by an ulp

    def evolution(
        self, probability: Tensor, start: Tensor | None = None, *, image: Tensor | None = None
    ) -> EvolutionResult:
        """The whole result with codes; `start` overrides the initial mask `(B, 1, *spatial)`."""
        mask = self.initial_mask(probability) if start is None else start
        phi = signed_distance(mask, self.spacing).to(probability)
        return evolve(
            phi,
            self.forces(probability, image),
            steps=self.steps,
            dt=self.dt,
            spacing=self.spacing,
            reinitialize_every=self.reinitialize_every,
            record_energy=False,
        )

    @torch.no_grad()
    def level_set(self, probability: Tensor, image: Tensor | None = None) -> Tensor:
        """Phi after the last step, `(B, 1, *spatial)`, > 0 inside; where it diverges, as at the start."""
        start = self.initial_mask(probability)
        result = self.evolution(probability, start, image=image)
        diverged = result.diverged.view(-1, *(1,) * (probability.ndim - 1))
        return torch.where(diverged, signed_distance(start, self.spacing).to(result.phi), result.phi)

    def initial_mask(self, probability: Tensor) -> Tensor:
        """Where the contour starts, `(B, 1, *spatial)` of 0 and 1; see the class."""
        probability = probability.nan_to_num(0.0)
        peak = probability.flatten(1).amax(1).view(-1, *(1,) * (probability.ndim - 1))
        level = probability.flatten(1).median(1).values.view_as(peak)
        threshold = torch.where(peak > 0.5, 0.5, (level + peak) / 2)
        mask = (probability > threshold) & (peak > self.min_peak)
        return largest_components(mask).to(probability)

    def forces(self, probability: Tensor, image: Tensor | None = None) -> list[Force | StatefulForce]:
        """The three forces for these probabilities."""
        edge = self._edge(image)
        forces: list[Force | StatefulForce] = [
            RegionForce(probability, weight=self.region_weight, clip=self.clip, spacing=self.spacing),
            CurvatureForce(weight=self.curvature_weight, edge=edge, spacing=self.spacing),
        ]
        if self.shape_weight > 0:
            prior = self._choose_prior(len(probability)).to(probability)
            forces.append(
                ShapePriorForce(
                    prior,
                    weight=self.shape_weight,
                    residual_limit=self.residual_limit,
                    spacing=self.spacing,
                )
            )
        return forces

    def _edge(self, image: Tensor | None) -> Tensor | None:
        if self.edge_contrast is None:
            return None
        if image is None:
            raise ValueError("`edge_contrast` weighs the curve by the image's edges: pass the image too.")
        return edge_indicator(image, contrast=self.edge_contrast, spacing=self.spacing)

    def _choose_prior(self, batch: int) -> Tensor:
        assert self.prior is not None
        if self.random_prior:
            return self.prior[torch.randint(len(self.prior), (batch,))]
        return self.prior[:1]


class LevelSetRefinementd(MapTransform):
    """Dictionary form for one image at a time, the last step of a bundle's post-processing.

    Takes class probabilities `(C, *spatial)` with C of 1 (the foreground's) or 2 (background, foreground) and
    puts the refined mask `(1, *spatial)` in their place, with the metadata, so that `Invertd` and
    `SaveImaged` can follow. In a 3D volume `(C, H, W, D)` with `slicewise`, every slice along the last axis
    is evolved by itself, several in one batch.

    Args:
        keys: keys of the probabilities.
        image_key: key of the network's input on the same grid, read with `edge_contrast` only.
        slicewise: treat the last axis of 3D data as a batch of 2D slices.
        soft: put the soft mask H(phi) in place, 1/2 on the contour, to be interpolated to another grid and
            thresholded there.
        allow_missing_keys: see MONAI.
        kwargs: arguments of `LevelSetRefinement`.

    Raises:
        ValueError: more than two classes, or any error of `LevelSetRefinement`.

    Example:
        >>> import torch
        >>> data = {"pred": torch.full((2, 24, 24), 0.5)}
        >>> data["pred"][1, 8:16, 8:16], data["pred"][0, 8:16, 8:16] = 0.9, 0.1
        >>> LevelSetRefinementd("pred", curvature_weight=0.05)(data)["pred"].shape
        torch.Size([1, 24, 24])
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        image_key: str = "image",
        slicewise: bool = True,
        soft: bool = False,
        allow_missing_keys: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key, self.slicewise = image_key, slicewise
        self.refine = LevelSetRefinement(**kwargs)
        self._apply = self.refine.soft if soft else self.refine

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Refined copy of the dictionary."""
        refined = dict(data)
        image = None if self.refine.edge_contrast is None else _plain(data[self.image_key])
        for key in self.key_iterator(refined):
            refined[key] = self._refine(refined[key], image)
        return refined

    def _refine(self, probability: Tensor, image: Tensor | None) -> Tensor:
        if probability.shape[0] not in (1, 2):
            raise ValueError(f"One object against background is refined; got {probability.shape[0]} classes.")
        foreground = probability[-1:]
        plain = _plain(foreground)
        if plain.ndim == 4 and self.slicewise:
            mask = self._refine_slices(plain, image)
        else:
            mask = self._apply(plain[None], None if image is None else image[None])[0]
        return torch.zeros_like(foreground) + mask.to(foreground.dtype)

    def _refine_slices(self, probability: Tensor, image: Tensor | None) -> Tensor:
        parts = probability.permute(3, 0, 1, 2).split(12)
        images = [None] * len(parts) if image is None else image.permute(3, 0, 1, 2).split(12)
        masks = [self._apply(*pair) for pair in zip(parts, images, strict=True)]
        return torch.cat(masks).permute(1, 2, 3, 0)


def _plain(x: Tensor) -> Tensor:
    """Float tensor without gradient or metadata."""
    x = torch.as_tensor(x).detach().float()
    return x.as_tensor() if hasattr(x, "as_tensor") else x


def _read_prior(prior: Tensor | str | Path | None) -> Tensor | None:
    if prior is None or isinstance(prior, Tensor):
        tensor = prior
    elif not Path(prior).is_file():
        raise FileNotFoundError(
            f"{prior}: no shape prior here. Train the bundle, which writes it, or set `shape_weight` to 0."
        )
    else:
        tensor = torch.load(prior, weights_only=True)
    if tensor is not None and (tensor.ndim not in (4, 5) or tensor.shape[1] != 1):
        raise ValueError(f"Shape priors have the shape (K, 1, *spatial), got {tuple(tensor.shape)}.")
    return tensor
