"""Checkpoints of torch models into jaxcam's, and back."""

from converters._convert import from_torch, to_torch

__all__ = ["from_torch", "to_torch"]
