"""Conceptor algebra: soft subspaces of channel space, with a NOT, an AND and an OR."""

from ._algebra import (
    Conceptor,
    adapt,
    and_,
    and_not,
    evidence,
    learn,
    matrix,
    not_,
    or_,
    quota,
)

__all__ = ["Conceptor", "adapt", "and_", "and_not", "evidence", "learn", "matrix", "not_", "or_", "quota"]
