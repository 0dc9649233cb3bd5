"""Corrections by further clicks: the contour of a probability map is drawn to them by a level set."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from torch import Tensor

from monai_levelset.levelset import (
    ClickForce,
    CurvatureForce,
    Force,
    RegionForce,
    evolve,
    heaviside,
    reinitialize,
    signed_distance,
)
from monai_levelset.levelset.distance import subcell_distance
from monai_levelset.levelset.forces.click import squared_distances
from monai_levelset.transforms.click_hold import hold_pixels


class ClickRefinement(Transform):
    """Move the contour p = 1/2 of probability maps to a user's further clicks, and only near them.

    A contour click is the object's last pixel: it is inside, and a pixel beside it is not. A background click
    is outside. The level set starts as the signed distance of {p > 1/2} and evolves under `ClickForce`, if
    wanted with the probabilities' region force and with curvature near the clicks. What this leaves of a
    click's error is then taken away exactly, see `hold_pixels`. The result is a probability whose contour is
    the level set's; from three to four radii around the clicks it goes over into the given one.

    Every click holds, whatever the others are, with one exception: where a background click lies on a contour
    click, less than a pixel of the image away, the background click wins. Their order does not matter.
    Background clicks outside the map are ignored, as they are outside anyway; those that are outside the
    contour already change nothing. A click more than about two radii deep in the object cuts out a hole.

    Args:
        radius: how far along the contour a click is felt, in pixels of the map, see `ClickForce`. The object
            fills about 180 of 256 pixels of a crop.
        reach: for a click outside the contour the radius is this part of the distance, where that is larger,
            but at most twice `radius`: a narrow one would make an island.
        region_weight: pull of the probabilities, see `RegionForce`; 0 for none. It pulls against the clicks
            where the network is certain and wrong.
        curvature_weight: smoothness near the clicks, see `CurvatureForce`; 0 for none.
        steps: of the evolution.
        dt: step size.

    Raises:
        ValueError: on calling, shapes that do not fit.

    Example:
        >>> x = torch.arange(64.0) - 32
        >>> disc = torch.sigmoid(20 - (x[:, None] ** 2 + x**2).sqrt())[None, None]
        >>> clicks = torch.tensor([[[32.0, 57.0]]])
        >>> moved = ClickRefinement(radius=6.0)(disc, clicks) > 0.5
        >>> moved[0, 0, 32, 55:60].tolist(), bool((moved == (disc > 0.5))[..., :32].all())
        ([True, True, True, False, False], True)
    """

    def __init__(
        self,
        *,
        radius: float = 24.0,
        reach: float = 0.6,
        region_weight: float = 0.0,
        curvature_weight: float = 0.0,
        steps: int = 10,
        dt: float = 0.5,
    ) -> None:
        self.radius, self.reach, self.steps, self.dt = radius, reach, steps, dt
        self.region_weight, self.curvature_weight = region_weight, curvature_weight

    @torch.no_grad()
    def __call__(
        self,
        probability: Tensor,
        contour: Tensor | None = None,
        background: Tensor | None = None,
        scale: Tensor | None = None,
    ) -> Tensor:
        """Refined probabilities `(N, 1, h, w)`; maps without a click as they are.

        Args:
            probability: `(N, 1, h, w)`.
            contour: `(N, M, 2)` (row, column), pixels of the maps; NaN where there is none.
            background: `(N, K, 2)`, in the same way.
            scale: `(N, 2)`: pixels of the map per pixel of the image, along rows and columns; default 1.
        """
        none = torch.full((len(probability), 0, 2), torch.nan)
        given = (none if points is None else points for points in (contour, background))
        scale = torch.ones(len(probability), 2) if scale is None else scale
        on, off, scale = (x.to(probability.device).float() for x in (*given, scale))
        on, off = _settled(on, off, scale, probability.shape[2:])
        clicked = torch.cat([on, off], 1).isfinite().all(2).any(1)
        if not clicked.any():
            return probability
        out = probability.clone()
        refined = self._refined(probability[clicked].float(), on[clicked], off[clicked], scale[clicked])
        out[clicked] = refined.to(out)
        return out

    def _refined(self, probability: Tensor, on: Tensor, off: Tensor, scale: Tensor) -> Tensor:
        phi, half = _level_set(probability), scale.prod(1).sqrt() / 2
        errors = ClickForce(on, off, level=half, margin=half).errors(phi)
        radii = (-self.reach * errors).clamp(self.radius, 2 * self.radius)
        share = _share(phi, torch.cat([on, off], 1), radii, errors != 0)
        clicks = ClickForce(on, off, radius=radii, level=half, margin=half)
        forces = self._forces(clicks, probability, share)
        moved = evolve(phi, forces, steps=self.steps, dt=self.dt, record_energy=False).phi
        moved = heaviside(reinitialize(moved, steps=16)).clamp(0, 1)  # its sine is out by an ulp
        merged = torch.lerp(probability, moved, share)
        held = [
            hold_pixels(one[0], _there(contour), _there(background), of.tolist())
            for one, contour, background, of in zip(merged, on, off, scale, strict=True)
        ]
        return torch.stack(held)[:, None]

    def _forces(self, clicks: ClickForce, probability: Tensor, share: Tensor) -> list[Force]:
        forces: list[Force] = [clicks]
        if self.region_weight > 0:
            forces.append(RegionForce(probability, weight=self.region_weight))
        if self.curvature_weight > 0:
            forces.append(CurvatureForce(weight=self.curvature_weight, edge=share))
        return forces


class ClickRefinementd(MapTransform):
    """Dictionary form of `ClickRefinement`, for the crops of `ClickSlicesd`.

    Belongs into a bundle's post-processing, before `Invertd`. Without contour and background points nothing
    changes, not a bit.

    Args:
        keys: keys of the probabilities of one structure, `(1, h, w, N)`.
        contour_points_key: points of the contour in pixels of the crops, `(N, M, 2)`; may be missing.
        background_points_key: points outside, in the same way.
        scale_key: see `ClickSlicesd`; may be missing.
        allow_missing_keys: see MONAI.
        kwargs: arguments of `ClickRefinement`.

    Raises:
        ValueError: on calling, probabilities or points of another shape.

    Example:
        >>> crops = torch.zeros(1, 32, 32, 1)
        >>> crops[:, 8:24, 8:24] = 0.9
        >>> data = {"pred": crops, "background_points": torch.tensor([[[15.0, 21.0]]])}
        >>> refined = ClickRefinementd("pred", radius=3.0)(data)["pred"]
        >>> bool(refined[0, 15, 21, 0] > 0.5), bool(refined[0, 15, 15, 0] > 0.5)
        (False, True)
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        contour_points_key: str = "contour_points",
        background_points_key: str = "background_points",
        scale_key: str = "crop_scale",
        allow_missing_keys: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.points_keys, self.scale_key = (contour_points_key, background_points_key), scale_key
        self.refine = ClickRefinement(**kwargs)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with refined probabilities."""
        changed = dict(data)
        places = [_plain(changed.get(key)) for key in (*self.points_keys, self.scale_key)]
        if all(points is None or points.shape[1] == 0 for points in places[:2]):
            return changed
        for key in self.key_iterator(changed):
            crops = changed[key]
            _check(key, crops, dict(zip((*self.points_keys, self.scale_key), places, strict=True)))
            plain = _plain(crops).permute(3, 0, 1, 2)
            refined = self.refine(plain, *places).permute(1, 2, 3, 0)
            changed[key] = (
                MetaTensor(refined).copy_meta_from(crops) if isinstance(crops, MetaTensor) else refined
            )
        return changed


def _level_set(probability: Tensor) -> Tensor:
    """The signed distance of p = 1/2, exact to a fraction of a pixel next to it."""
    inside = probability > 0.5
    phi = signed_distance(inside.float(), limit=max(probability.shape[2:]) / 2)
    near, distance = subcell_distance(probability.nan_to_num(0.0) - 0.5, (1.0, 1.0))
    return torch.where(near, torch.where(inside, distance, -distance), phi)


def _there(points: Tensor) -> Tensor:
    return points[points.isfinite().all(1)]


def _share(phi: Tensor, points: Tensor, radii: Tensor, moving: Tensor) -> Tensor:
    """1 up to three radii around the clicks that do not hold yet, 0 from four on."""
    distances = squared_distances(phi, points.nan_to_num(0.0), None).sqrt() / radii[..., None, None]
    return (4 - distances.where(moving[..., None, None], torch.inf).amin(1, keepdim=True)).clamp(0, 1)


def _settled(on: Tensor, off: Tensor, scale: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Without background clicks outside the map, and contour clicks on a background click; NaN instead."""
    last = torch.tensor(shape).to(off) - 0.5
    off = off.where(((off >= -0.5) & (off <= last)).all(2, keepdim=True), torch.nan)
    apart = ((on[:, :, None] - off[:, None]) / scale[:, None, None]).square().sum(3)
    return on.where(~(apart < 0.9**2).any(2, keepdim=True), torch.nan), off


def _plain(x: Any) -> Any:
    return x.as_tensor() if isinstance(x, MetaTensor) else x


def _check(key: Hashable, crops: Tensor, places: Mapping[str, Tensor | None]) -> None:
    if crops.ndim != 4 or crops.shape[0] != 1:
        raise ValueError(f"'{key}' must be N crops of one structure (1, h, w, N), got {tuple(crops.shape)}.")
    number = crops.shape[3]
    for name, value in places.items():
        if value is not None and (len(value) != number or value.shape[-1] != 2):
            raise ValueError(f"'{name}' must hold points of {number} crops, got shape {tuple(value.shape)}.")
