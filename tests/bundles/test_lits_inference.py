"""Inference of the liver-lesion bundle: formats, orientations, empty results, bad input, tools."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import itk
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_levelset.data.grids import read_array, read_grid
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.networks import LiverLesionCascade
from tests.dicom_files import write_series

from .common import Array, reason
from .lits import LITS_BUNDLE, SMALL, infer

METADATA = LITS_BUNDLE / "configs/metadata.json"
FILES = ("--meta_file", METADATA, "--config_file", LITS_BUNDLE / "configs/inference.json")
SLICES = slice(8, 20, 3)
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")


def cascade(**settings: object) -> LiverLesionCascade:
    """The inference's network with random weights."""
    parser = ConfigParser()
    parser.read_config(LITS_BUNDLE / "configs/inference.json")
    parser.update({**SMALL, **settings})
    torch.manual_seed(0)
    network = parser.get_parsed_content("network_def").eval()
    assert isinstance(network, LiverLesionCascade)
    return network


@torch.no_grad()
def balanced(path: Path) -> LiverLesionCascade:
    """Random weights that find a liver in half of the image and lesions in half of it."""
    parser = ConfigParser()
    parser.read_config(LITS_BUNDLE / "configs/inference.json")
    parser.update(SMALL)
    image = parser.get_parsed_content("preprocessing")({"image": str(path)})["image"].as_tensor()
    network, stack = cascade(), image.permute(3, 0, 1, 2).expand(-1, 3, -1, -1)
    for part, bias in ((network.liver, network.liver.last), (network.lesion, network.lesion.network.last)):
        scores = part(stack)
        assert bias.bias is not None
        bias.bias[1] += (scores[:, 0] - scores[:, 1]).median()
    return network


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[Array, Array]:
    """Four slices 15 mm apart of one phantom: HU and affine."""
    folder = tmp_path_factory.mktemp("lits") / "data"
    generate_phantoms("lits", folder, cases=1, seed=1)
    image = nib.load(folder / "images/lits_000.nii.gz")
    return np.asarray(image.dataobj)[..., SLICES], image.affine @ np.diag([1, 1, 3, 1])


def write_itk(path: Path, values: Array, affine: Array) -> None:
    image = itk.image_from_array(np.ascontiguousarray(values.T))
    lps = (np.diag([-1.0, -1, 1, 1]) @ affine)[:3]
    spacing = np.linalg.norm(lps[:, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:, 3].tolist())
    image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(lps[:, :3] / spacing)))
    itk.imwrite(image, str(path))


def write_nifti(path: Path, values: Array, affine: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def test_formats_and_orders_of_the_axes(case: tuple[Array, Array], tmp_path: Path) -> None:
    """All give one label map of 0, 1 and 2, each on its image's grid."""
    values, affine = case
    images, out = tmp_path / "images", tmp_path / "out"
    write_nifti(images / "ct.nii.gz", values, affine)
    turned = affine @ [[0, -1, 0, values.shape[0] - 1], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    write_nifti(images / "turned.nii", np.rot90(values, -1), np.linalg.inv(np.eye(4)) @ turned)
    for name in ("meta.mha", "nearly.nrrd"):
        write_itk(images / name, values, affine)
    right_handed = affine if np.linalg.det(affine) > 0 else affine @ np.diag([1, 1, -1, 1])
    write_series(images / "patient/CT", values, right_handed)
    torch.save(balanced(images / "ct.nii.gz").state_dict(), tmp_path / "model.pt")
    infer(images, out, tmp_path / "model.pt")
    expected, _ = read_array(out / "ct.nii.gz")
    assert set(np.unique(expected)) == {0, 1, 2}
    assert nib.load(out / "ct.nii.gz").get_data_dtype() == np.uint8
    results = {"meta.mha": "meta.mha", "nearly.nrrd": "nearly.nrrd", "patient/CT": "patient_CT.nii.gz"}
    for name, result in {"ct.nii.gz": "ct.nii.gz", "turned.nii": "turned.nii", **results}.items():
        original, found = read_grid(images / name), read_grid(out / result)
        assert found.shape == original.shape
        assert original.affine is not None
        np.testing.assert_allclose(found.affine, original.affine, atol=1e-4)
    for result in results.values():
        np.testing.assert_array_equal(read_array(out / result)[0], expected, err_msg=result)


@pytest.mark.parametrize("depth", [1, 2])
def test_volumes_of_fewer_slices_than_a_stack(case: tuple[Array, Array], tmp_path: Path, depth: int) -> None:
    write_nifti(tmp_path / "in/a.nii", case[0][..., :depth], case[1])
    torch.save(cascade().state_dict(), tmp_path / "model.pt")
    infer(tmp_path / "in", tmp_path / "out", tmp_path / "model.pt")
    assert read_array(tmp_path / "out/a.nii")[0].shape == case[0][..., :depth].shape


def test_a_volume_without_liver_gives_an_empty_result(case: tuple[Array, Array], tmp_path: Path) -> None:
    network = cascade()
    assert network.liver.last.bias is not None
    network.liver.last.bias.data[0] = 100.0
    torch.save(network.state_dict(), tmp_path / "model.pt")
    write_nifti(tmp_path / "in/a.nii", *case)
    infer(tmp_path / "in", tmp_path / "out", tmp_path / "model.pt")
    found = nib.load(tmp_path / "out/a.nii")
    assert found.shape == case[0].shape
    assert not np.asarray(found.dataobj).any()


def not_ct(folder: Path, values: Array, affine: Array) -> tuple[dict[str, object], str]:
    write_nifti(folder / "mr.nii", values.astype(np.float32).clip(-200) * 3 + 600, affine)
    return {}, "mr.nii: no CT in HU"


def other_weights(folder: Path, values: Array, affine: Array) -> tuple[dict[str, object], str]:
    write_nifti(folder / "a.nii", values, affine)
    return {"channels": [8, 12]}, "belongs to another network than LiverLesionCascade"


def no_weights(folder: Path, values: Array, affine: Array) -> tuple[dict[str, object], str]:
    write_nifti(folder / "a.nii", values, affine)
    return {"checkpoint": folder / "none.pt"}, "none.pt: the checkpoint does not exist"


def not_a_number(folder: Path, values: Array, affine: Array) -> tuple[dict[str, object], str]:
    spoilt = values.astype(np.float32)
    spoilt[3, 4, 1] = np.nan
    write_nifti(folder / "a.nii", spoilt, affine)
    return {}, "a.nii: "


@pytest.mark.parametrize(
    "spoil", [not_ct, other_weights, no_weights, not_a_number], ids=lambda case: case.__name__
)
def test_inference_refuses(
    spoil: Callable[[Path, Array, Array], tuple[dict[str, object], str]],
    case: tuple[Array, Array],
    tmp_path: Path,
) -> None:
    torch.save(cascade().state_dict(), tmp_path / "model.pt")
    given, words = spoil(tmp_path / "in", *case)
    settings = {"checkpoint": tmp_path / "model.pt", **given}
    with pytest.raises(RuntimeError) as error:
        infer(tmp_path / "in", tmp_path / "out", **settings)  # type: ignore[arg-type]
    assert words in reason(error.value)
    assert not list((tmp_path / "out").glob("*.nii"))


def test_verify_metadata(command: Callable[..., None], schema: Path) -> None:
    given = ("--filepath", schema, "--hash_val", hashlib.md5(schema.read_bytes()).hexdigest())
    command("verify_metadata", "--meta_file", METADATA, *given)


def test_verify_net_in_out_and_export(command: Callable[..., None], tmp_path: Path) -> None:
    command("verify_net_in_out", "network_def", *FILES, "--device", "cpu")
    network = cascade(channels=[16, 32, 64])
    torch.save(network.state_dict(), tmp_path / "model.pt")
    words = ("--filepath", tmp_path / "model.ts", "--ckpt_file", tmp_path / "model.pt")
    command("ckpt_export", "network_def", *words, *FILES)
    exported = torch.jit.load(tmp_path / "model.ts")
    image = torch.rand(2, 3, 37, 50)
    torch.testing.assert_close(exported(image), network(image))
