"""The model card of a shared bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["shared_card"]

_LINK_OUTSIDE = re.compile(r"\[([^]]*)\]\((?:\.\./){2,}[^)]*\)")  # from docs/ two folders up is elsewhere
_NOTE = """
This copy brings the classes it needs in the folder `scripts` and runs with MONAI alone:

```shell
pip install fire {packages}
```

then `python -m monai.bundle` in this folder. The commands below that begin with `monai-levelset` prepare data
and write reports; they, and files that this page names outside of this folder, belong to the package
monai-levelset.
"""


def shared_card(card: str, digests: Mapping[str, str], packages: Mapping[str, str]) -> str:
    r"""The card with a note below its title.

    Args:
        card: Markdown.
        digests: SHA-256 of a file of the bundle -> that of the file in its place.
        packages: what the bundle requires, name -> version.

    Returns:
        Markdown with the new digests, in which links out of the bundle are plain text.

    Example:
        >>> text = shared_card("# Title\n\nSee [this](../../../docs/a.md).", {}, {"monai": "1.6.1"})
        >>> [line for line in text.splitlines() if "pip" in line or "See" in line]
        ['pip install fire monai==1.6.1', 'See this.']
    """
    for old, new in digests.items():
        card = card.replace(old, new)
    pins = " ".join(f"{name}=={version}" for name, version in packages.items())
    title, line, rest = _LINK_OUTSIDE.sub(r"\1", card).partition("\n")
    return title + line + _NOTE.format(packages=pins) + rest
