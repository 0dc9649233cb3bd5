"""Share a bundle: the command `monai-levelset export-bundle`."""

from monai_levelset.export.command import export_bundle

__all__ = ["export_bundle"]
