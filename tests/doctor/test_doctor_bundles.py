"""A bundle that is damaged in one place: what is told, and that nothing of it is executed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_levelset.bundles import bundle_folders
from monai_levelset.doctor import Finding
from monai_levelset.doctor.bundles import FILES, bundle_findings, bundle_roots

NAME = "lv_mri_levelset_segmentation"
SOURCE = Path(__file__).resolve().parents[2] / "bundles" / NAME


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of a whole bundle."""
    copy = tmp_path / NAME
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("eval", "predictions", "runs", "logs"))
    return copy


def change(bundle: Path, name: str, edit: Callable[[dict[str, Any]], None]) -> None:
    """Edit a configuration."""
    path = bundle / "configs" / name
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content, indent=4))


def bad(bundle: Path) -> dict[str, Finding]:
    """Check -> its last finding that is not ok."""
    return {finding.check: finding for finding in bundle_findings(bundle) if finding.state != "ok"}


def only_problem(bundle: Path) -> Finding:
    """The one finding that is not ok."""
    (finding,) = bad(bundle).values()
    assert finding.state == "problem"
    return finding


def test_a_whole_bundle_has_nothing_to_fix(bundle: Path) -> None:
    assert bad(bundle) == {}
    found = {finding.check: finding.message for finding in bundle_findings(bundle)}
    assert found["network"] == "model.pt fits ShallowFCN, 51,238 parameters"
    assert found["sha-256"] == "model.pt, model.ts, shape_prior.pt as docs/README.md states"
    assert {finding.section for finding in bundle_findings(bundle)} == {f"bundle {NAME}"}


@pytest.mark.parametrize("root", bundle_folders(), ids=lambda root: root.name)
def test_the_bundles_of_the_collection_have_no_problem(root: Path) -> None:
    assert [finding for finding in bundle_findings(root) if finding.state == "problem"] == []


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    found = bad(bundle)["files"]
    assert (found.state, found.message) == ("problem", f"missing: {name}")
    assert found.fix


def test_broken_json_is_told_with_its_line_and_nothing_else_is_done(bundle: Path) -> None:
    path = bundle / "configs" / "train.json"
    lines = path.read_text().splitlines()
    lines[6] = lines[6].rstrip(",")
    path.write_text("\n".join(lines))
    found = bad(bundle)
    assert "configs/train.json: broken JSON in line 8, column 5" in found["json"].message
    assert found["network"].message.startswith("not built, nothing of the configuration was executed")
    assert "expressions" not in {finding.check for finding in bundle_findings(bundle)}


@pytest.mark.parametrize("content", ["[]", "3"])
def test_a_configuration_that_is_no_object(bundle: Path, content: str) -> None:
    (bundle / "configs" / "joint.json").write_text(content)
    assert bad(bundle)["json"].message == "configs/joint.json: not a JSON object"


def test_a_configuration_that_is_no_text(bundle: Path) -> None:
    (bundle / "configs" / "joint.json").write_bytes(b'{"name": "\xff"}')
    assert "configs/joint.json: cannot be read as text" in bad(bundle)["json"].message


@pytest.mark.parametrize("place", ["network_def", "device", "network", "unused"])
@pytest.mark.parametrize("file", ["inference.json", "joint.json"])
def test_a_forbidden_expression_is_named_and_never_executed(
    bundle: Path, tmp_path: Path, place: str, file: str
) -> None:
    proof = tmp_path / "executed"
    text = f"$__import__('os').system('touch {proof}')"
    change(bundle, file, lambda config: config.update({place: text}))
    found = bad(bundle)
    assert f"configs/{file}#{place}: unknown name __import__" in [
        finding.message for finding in bundle_findings(bundle)
    ]
    assert found["expressions"].state == "problem"
    assert "nothing of the configuration was executed" in found["network"].message
    assert not proof.exists()


@pytest.mark.parametrize(
    "entry",
    [
        {"_target_": "os.system"},
        {"_target_": "torch.os.system"},
        {"_target_": "subprocess.getoutput"},
        {"_target_": "$torch.os.system"},
    ],
)
def test_a_target_of_another_package_is_never_called(
    bundle: Path, tmp_path: Path, entry: dict[str, Any]
) -> None:
    proof = tmp_path / "executed"
    call = {**entry, "_args_": [f"touch {proof}"], "command": f"touch {proof}"}
    change(bundle, "inference.json", lambda config: config.update(network_def=call))
    found = bad(bundle)
    assert found["targets"].message.startswith("configs/inference.json#network_def#_target_: ")
    assert "nothing of the configuration was executed" in found["network"].message
    assert not proof.exists()


def test_an_included_file_from_elsewhere_is_not_executed(bundle: Path, tmp_path: Path) -> None:
    proof, other = tmp_path / "executed", tmp_path / "other.json"
    other.write_text(json.dumps({"net": f"$__import__('os').system('touch {proof}')"}))
    change(bundle, "inference.json", lambda config: config.update(network_def=f"%{other}::net"))
    found = bad(bundle)
    assert found["includes"].message == (
        f"configs/inference.json: %{other} is none of the bundle's own configurations"
    )
    assert not proof.exists()


def test_an_included_file_that_is_missing(bundle: Path) -> None:
    change(bundle, "joint.json", lambda config: config.update(more="%absent.json::x"))
    assert bad(bundle)["includes"].message == "configs/joint.json: %absent.json does not exist"


@pytest.mark.parametrize(
    ("target", "meant"),
    [("monai_levelset.networks.ShalowFCN", "ShallowFCN"), ("SuperviseEvaluator", "SupervisedEvaluator")],
)
def test_a_misspelt_target_comes_with_the_right_one(bundle: Path, target: str, meant: str) -> None:
    change(bundle, "inference.json", lambda config: config["evaluator"].update(_target_=target))
    found = bad(bundle)["targets"]
    assert found.message.startswith(f"configs/inference.json#evaluator#_target_: {target} ")
    assert found.message.endswith(f"did you mean {meant}?")


def test_metadata_without_a_required_entry(bundle: Path) -> None:
    change(bundle, "metadata.json", lambda metadata: metadata.pop("network_data_format"))
    assert (
        only_problem(bundle).message == "configs/metadata.json: 'network_data_format' is a required property"
    )


def test_metadata_whose_changelog_lacks_the_version(bundle: Path) -> None:
    change(bundle, "metadata.json", lambda metadata: metadata.update(version="9.9.9"))
    assert only_problem(bundle).message.endswith("changelog does not name the version 9.9.9")


def test_metadata_of_a_wrong_kind_is_told_with_its_place(bundle: Path) -> None:
    def edit(metadata: dict[str, Any]) -> None:
        metadata["network_data_format"]["inputs"]["image"]["num_channels"] = "one"

    change(bundle, "metadata.json", edit)
    message = only_problem(bundle).message
    assert "network_data_format#inputs#image#num_channels: 'one' is not of type 'integer'" in message


def test_a_package_that_the_bundle_requires(bundle: Path) -> None:
    change(
        bundle, "metadata.json", lambda m: m["required_packages_version"].update({"no-such-package": "1.0"})
    )
    found = only_problem(bundle)
    assert (found.message, found.fix) == ("no-such-package is not installed", "pip install no-such-package")


def test_a_reference_to_nothing(bundle: Path) -> None:
    change(bundle, "inference.json", lambda config: config.update(network="$@network_deff.to(@device)"))
    assert only_problem(bundle).message == "configs/inference.json: #network: @network_deff is not defined"


def test_an_entry_that_monai_needs(bundle: Path) -> None:
    change(bundle, "inference.json", lambda config: config.pop("run"))
    expected = "configs/inference.json: run is missing, which MONAI's commands need"
    assert only_problem(bundle).message == expected


def test_a_macro_that_leads_nowhere(bundle: Path) -> None:
    change(bundle, "train.json", lambda config: config.update(run="%trainingg"))
    assert only_problem(bundle).message.startswith("configs/train.json: a % reference leads nowhere")


def test_a_configuration_that_includes_one_of_the_bundle_is_left_alone(bundle: Path, tmp_path: Path) -> None:
    change(
        bundle, "inference.json", lambda config: config.update(network_def="%configs/train.json::network_def")
    )
    (found,) = bad(bundle).values()
    assert (found.check, found.state) == ("network", "warning")
    assert found.message.endswith("because inference.json is missing or includes other files")


def test_truncated_weights(bundle: Path) -> None:
    path = bundle / "models" / "model.pt"
    path.write_bytes(path.read_bytes()[:100_000])
    found = bad(bundle)
    assert found["weights"].message.startswith("models/model.pt: truncated, damaged")
    assert found["sha-256"].message.startswith("models/model.pt is not the file that docs/README.md")
    assert found["network"].state == "problem"
    assert all(found[check].fix for check in ("weights", "sha-256"))


def test_weights_that_would_run_code_are_not_loaded(bundle: Path, tmp_path: Path) -> None:
    proof = tmp_path / "executed"

    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (proof,)

    torch.save({"model": Touch()}, bundle / "models" / "model.pt")
    assert "weights_only=True" in bad(bundle)["weights"].message
    assert not proof.exists()


def test_weights_of_another_network(bundle: Path) -> None:
    torch.save(torch.nn.Linear(2, 1).state_dict(), bundle / "models" / "model.pt")
    found = bad(bundle)
    assert "belongs to another network than ShallowFCN" in found["network"].message
    assert "weights" not in found


def test_a_wrong_hash_is_told_with_the_right_one(bundle: Path) -> None:
    card = bundle / "docs" / "README.md"
    stated = "1b1ffe3cd5cfe629f939697c1c5fd0fe046e87c3e67b00c3bda7df4f9db21d4b"
    text = card.read_text()
    assert stated in text
    card.write_text(text.replace(stated, "0" * 64))
    found = only_problem(bundle)
    assert found.check == "sha-256"
    assert found.message.startswith("models/model.pt is not the file that docs/README.md describes")
    assert found.fix.endswith(stated)


def test_own_weights_are_a_warning_where_the_bundle_was_trained(bundle: Path) -> None:
    path = bundle / "models" / "model.pt"
    torch.save({k: v + 1 for k, v in torch.load(path, weights_only=True).items()}, path)
    assert bad(bundle)["sha-256"].state == "problem"
    (bundle / "eval").mkdir()
    (bundle / "eval" / "checkpoint.pt").touch()
    (found,) = bad(bundle).values()
    assert (found.check, found.state) == ("sha-256", "warning")


def test_weights_without_a_stated_hash_are_a_warning(bundle: Path) -> None:
    (bundle / "docs" / "README.md").write_text("# Model card\n")
    (found,) = bad(bundle).values()
    assert (found.state, found.message) == ("warning", "docs/README.md states no SHA-256 of model.pt")
    assert "1b1ffe3cd5cfe629" in found.fix


def test_missing_weights(bundle: Path) -> None:
    (bundle / "models" / "model.pt").unlink()
    assert only_problem(bundle).message == "models/model.pt is missing"
    (bundle / "large_files.yml").write_text("large_files: []\n")
    assert "download_large_files" in only_problem(bundle).fix


def test_a_missing_export_is_a_warning(bundle: Path) -> None:
    (bundle / "models" / "model.ts").unlink()
    (found,) = bad(bundle).values()
    assert (found.state, found.message) == (
        "warning",
        "models/model.ts is named in docs/README.md, but is missing",
    )


@pytest.mark.parametrize(
    ("network", "told"),
    [
        ({"_target_": "monai_levelset.networks.ShallowFCN", "colours": 3}, "cannot be built"),
        ({"_target_": "torch.zeros", "size": [1]}, "is no network but a Tensor"),
    ],
)
def test_a_network_that_cannot_be_built(bundle: Path, network: dict[str, Any], told: str) -> None:
    change(bundle, "inference.json", lambda config: config.update(network_def=network))
    assert told in only_problem(bundle).message


def test_a_bundle_is_found_by_name_and_by_folder(bundle: Path) -> None:
    (bundle / "configs" / "inference.json").unlink()  # incomplete, to be told, not to be refused
    assert bundle_roots(bundle) == [bundle]
    assert [root.name for root in bundle_roots(NAME)] == [NAME]
    assert len(bundle_roots(None)) == 7
    with pytest.raises(FileNotFoundError, match="known names: brats"):
        bundle_roots("absent")
