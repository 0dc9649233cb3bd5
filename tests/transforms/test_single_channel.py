"""Grey pictures saved in colour become one channel; coloured ones are refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.transforms import LoadImage
from PIL import Image

from monai_levelset.transforms import SingleChannel, SingleChanneld


def saved(path, mode: str, colour: bool = False):
    grey = np.random.default_rng(0).integers(0, 200, (6, 5), dtype=np.uint8)
    picture = Image.fromarray(grey).convert(mode)
    if colour:
        red, *others = picture.split()
        picture = Image.merge(mode, (red.point(lambda v: v + 50), *others))
    picture.save(path)
    return grey


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_any_grey_picture_becomes_its_grey_values(tmp_path, mode):
    grey = saved(tmp_path / "a.png", mode)
    image = SingleChannel()(LoadImage(ensure_channel_first=True)(tmp_path / "a.png"))
    assert torch.equal(image.as_tensor(), torch.from_numpy(grey.T.copy()).float()[None])
    assert image.meta["filename_or_obj"].endswith("a.png")


def test_one_channel_is_left_alone():
    image = torch.rand(1, 4, 4, 3)
    assert SingleChannel()(image) is image


def test_noise_within_the_tolerance_is_averaged():
    image = torch.tensor([10.0, 12.0, 14.0]).view(3, 1, 1)
    assert SingleChannel(tolerance=4.0)(image).item() == 12.0
    with pytest.raises(ValueError, match="coloured"):
        SingleChannel(tolerance=3.0)(image)


def test_a_coloured_picture_is_refused_with_its_name(tmp_path):
    saved(tmp_path / "eye.png", "RGB", colour=True)
    image = LoadImage(ensure_channel_first=True)(tmp_path / "eye.png")
    with pytest.raises(ValueError, match=r"eye\.png is coloured"):
        SingleChanneld("image")({"image": image})


def test_more_channels_are_no_picture():
    with pytest.raises(ValueError, match="5"):
        SingleChannel()(torch.zeros(5, 2, 2))
