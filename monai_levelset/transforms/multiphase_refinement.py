"""Class probabilities refined by one level function per structure, nested as the anatomy is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.transforms import Transform
from torch import Tensor

from monai_levelset.levelset import region_competition, touching_components

from .level_set_refinement import LevelSetRefinement


class MultiphaseRefinement(Transform):
    """Turn probabilities of several classes into smooth, connected and nested structures.

    Each structure is a union of classes with a level function of its own: the left ventricle, for example,
    and the left ventricle with its myocardium around it. A level function starts from where the sum of its
    classes' probabilities exceeds 1/2, of which the largest component is kept, and evolves as in
    `LevelSetRefinement`: the log odds drive it, curvature smooths it. All evolve in one batch. Then they are
    painted in their order, a later one over an earlier one, and a structure that belongs `inside` another is
    cut where it leaves that. Of a structure that is `attached` to another, components that do not touch the
    other never start, be they the largest: bright fat is no right ventricle unless it lies against the heart
    muscle. With an `intensity_weight` the classes first compete for the voxels by the
    intensities of the image, see `region_competition`; calls then need the image.

    Args:
        structures: per structure the classes it encloses; the first of them is painted.
        inside: structure -> the structure around it, by place in `structures`: the shape prior that the left
            ventricle lies inside the myocardium. None: no such pairs.
        attached: structure -> the structure it lies against, by place in `structures`. None: no such pairs.
        wall: thickness at least, in pixels, of what is between the two.
        intensity_weight: weight of the intensities beside the probabilities; 0: they do not count.
        band: how far around the structures the background's intensities count, in pixels.
        kwargs: arguments of `LevelSetRefinement`.

    Raises:
        ValueError: a class is the first of two structures, a structure is empty or encloses class 0, or
            `inside` names none or goes in a circle, or `attached` names none.

    Example:
        >>> x = torch.arange(40.0) - 20
        >>> radius = (x[:, None] ** 2 + x**2).sqrt()
        >>> label = (radius < 13).long() + (radius < 8).long()  # 2 in the middle, 1 around it
        >>> label[20, :4] = 1  # something else far from it
        >>> probability = torch.nn.functional.one_hot(label).movedim(-1, 0)[None] * 0.9 + 0.03
        >>> refine = MultiphaseRefinement([[1, 2], [2]], inside={1: 0}, steps=10)
        >>> refined = refine(probability).argmax(1)[0]
        >>> int(refined[20, 2]), int(refined[20, 20]), int(refined[20, 10])
        (0, 2, 1)
    """

    def __init__(
        self,
        structures: Sequence[Sequence[int]],
        *,
        inside: dict[int, int] | None = None,
        attached: dict[int, int] | None = None,
        wall: float = 0.0,
        intensity_weight: float = 0.0,
        band: int = 10,
        **kwargs: Any,
    ) -> None:
        self.structures = [list(classes) for classes in structures]
        self.inside = {int(inner): int(outer) for inner, outer in (inside or {}).items()}
        self.attached = {int(one): int(other) for one, other in (attached or {}).items()}
        self.wall, self.intensity_weight, self.band = wall, intensity_weight, band
        self.refine = LevelSetRefinement(**{"min_peak": 0.5, **kwargs})
        painted = [classes[0] for classes in self.structures if classes]
        if len(painted) < len(self.structures) or len(set(painted)) < len(painted) or min(painted) < 1:
            raise ValueError(
                f"Each structure needs classes from 1 on, and a first one of its own, got {self.structures}."
            )
        places = range(len(self.structures))
        if any(
            not (inner in places and outer in places and outer < inner)
            for inner, outer in self.inside.items()
        ):
            raise ValueError(
                f"`inside` maps a structure to an earlier one that encloses it, of {len(places)}; got "
                f"{self.inside}."
            )
        if any(
            one not in places or other not in places or one == other for one, other in self.attached.items()
        ):
            raise ValueError(
                f"`attached` maps a structure to another one, of {len(places)}; got {self.attached}."
            )

    @torch.no_grad()
    def __call__(self, probability: Tensor, image: Tensor | None = None) -> Tensor:
        """Class memberships 0 and 1, `(B, K, *spatial)`, of probabilities of the same shape."""
        phi = self.level_sets(probability, image)
        label = torch.zeros_like(probability[:, :1], dtype=torch.long)
        for k, classes in enumerate(self.structures):
            label = torch.where(phi[:, k : k + 1] > 0, classes[0], label)
        return torch.zeros_like(probability).scatter_(1, label, 1)

    @torch.no_grad()
    def level_sets(self, probability: Tensor, image: Tensor | None = None) -> Tensor:
        """One level function per structure, `(B, S, *spatial)`, > 0 inside."""
        if self.intensity_weight > 0:
            if image is None:
                raise ValueError("`intensity_weight` compares intensities of the image: pass the image too.")
            probability = region_competition(probability, image, weight=self.intensity_weight, band=self.band)
        unions = torch.stack([probability[:, classes].sum(1) for classes in self.structures], 1)
        for one, other in self.attached.items():
            found = unions[:, one, None] > 0.5
            touching = touching_components(found, unions[:, other, None] > 0.5)
            unions[:, one, None] *= touching | ~found
        batch, count, *spatial = unions.shape
        images = None if image is None else image.repeat_interleave(count, 0)
        unions = unions.reshape(-1, 1, *spatial)
        if self.refine.steps == 0 and self.wall == 0:  # nothing needs distances
            phi = 2 * self.refine.initial_mask(unions) - 1
        else:
            phi = self.refine.level_set(unions, images)
        phi = phi.view(batch, count, *spatial)
        for inner, outer in sorted(self.inside.items()):
            phi[:, inner] = torch.minimum(phi[:, inner], phi[:, outer] - self.wall)
        return phi
