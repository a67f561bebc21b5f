"""The `config.json` of a checkpoint of timm's: which network it is of, and its preprocessing."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from PIL import Image

from .._architecture import Architecture
from .._preprocess import Preprocess
from . import timm_architecture

_WAYS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")


class Config(NamedTuple):
    """What a `config.json` says.

    Attributes:
        name: timm's name of the network.
        classes: length of the output, 0 for features; None where it is not said.
        arguments: what the network is built with, beside what its name says.
        inputs: how pictures are resized, cropped and normalised: timm's `pretrained_cfg`.
    """

    name: str
    classes: int | None
    arguments: Mapping[str, Any]
    inputs: Mapping[str, Any]

    @classmethod
    def parse(cls, content: object) -> "Config | None":
        """From a file's content; None where it is not of timm's."""
        if not isinstance(content, Mapping) or not isinstance(name := content.get("architecture"), str):
            return None
        inputs = content.get("pretrained_cfg", content)  # at first the two were one
        arguments = content.get("model_args") or {}
        if (
            not isinstance(inputs, Mapping)
            or not isinstance(arguments, Mapping)
            or "input_size" not in inputs
        ):
            return None
        classes = content.get("num_classes", inputs.get("num_classes"))
        return cls(name, classes if isinstance(classes, int) else None, arguments, inputs)

    def architecture(self) -> Architecture:
        """How to build the network.

        Raises ValueError for one that is not built here, and names the feature that is missing.
        """
        channels, rows, columns = self._input_size()
        if (channels, columns) != (3, rows):
            raise ValueError(f"timm's {self.name!r} is not served: pictures of {[channels, rows, columns]}")
        built = {key: value for key, value in self.arguments.items() if key != "num_classes"}
        if (largest := max(_numbers(built), default=0)) > _LARGEST:
            raise ValueError(f"{self._misunderstood} an argument of {largest}")
        try:
            return timm_architecture(self.name, {"size": rows} | dict(self.arguments))
        except (TypeError, KeyError, IndexError, AttributeError, ZeroDivisionError) as error:
            raise ValueError(f"{self._misunderstood} {error}") from error

    def preprocess(self) -> Preprocess:
        """As `timm.data.create_transform` has it for the evaluation of this checkpoint.

        Raises ValueError for what is not served: pictures of unequal sides or other channels, borders.
        """
        try:
            channels, rows, columns = self._input_size()
            fraction = float(self.inputs.get("crop_pct") or 0.875)
            mean, std = (_three(self.inputs.get(key) or usual) for key, usual in _USUAL.items())
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self._misunderstood} {error}") from error
        if (
            not 0.1 <= fraction <= 1
            or not all(map(math.isfinite, mean))
            or not all(0 < each < 1e3 for each in std)
        ):
            raise ValueError(f"{self._misunderstood} crop_pct={fraction}, mean={mean}, std={std}")
        way, mode = self.inputs.get("interpolation") or "bilinear", self.inputs.get("crop_mode") or "center"
        for name, value, allowed in (
            ("interpolation", way, _WAYS),
            ("crop_mode", mode, ("center", "squash")),
            ("input_size", [channels, rows, columns], ([3, rows, rows],)),
        ):
            if value not in allowed:
                raise ValueError(f"timm's {self.name!r} is not served: preprocessing with {name}={value}")
        return Preprocess(
            resize=math.floor(rows / fraction),
            size=rows,
            mean=mean,
            std=std,
            interpolation=Image.Resampling[way.upper()],
            keep_aspect=mode == "center",
        )

    def _input_size(self) -> tuple[int, int, int]:
        """Channels, height and width of a picture."""
        match self.inputs["input_size"]:
            case [int(channels), int(rows), int(columns)] if 0 < rows <= _LARGEST and columns > 0:
                return channels, rows, columns
            case other:
                raise ValueError(f"{self._misunderstood} input_size={other}")

    @property
    def _misunderstood(self) -> str:
        return f"the config.json of timm's {self.name!r} is not understood:"


def _numbers(value: object) -> Iterator[float]:
    """All numbers in what JSON holds."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, int | float):
        yield abs(value)


_LARGEST = 8192  # of the numbers that a network is built with: what a file says must not take hours to build
_USUAL = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def _three(values: Iterable[Any]) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue
