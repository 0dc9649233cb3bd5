"""The network that draws a level set and moves it: deep level set with confidence map and boundary branch."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_levelset.levelset import deep_level_set, heaviside
from monai_levelset.levelset.precision import plain, wide
from monai_levelset.losses import DeepLevelSetOutput
from monai_levelset.losses.deep_level_set_terms import StepKind
from monai_levelset.networks.dilated_resnet import BackboneName, DilatedResNet
from monai_levelset.networks.pyramid_pooling import PyramidPoolingHead


class DeepLevelSetNetwork(nn.Module):
    """Deep level set of Zheng et al. (2D): a dilated ResNet, four heads, and a few steps of evolution.

    Features of four depths of the ResNet (stride 2, 4, 8 and 8) are brought to 64 channels each and to stride
    4, and joined. On them stand heads with pyramid pooling, whose maps are interpolated to the image:

    * phi_0, the truncated signed distance, `limit * tanh(.)`, positive inside;
    * the motion field V, not bounded; the contour moves by -V, see `MotionForce`;
    * g in [0, 1], the weight of curvature;
    * class probabilities P of background and object, for the boundary loss; they play no part in the result.

    `deep_level_set` takes `steps` steps from phi_0 to phi_T. What the network gives back:

    * **in training** a `DeepLevelSetOutput` (phi_T, phi_0, V, P, g), which `DeepLevelSetLoss` takes as it is;
    * **in evaluation** one tensor `(B, 2, H, W)`, the scores 1 - H(phi_T) and H(phi_T) of background and
      object, which sum to 1 and whose argmax is phi_T > 0. So it can be traced and exported
      (`ckpt_export` with `use_trace`; another size of image needs no other trace), and MONAI's inferers and
      `AsDiscrete(argmax=True)` work. `maps` gives the level sets in evaluation, too.

    The paper's systems differ by arguments only; the clicks are channels of the input:

    | system | in_channels, RGB | arguments | boundary loss |
    |---|---|---|---|
    | ours (confidence map and boundary loss) | 3 + 2 | | yes |
    | + confidence map only | 3 + 2 | `probability=False` | no |
    | + boundary loss only | 3 + 1 (heat map) | | yes |
    | DELSE, the baseline | 3 + 1 | `probability=False` | no |
    | DEXTR: a mask, no level set | 3 + 1 | `probability=False, evolution=False` | no |

    Images of any size go through; they are padded with their border, at the bottom and right, to 8 k + 1
    pixels, so that the features of all strides lie exactly on pixels, and the maps are cropped before the
    evolution. Under autocast the maps and the evolution are in float32.

    Args:
        in_channels: channels of the image, heat map and confidence map included.
        backbone: depth of the ResNet; the paper's is `resnet101`. For weights see `load_imagenet_weights`.
        output_stride: of the ResNet, 8 as in the paper; 16 and 32 are faster on a CPU.
        evolution: False leaves out the level set: one head gives the logit of a mask as `phi`; with
            `heaviside="tanh", eps=2` the criterion is balanced cross entropy on its sigmoid.
        probability: whether there is a branch of class probabilities.
        steps: T.
        dt: size of a step.
        regularization: share of the distance regularisation in each step; see `deep_level_set`.
        delta_width: phi moves where |phi| is below it.
        curvature: factor of g in the evolution, stable for curvature * dt < 1/4. The paper has 1, with which
            steps of 5 roughen the contour where g is above 0.05.
        limit: bound of |phi_0|, pixels.
        step: kind of H in the scores, `arctan` or `tanh`, as in the criterion.
        step_width: half width of that step, pixels. Neither changes the argmax.
        width: factor of the ResNet's number of channels, below 1 for smaller networks without known weights.
        skip_channels: of each of the four depths.
        head_channels: within the heads.
        stride_on_first: see `DilatedResNet`; True for the weights of Keras' ResNet-50.

    Raises:
        ValueError: a number out of range, an unknown backbone.

    Example:
        >>> network = DeepLevelSetNetwork(5, "resnet18", width=0.125, skip_channels=8, head_channels=8)
        >>> network(torch.rand(2, 5, 50, 60)).motion.shape
        torch.Size([2, 2, 50, 60])
        >>> network.eval()(torch.rand(2, 5, 50, 60)).shape
        torch.Size([2, 2, 50, 60])
    """

    def __init__(
        self,
        in_channels: int = 5,
        backbone: BackboneName = "resnet50",
        *,
        output_stride: Literal[8, 16, 32] = 8,
        evolution: bool = True,
        probability: bool = True,
        steps: int = 5,
        dt: float = 5.0,
        regularization: float = 0.2,
        delta_width: float = 9.0,
        curvature: float = 0.04,
        limit: float = 30.0,
        step: StepKind = "arctan",
        step_width: float = 1.0,
        width: float = 1.0,
        skip_channels: int = 64,
        head_channels: int = 128,
        stride_on_first: bool = False,
    ) -> None:
        super().__init__()
        _check(steps, dt, regularization, delta_width, curvature, limit, step, step_width)
        self.steps, self.dt, self.regularization, self.delta_width = steps, dt, regularization, delta_width
        self.curvature, self.limit, self.step, self.step_width = curvature, limit, step, step_width
        self.backbone = DilatedResNet(
            in_channels, backbone, output_stride=output_stride, width=width, stride_on_first=stride_on_first
        )
        stem, first, second, _, last = self.backbone.channels
        self.skips = nn.ModuleList(
            [_skip(stem, skip_channels, 2)] + [_skip(n, skip_channels) for n in (first, second, last)]
        )
        outputs = {"phi0": 1, "motion": 2, "modulation": 1} if evolution else {"mask": 1}
        outputs |= {"probability": 2} if probability else {}
        self.heads = nn.ModuleDict(
            {
                k: PyramidPoolingHead(4 * skip_channels, n, mid_channels=head_channels)
                for k, n in outputs.items()
            }
        )

    def forward(self, image: Tensor) -> DeepLevelSetOutput | Tensor:
        """Level sets of images `(B, in_channels, H, W)` in training, scores `(B, 2, H, W)` in evaluation."""
        if self.training:
            return self.maps(image)
        return self.scores(self._output(self._logits(image, without="probability")).phi)

    def maps(self, image: Tensor) -> DeepLevelSetOutput:
        """All maps of an image `(B, in_channels, H, W)`, in training and evaluation; plain float32 tensors.

        Without evolution, `phi` is the mask's logit and there are no `phi0`, `motion` and `modulation`.
        """
        return self._output(self._logits(image))

    def _output(self, logits: dict[str, Tensor]) -> DeepLevelSetOutput:
        """What follows from the logits of the heads."""
        probability = logits["probability"].softmax(1) if "probability" in logits else None
        if "mask" in logits:
            return DeepLevelSetOutput(logits["mask"], probability=probability)
        phi0 = self.limit * torch.tanh(logits["phi0"])
        g = logits["modulation"].sigmoid()
        phi = self._evolved(phi0, logits["motion"], g, self.steps)
        return DeepLevelSetOutput(phi, phi0, logits["motion"], probability, g)

    def scores(self, phi: Tensor) -> Tensor:
        """1 - H(phi) and H(phi), `(B, 2, H, W)`, of a level set `(B, 1, H, W)`."""
        return heaviside(torch.cat([-phi, phi], 1), self.step_width, self.step)

    def trajectory(self, maps: DeepLevelSetOutput) -> Tensor:
        """The level sets phi_0, phi_1, ..., phi_T of `maps`, `(B, T + 1, H, W)`, for pictures.

        Raises:
            ValueError: a network without evolution has none.

        Example:
            >>> network = DeepLevelSetNetwork(3, "resnet18", steps=2, width=0.125, skip_channels=8).eval()
            >>> network.trajectory(network.maps(torch.rand(1, 3, 24, 24))).shape
            torch.Size([1, 3, 24, 24])
        """
        if maps.phi0 is None or maps.motion is None or maps.modulation is None:
            raise ValueError("There is no evolution to show: the network was made with `evolution=False`.")
        states = [maps.phi0]
        for _ in range(self.steps):
            states.append(self._evolved(states[-1], maps.motion, maps.modulation, 1))
        return torch.cat(states, 1)

    def _evolved(self, phi: Tensor, motion: Tensor, modulation: Tensor, steps: int) -> Tensor:
        return deep_level_set(
            phi,
            motion,
            self.curvature * modulation,
            steps=steps,
            dt=self.dt,
            regularization=self.regularization,
            eps=self.delta_width,
        ).phi

    def _logits(self, image: Tensor, without: str = "") -> dict[str, Tensor]:
        """What the heads say, in float32 and at the size of the image; one head may be left out."""
        image = plain(image)
        height, width = image.shape[-2], image.shape[-1]
        unit = self.backbone.output_stride
        x = F.pad(image, [0, -(width - 1) % unit, 0, -(height - 1) % unit], mode="replicate")
        stem, first, second, _, last = self.backbone(x)
        features = [skip(f) for skip, f in zip(self.skips, (stem, first, second, last), strict=True)]
        joined = torch.cat([_resized(f, features[0]) for f in features], 1)
        maps = {name: head(joined) for name, head in self.heads.items() if name != without}
        return {name: _resized(wide(y), x)[..., :height, :width] for name, y in maps.items()}


def _skip(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def _resized(x: Tensor, like: Tensor) -> Tensor:
    """Interpolated so that the first and the last pixel stay: on 8 k + 1 pixels all strides meet pixels."""
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)


def _check(
    steps: int,
    dt: float,
    regularization: float,
    delta_width: float,
    curvature: float,
    limit: float,
    step: StepKind,
    step_width: float,
) -> None:
    if steps < 0 or regularization < 0 or curvature < 0:
        raise ValueError("`steps`, `regularization` and `curvature` must not be negative.")
    if not min(dt, delta_width, limit, step_width) > 0:
        raise ValueError("`dt`, `delta_width`, `limit` and `step_width` must be positive.")
    if step not in get_args(StepKind):
        raise ValueError(f"`step` must be 'arctan' or 'tanh', as in the criterion, got {step!r}.")
