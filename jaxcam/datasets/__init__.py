"""Whole data sets: maps of many pictures in a store, and what to see in it."""

from ._report import report

__all__ = ["report"]
