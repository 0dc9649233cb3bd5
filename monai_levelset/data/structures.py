"""One training item for each structure of an image that a user could click."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from monai_levelset.data.datalist import Item

Structures = Mapping[str, Sequence[int]]
"""Structure -> its label values, such as {"disc": [1, 2], "cup": [2]}."""


def structure_items(items: Iterable[Mapping[str, Any]], structures: Structures) -> list[Item]:
    """Repeat each item once per structure, with `structure` and the label `values` that make it up.

    Args:
        items: data-list items.
        structures: structure -> its label values. No values: everything but 0.

    Returns:
        Copies, all structures of an image one after the other; `id` gets the structure's name if there are
        several.

    Raises:
        ValueError: there is no structure.

    Example:
        >>> items = structure_items([{"id": "a", "image": "a.png"}], {"disc": [1, 2], "cup": [2]})
        >>> [(item["id"], item["values"]) for item in items]
        [('a-disc', [1, 2]), ('a-cup', [2])]
    """
    if not structures:
        raise ValueError("`structures` is empty: name at least one, such as {'prostate': [1]}.")
    many = len(structures) > 1
    return [
        {
            **item,
            "id": f"{item['id']}-{name}" if many else item["id"],
            "structure": name,
            "values": list(values),
        }
        for item in items
        for name, values in structures.items()
    ]
