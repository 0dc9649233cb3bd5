"""The command: what the zip holds, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from monai.data import load_net_with_metadata

from monai_levelset.bundles import bundle_folders, find_bundle
from monai_levelset.cli import main
from monai_levelset.doctor.metadata_schema import metadata_problems
from monai_levelset.doctor.weights import stated_hashes
from monai_levelset.export import content, export_bundle

LV = "lv_mri_levelset_segmentation"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A bundle of one's own, made from one of ours."""
    return Path(shutil.copytree(find_bundle(LV), tmp_path / "my_ventricle_segmentation"))


def refused(bundle: str | Path, out: Path, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command ends with one line on what is wrong, and writes nothing."""
    assert main(["export-bundle", str(bundle), str(out)]) == 1
    assert message in capsys.readouterr().err
    assert (
        not out.parent.is_dir() or [p.name for p in out.parent.iterdir() if p.name.startswith(".tmp")] == []
    )


def test_the_zip_holds_one_folder_sorted_and_without_times(zipped: Callable[[str], Path]) -> None:
    with zipfile.ZipFile(zipped(LV)) as archive:
        entries = archive.infolist()
    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert {name.split("/")[0] for name in names} == {LV}
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {"LICENSE", "docs", "configs", "models", "scripts"} == {name.split("/")[1] for name in names}


def test_the_same_bundle_gives_the_same_zip(zipped: Callable[[str], Path], tmp_path: Path) -> None:
    again = export_bundle(find_bundle(LV), tmp_path / "new" / "other.zip")
    assert again.read_bytes() == zipped(LV).read_bytes()


def test_only_what_is_reached_travels(shared: Callable[[str], Path]) -> None:
    shipped = {p.relative_to(shared(LV)).as_posix() for p in shared(LV).rglob("*") if p.is_file()}
    source = {p.relative_to(find_bundle(LV)).as_posix() for p in find_bundle(LV).rglob("*") if p.is_file()}
    assert source - shipped == {n for n in source if n.startswith(("eval/", "predictions/"))}
    scripts = {name for name in shipped if name.startswith("scripts/")}
    assert shipped - source == scripts
    assert {"scripts/networks/shallow_fcn.py", "scripts/engines/checkpoint.py"} <= scripts
    folders = {name.split("/")[1] for name in scripts}
    assert folders.isdisjoint({"cli.py", "doctor", "prediction", "reproduce", "evaluation.py", "export"})
    assert "scripts/networks/deep_level_set_network.py" not in scripts
    assert "scripts/data/prepare.py" not in scripts


@pytest.mark.parametrize("root", bundle_folders(), ids=lambda root: root.name)
def test_metadata_names_packages_instead_of_this_one(root: Path, shared: Callable[[str], Path]) -> None:
    ours = json.loads((root / "configs/metadata.json").read_text())
    theirs = json.loads((shared(root.name) / "configs/metadata.json").read_text())
    assert metadata_problems(theirs) == []
    required, listed = theirs.pop("required_packages_version"), ours.pop("required_packages_version")
    assert theirs == ours
    assert listed.pop("monai-levelset")
    assert required.items() >= listed.items()
    assert {"nibabel", "pytorch-ignite", "scipy", "tqdm"} <= required.keys()


@pytest.mark.parametrize("root", bundle_folders(), ids=lambda root: root.name)
def test_the_card_states_the_files_that_are_there(root: Path, shared: Callable[[str], Path]) -> None:
    folder = shared(root.name)
    stated = stated_hashes(folder)
    assert "model.pt" in stated
    assert {path.name for path in (folder / "models").iterdir()} == stated.keys()
    for name, digest in stated.items():
        assert hashlib.sha256((folder / "models" / name).read_bytes()).hexdigest() == digest
    card = (folder / "docs/README.md").read_text()
    assert "pip install fire monai==" in card
    assert "](../../" not in card


@pytest.mark.parametrize("root", bundle_folders(), ids=lambda root: root.name)
def test_the_exported_network_holds_the_configurations_of_the_zip(
    root: Path, shared: Callable[[str], Path]
) -> None:
    folder = shared(root.name)
    network, meta, extra = load_net_with_metadata(
        str(folder / "models/model.ts"), more_extra_files=["inference.json"]
    )
    assert meta == json.loads((folder / "configs/metadata.json").read_text())
    assert json.loads(extra["inference.json"]) == json.loads((folder / "configs/inference.json").read_text())
    assert "monai_levelset" not in extra["inference.json"].decode()
    channels = meta["network_data_format"]["inputs"]["image"]["num_channels"]
    image = torch.rand(2, channels, 64, 48, generator=torch.Generator().manual_seed(0))
    assert torch.equal(network(image), torch.jit.load(root / "models/model.ts")(image))


def test_a_bundle_of_ones_own_is_exported_under_its_name(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"weight": torch.zeros(1)}, own / "models/pretrained.pt")  # left by a training
    (own / "eval").mkdir()
    (own / "eval/log.txt").write_text("left by a training")
    out = tmp_path / "my.zip"
    assert main(["export-bundle", str(own), str(out)]) == 0
    assert f"{own.name}, " in capsys.readouterr().out
    with zipfile.ZipFile(out) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {own.name}
    assert f"{own.name}/models/shape_prior.pt" in names
    assert [name for name in names if "eval/" in name or "models/pretrained" in name] == []


def test_bad_requests_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused("no_bundle", tmp_path / "a.zip", "known names: brats_mri", capsys)
    refused(LV, tmp_path / "a.tar", f"Give one that ends with .zip, best {LV}.zip", capsys)


def test_bad_bundles_are_refused(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "models/model.pt").rename(own / "model.pt")
    refused(own, tmp_path / "a.zip", "models/model.pt is missing. To solve it, train the bundle", capsys)
    (own / "model.pt").rename(own / "models/model.pt")
    inference = own / "configs/inference.json"
    text = inference.read_text()
    inference.write_text(text.replace("networks.ShallowFCN", "networks.ShallowFCM"))
    refused(own, tmp_path / "a.zip", "did you mean ShallowFCN?", capsys)
    inference.write_text(text)
    metadata = own / "configs/metadata.json"
    metadata.write_text(metadata.read_text().replace('"version": "0.1.0"', '"version": "0.2.0"'))
    refused(own, tmp_path / "a.zip", "changelog does not name the version 0.2.0", capsys)


def test_large_weights_need_a_server(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "LARGEST_FILE", 300_000)
    out = tmp_path / "a.zip"
    out.write_bytes(b"an older one")
    refused(own, out, "shape_prior.pt: 0.3 MiB, and the model zoo takes", capsys)
    assert out.read_bytes() == b"an older one"
    (own / "large_files.yml").write_text(
        "large_files:\n- path: models/shape_prior.pt\n  url: https://a.org/b.pt\n"
    )
    assert main(["export-bundle", str(own), str(out)]) == 0
    with zipfile.ZipFile(out) as archive:
        names = {name.removeprefix(f"{own.name}/") for name in archive.namelist()}
    assert {"large_files.yml", "models/model.pt"} <= names
    assert "models/shape_prior.pt" not in names


def test_a_failure_while_writing_leaves_the_older_zip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.zip"
    out.write_bytes(b"an older one")

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="disk full"):
        export_bundle(LV, out)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    assert out.read_bytes() == b"an older one"
