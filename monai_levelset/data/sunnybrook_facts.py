"""Facts about the Sunnybrook Cardiac Data: its parts, its contours, its short-axis series."""

from __future__ import annotations

__all__ = ["CONTOURS", "SAX_SERIES", "SPLITS"]

CONTOURS = {"endocardium": "i", "epicardium": "o"}
"""Letter in the contour file's name, per structure: inner and outer contour."""


def _names(**numbers: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"SC-{group.replace('_', '-')}-{n:02d}" for group, ns in numbers.items() for n in ns)


SPLITS: dict[str, tuple[str, ...]] = {
    "training": _names(HF_I=(1, 2, 4, 40), HF_NI=(3, 4, 34, 36), HYP=(1, 3, 38, 40), N=(2, 3, 40)),
    "validation": _names(HF_I=(5, 6, 7, 8), HF_NI=(7, 11, 31, 33), HYP=(6, 7, 8, 37), N=(5, 6, 7)),
    "test": _names(HF_I=(9, 10, 11, 12), HF_NI=(12, 13, 14, 15), HYP=(9, 10, 11, 12), N=(9, 10, 11)),
}
"""The challenge's parts, 15 patients each: training, validation and online (here: test)."""

SAX_SERIES: dict[str, tuple[str, ...]] = {
    "SC-HF-I-01": ("0004",),
    "SC-HF-I-02": ("0106",),
    "SC-HF-I-04": ("0116",),
    "SC-HF-I-05": ("0156",),
    "SC-HF-I-06": ("0180",),
    "SC-HF-I-07": ("0209",),
    "SC-HF-I-08": ("0226",),
    "SC-HF-I-09": ("0241",),
    "SC-HF-I-10": ("0024",),
    "SC-HF-I-11": ("0043",),
    "SC-HF-I-12": ("0062",),
    "SC-HF-I-40": ("0134",),
    "SC-HF-NI-03": ("0379",),
    "SC-HF-NI-04": ("0501",),
    "SC-HF-NI-07": ("0523",),
    "SC-HF-NI-11": ("0270",),
    "SC-HF-NI-12": ("0286",),
    "SC-HF-NI-13": ("0304",),
    "SC-HF-NI-14": ("0331",),
    "SC-HF-NI-15": ("0359",),
    "SC-HF-NI-31": ("0401",),
    "SC-HF-NI-33": ("0424",),
    "SC-HF-NI-34": ("0446",),
    "SC-HF-NI-36": ("0474",),
    "SC-HYP-01": ("0550",),
    "SC-HYP-03": ("0650",),
    "SC-HYP-06": ("0767",),
    "SC-HYP-07": ("0007",),
    "SC-HYP-08": ("0796",),
    "SC-HYP-09": ("0003",),
    "SC-HYP-10": ("0579",),
    "SC-HYP-11": ("0601",),
    "SC-HYP-12": ("0629",),
    "SC-HYP-37": ("0702",),
    "SC-HYP-38": ("0734",),
    "SC-HYP-40": ("0755",),
    "SC-N-02": ("0898",),
    "SC-N-03": ("0915",),
    "SC-N-05": ("0963",),
    "SC-N-06": ("0981", "0984"),
    "SC-N-07": ("1009",),
    "SC-N-09": ("1031",),
    "SC-N-10": ("0851",),
    "SC-N-11": ("0878",),
    "SC-N-40": ("0944",),
}
"""Series number of the short-axis cine in the challenge's own image folders, per patient.

Sources disagree about SC-N-06, so both numbers are listed; it matters only where two series hold all
contoured images.
"""
