"""What a model zoo asks of every bundle's files, of ours and of what is exported from them.

`test_static.py` has the rules that hold for our own folders alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, verify_metadata

from monai_levelset.doctor.metadata_schema import METADATA_SCHEMA
from monai_levelset.export.content import LARGEST_FILE, bundle_content

from .test_static import BUNDLES, FILES

each_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All bundles as they are exported."""
    folder = tmp_path_factory.mktemp("exported")
    for bundle in BUNDLES:
        for name, content in bundle_content(bundle).items():
            path = folder / bundle.name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder


@pytest.fixture(params=["ours", "exported"])
def root(request: pytest.FixtureRequest, bundle: Path, exported: Path) -> Path:
    """The folder of a bundle: in the repository, or exported."""
    return bundle if request.param == "ours" else exported / bundle.name


@each_bundle
def test_the_name_says_what_it_does_in_the_zoos_letters(bundle: Path) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", bundle.name)
    assert bundle.name.endswith(("_segmentation", "_deepgrow"))  # MONAI Label reads the kind of task from it


@each_bundle
def test_ours_require_this_package_and_the_exported_do_not(bundle: Path, exported: Path) -> None:
    required = [
        json.loads((folder / "configs/metadata.json").read_text())["required_packages_version"]
        for folder in (bundle, exported / bundle.name)
    ]
    assert [("monai-levelset" in packages) for packages in required] == [True, False]


@each_bundle
def test_all_files_are_there_and_none_is_large(bundle: Path, root: Path) -> None:
    assert [
        name for name in [*FILES, "models/model.pt", "models/model.ts"] if not (root / name).is_file()
    ] == []
    folders = ("configs", "docs", "models", "scripts")
    files = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    assert [path for path in files if path.stat().st_size > LARGEST_FILE] == []


@each_bundle
def test_monais_own_check_of_the_metadata_passes(bundle: Path, root: Path, tmp_path: Path) -> None:
    """With the schema in a file, because the zoo's is on the internet."""
    schema = tmp_path / "meta_schema_20240725.json"
    schema.write_text(json.dumps(METADATA_SCHEMA))
    digest = hashlib.md5(schema.read_bytes()).hexdigest()
    metadata = root / "configs/metadata.json"
    verify_metadata(meta_file=str(metadata), filepath=str(schema), hash_val=digest)
    content = json.loads(metadata.read_text())
    assert content["version"] in content["changelog"]
    del content["network_data_format"]["outputs"]["pred"]["channel_def"]
    (tmp_path / "metadata.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="channel_def"):
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(schema), hash_val=digest)


@each_bundle
def test_weights_are_tensors_alone(bundle: Path, root: Path) -> None:
    """No numpy object and no other class: `weights_only=True` reads every file."""
    files = sorted((root / "models").glob("*.pt"))
    assert files
    for file in files:
        assert torch.load(file, map_location="cpu", weights_only=True) is not None


@each_bundle
def test_licences_are_stated(bundle: Path, root: Path) -> None:
    assert "Apache License" in (root / "LICENSE").read_text()
    assert len((root / "docs/data_license.txt").read_text()) > 100
    card = (root / "docs/README.md").read_text()
    assert "data_license.txt" in card
    assert "not for clinical use" in card


@each_bundle
def test_only_what_is_not_in_the_folder_is_downloaded(bundle: Path, root: Path) -> None:
    if (root / "large_files.yml").is_file():
        listed = ConfigParser.load_config_file(root / "large_files.yml")["large_files"]
        assert [entry["path"] for entry in listed if (root / entry["path"]).is_file()] == []
