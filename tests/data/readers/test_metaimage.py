"""Our MetaImage reading against SimpleITK's writing."""

from __future__ import annotations

import numpy as np
import pytest

from monai_levelset.data.errors import DataError
from monai_levelset.data.readers.metaimage import metaimage_grid, read_metaimage

sitk = pytest.importorskip("SimpleITK")
ROTATION = (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, -1)


def expected_affine(image):
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    lps[:3, 3] = image.GetOrigin()
    return np.diag([-1, -1, 1, 1]) @ lps


@pytest.mark.parametrize("name", ["a.mhd", "a.mha"])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "float32"])
def test_voxels_and_grid_are_those_that_were_written(tmp_path, name, compressed, kind):
    values = (np.random.default_rng(0).standard_normal((4, 5, 6)) * 50).astype(kind)
    image = sitk.GetImageFromArray(values.transpose(2, 1, 0))
    image.SetSpacing((0.5, 0.7, 3.0))
    image.SetOrigin((-10.5, 20.25, 7.0))
    image.SetDirection(ROTATION)
    sitk.WriteImage(image, str(tmp_path / name), useCompression=compressed)
    read = read_metaimage(tmp_path / name)
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read, values)
    grid = metaimage_grid(tmp_path / name)
    assert grid.shape == (4, 5, 6)
    np.testing.assert_allclose(grid.affine, expected_affine(image), atol=1e-6)


def test_big_endian_voxels(tmp_path):
    values = np.arange(24, dtype=">i2").reshape(2, 3, 4)
    header = "NDims = 3\nBinaryDataByteOrderMSB = True\nDimSize = 2 3 4\nElementType = MET_SHORT\n"
    (tmp_path / "a.mhd").write_text(header + "ElementDataFile = a.raw\n")
    (tmp_path / "a.raw").write_bytes(values.tobytes(order="F"))
    np.testing.assert_array_equal(read_metaimage(tmp_path / "a.mhd"), values)


def test_corrupt_voxels_and_unknown_types_are_named(tmp_path):
    head = "NDims = 3\nDimSize = 2 3 4\n{}ElementDataFile = a.zraw\n"
    (tmp_path / "a.zraw").write_bytes(b"no zlib stream")
    path = tmp_path / "a.mhd"
    path.write_text(head.format("CompressedData = True\nElementType = MET_SHORT\n"))
    with pytest.raises(DataError, match=r"a\.mhd: its voxels cannot be read"):
        read_metaimage(path)
    path.write_text(head.format("ElementType = MET_WORD\n"))
    with pytest.raises(DataError, match="ElementType 'MET_WORD' is unknown"):
        read_metaimage(path)
    path.write_text(head.format("Offset = 1 two 3\n"))
    with pytest.raises(DataError, match="broken MetaImage header"):
        read_metaimage(path)
