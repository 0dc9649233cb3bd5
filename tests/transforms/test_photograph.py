"""Pictures of 1 to 4 channels as RGB or CIELAB."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_levelset.transforms import Photograph, Photographd


@pytest.mark.parametrize("channels", [1, 2])
def test_grey_is_repeated_and_its_alpha_dropped(channels: int) -> None:
    image = torch.tensor([0.0, 51, 255]).expand(1, 2, 3).repeat(channels, 1, 1)
    image[1:] = 255
    found = Photograph()(image)
    assert found.shape == (3, 2, 3)
    for colour in found:
        torch.testing.assert_close(colour[0], torch.tensor([0.0, 0.2, 1.0]))


def test_colours_stay_and_alpha_is_dropped() -> None:
    image = torch.rand(4, 5, 6) * 200
    torch.testing.assert_close(Photograph()(image), image[:3] / 255)


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_white_is_one_whatever_the_bits(white: float) -> None:
    assert Photograph()(torch.full((3, 2, 2), float(white))).unique().tolist() == [1]


def test_lab_of_known_colours() -> None:
    """Red, green, blue of sRGB in CIELAB (D65), as in the tables."""
    lab = Photograph("lab")(255 * torch.eye(3)[:, :, None])[:, :, 0].T * 100
    expected = torch.tensor([[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86]])
    torch.testing.assert_close(lab, expected, atol=0.02, rtol=0)


@pytest.mark.parametrize("colours", ["rgb", "lab"])
def test_metadata_stays(colours: str) -> None:
    image = MetaTensor(torch.rand(3, 4, 4), meta={"filename_or_obj": "a.jpg"})
    found = Photographd("image", colours)({"image": image})["image"]
    assert found.meta["filename_or_obj"] == "a.jpg"
    assert found.dtype == torch.float32


def test_unfit_images() -> None:
    image = MetaTensor(torch.rand(5, 4, 4), meta={"filename_or_obj": "a.png"})
    with pytest.raises(ValueError, match="1 to 4 channels, a.png has 5"):
        Photograph()(image)
    with pytest.raises(ValueError, match=r"holds values from -2 to 0, but a picture"):
        Photograph()(torch.tensor([[[-2.0, 0.0]]]))
    with pytest.raises(ValueError, match="`colours` is 'rgb' or 'lab', got 'hsv'"):
        Photograph("hsv")  # type: ignore[arg-type]
