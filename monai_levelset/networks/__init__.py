"""Networks of the five papers."""

from .shallow_fcn import ShallowFCN

__all__ = ["ShallowFCN"]
