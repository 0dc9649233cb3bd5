"""The parts of `monai-levelset prepare`: examine each case, restart, divide into sections, report."""
