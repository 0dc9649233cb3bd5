"""What a reader of a public data set tells: its cases, and what the data set is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Convert = Callable[["Case", Path], tuple[list[Path], list[Path]]]


@dataclass(frozen=True)
class Case:
    """One case of a data set, as its files lie in the source.

    Attributes:
        id: unique name, also the name of converted files.
        patient: what must not be divided between sections.
        image: the image's files; several are channels, in order.
        label: the label's files; none for an unlabelled case, several for several annotators.
        section: `training`, `validation` or `test` where the data set says so; None: to be drawn.
        convert: writes files that MONAI reads on one grid, `convert(case, folder) -> (images, labels)`, named
            after `id`, each under a temporary name first; None where the source's files are used as they are.
            A function of a module, so that it can run in another process.
        extra: further entries of the data-list item, such as phase or pathology.
    """

    id: str
    patient: str
    image: tuple[Path, ...]
    label: tuple[Path, ...] = ()
    section: str | None = None
    convert: Convert | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceListing:
    """What a reader found in a source folder.

    Attributes:
        name: full name.
        description: one sentence with the source and the licence.
        modality: e.g. `CT`, `MRI`, `RGB`.
        labels: meaning of each label value, e.g. `{"0": "background", "1": "liver"}`.
        cases: all of them, in a stable order.
        channels: meaning of each image channel; empty for one.
        skipped: one line per file that was left out, with the reason.
    """

    name: str
    description: str
    modality: str
    labels: Mapping[str, str]
    cases: Sequence[Case]
    channels: Sequence[str] = ()
    skipped: Sequence[str] = ()


class Reader(Protocol):
    """A function that looks at a source folder and reads no voxel: names, folders and tables only."""

    def __call__(self, source: Path, **options: str) -> SourceListing:
        """Find the cases.

        Raises:
            DataError: the layout is another one, or files are missing; the message lists every one of them.
        """
        ...
