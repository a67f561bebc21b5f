"""Imports torchvision, also beside a build of torch for which its compiled operations do not load."""

import warnings
from types import ModuleType

import pytest

# The compiled operations that torchvision asks for by name while it is imported. None is run by a classifier.
_OPERATIONS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_libraries = []  # an operation lives as long as the library object that defined it


def load() -> ModuleType:
    """torchvision; skips the calling test where torch or torchvision is not installed."""
    torch = pytest.importorskip("torch")
    for name, schema in _OPERATIONS.items():
        try:
            return _import()
        except RuntimeError as error:
            if f"torchvision::{name} does not exist" not in str(error):
                raise
            _libraries.append(torch.library.Library("torchvision", "FRAGMENT"))
            _libraries[-1].define(schema)
    return _import()


def _import() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the image codecs, which are not used
        try:
            import torchvision
        except ModuleNotFoundError:
            pytest.skip("torchvision is not installed")
    return torchvision
