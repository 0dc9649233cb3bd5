"""Inference of the label-free bundle: pictures of every kind come back as region maps of their own size."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image

from monai_levelset.data.grids import read_grid
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.metrics.regions import region_covering

from .common import Array, read_png, reason, run_workflow
from .natural import NATURAL_BUNDLE

METADATA = NATURAL_BUNDLE / "configs/metadata.json"
FILES = ("--meta_file", METADATA, "--config_file", NATURAL_BUNDLE / "configs/inference.json")


def halves(width: int, height: int) -> Array:
    """Rows x columns x RGB: red beside blue, a little noisy."""
    picture = np.full((height, width, 3), (190, 40, 30))
    picture[:, width // 2 :] = (30, 60, 200)
    noise = np.random.default_rng(width).integers(0, 15, picture.shape)
    return (picture + noise).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    colour = Image.fromarray(halves(90, 61))
    colour.save(folder / "odd.png")
    colour.save(folder / "photo.JPG", quality=95)
    colour.convert("L").save(folder / "grey.png")
    colour.convert("RGBA").save(folder / "alpha.png")
    colour.convert("LA").save(folder / "grey_alpha.png")
    Image.fromarray(halves(40, 130)).save(folder / "tall.jpeg", quality=95)
    Image.fromarray(halves(9, 7)).save(folder / "tiny.png")
    Image.fromarray(halves(400, 30)).save(folder / "wide.png")
    return folder


SIZES = {
    **dict.fromkeys(["odd", "photo", "grey", "alpha", "grey_alpha"], (90, 61)),
    "tall": (40, 130),
    "tiny": (9, 7),
    "wide": (400, 30),
}


def weights(folder: Path) -> Path:
    parser = ConfigParser()
    parser.read_config(NATURAL_BUNDLE / "configs/inference.json")
    torch.manual_seed(0)
    torch.save(parser.get_parsed_content("network_def").state_dict(), folder / "model.pt")
    return folder / "model.pt"


def test_every_picture_has_its_map(pictures: Path, tmp_path: Path) -> None:
    settings = {"dataset_dir": pictures, "output_dir": tmp_path / "out", "checkpoint": weights(tmp_path)}
    run_workflow(NATURAL_BUNDLE, "inference", **settings)
    found = {path.stem: read_png(path) for path in (tmp_path / "out").iterdir()}
    assert {name: values.shape for name, values in found.items()} == SIZES
    for name, values in found.items():
        assert values.dtype == np.uint8, name
        sizes = np.bincount(values.ravel())
        assert sizes[0] == 0, name
        assert len(sizes) == 2 or sizes[1:].min() >= 0.01 * values.size, name
    np.testing.assert_array_equal(found["odd"], found["alpha"])
    np.testing.assert_array_equal(found["grey"], found["grey_alpha"])


def test_the_per_image_optimisation_finds_the_halves(pictures: Path, tmp_path: Path) -> None:
    settings = {"dataset_dir": pictures, "datalist": [str(pictures / "odd.png")], "output_dir": tmp_path}
    run_workflow(NATURAL_BUNDLE, "inference", "per_image", **settings)
    truth = (np.arange(90) >= 45)[:, None].repeat(61, 1)
    assert region_covering(read_png(tmp_path / "odd.png"), [truth]) > 0.8


def test_the_shipped_weights_segment_phantoms(tmp_path: Path) -> None:
    generate_phantoms("natural", tmp_path / "data", cases=4, seed=11)
    images, out = tmp_path / "data/images", tmp_path / "out"
    run_workflow(NATURAL_BUNDLE, "inference", dataset_dir=images, output_dir=out)
    scores = [
        region_covering(read_png(out / path.name), [read_png(tmp_path / "data/labels" / path.name)])
        for path in images.iterdir()
    ]
    assert len(scores) == 4
    assert np.mean(scores) > 0.45


def unreadable(folder: Path) -> str:
    (folder / "a.png").write_bytes(b"\x89PNG no picture")
    return "a.png"


def no_picture(folder: Path) -> str:
    (folder / "a.txt").touch()
    return "holds no image file"


def constant(folder: Path) -> str:
    Image.new("RGB", (20, 20), "white").save(folder / "white.png")
    return "white.png: every voxel has the value 255"


@pytest.mark.parametrize("spoil", [unreadable, no_picture, constant], ids=lambda case: case.__name__)
def test_inference_refuses(spoil: Callable[[Path], str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    words = spoil(tmp_path / "data")
    with pytest.raises(RuntimeError) as error:
        run_workflow(NATURAL_BUNDLE, "inference", dataset_dir=tmp_path / "data", output_dir=tmp_path / "out")
    assert words in reason(error.value)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_verify_metadata(command: Callable[..., None], schema: Path) -> None:
    given = ("--filepath", schema, "--hash_val", hashlib.md5(schema.read_bytes()).hexdigest())
    command("verify_metadata", "--meta_file", METADATA, *given)


@pytest.mark.parametrize("n", [8, 37])
def test_verify_net_in_out(command: Callable[..., None], n: int) -> None:
    command("verify_net_in_out", "network_def", *FILES, "--n", str(n), "--device", "cpu")


def test_the_exported_network_computes_the_same(command: Callable[..., None], tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read_config(NATURAL_BUNDLE / "configs/inference.json")
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(weights(tmp_path), weights_only=True))
    words = ("--filepath", tmp_path / "model.ts", "--ckpt_file", tmp_path / "model.pt")
    command("ckpt_export", "network_def", *words, *FILES)
    exported = torch.jit.load(tmp_path / "model.ts")
    for shape in ((2, 3, 40, 64), (1, 3, 61, 47)):
        image = torch.rand(shape)
        torch.testing.assert_close(exported(image), network(image))


def test_brain_mri_volumes_come_back_on_their_grid(tmp_path: Path) -> None:
    """Classes from 1 on inside the brain, 0 outside, whatever the orientation of the file."""
    parser = ConfigParser()
    parser.read_config([NATURAL_BUNDLE / f"configs/{n}.json" for n in ("inference", "brain_mri_inference")])
    torch.save(parser.get_parsed_content("network_def").state_dict(), tmp_path / "brain.pt")
    volume = np.random.default_rng(0).integers(50, 900, (21, 18, 5)).astype(np.int16)
    volume[:4] = 0
    (tmp_path / "in").mkdir()
    affine = np.diag([-1.0, 1, 3, 1])
    nib.save(nib.Nifti1Image(volume, affine), tmp_path / "in/a.nii.gz")
    nib.save(
        nib.Nifti1Image(volume[:, ::-1].copy(), affine @ np.diag([1, -1.0, 1, 1])), tmp_path / "in/b.nii"
    )
    run_workflow(
        *(NATURAL_BUNDLE, "inference", "brain_mri_inference"),
        dataset_dir=tmp_path / "in",
        output_dir=tmp_path / "out",
        checkpoint=tmp_path / "brain.pt",
    )
    assert read_grid(tmp_path / "out/a.nii.gz").shape == volume.shape
    found = np.asarray(nib.load(tmp_path / "out/a.nii.gz").dataobj)
    assert not found[volume == 0].any()
    assert set(np.unique(found[volume > 0])) <= {1, 2, 3}
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "out/b.nii").dataobj)[:, ::-1], found)
