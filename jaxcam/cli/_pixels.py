"""The preprocessing of pictures as options say it, or as a model or a file does."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from .._errors import brief, choose
from ..models._preprocess import IMAGENET, Preprocess

INTERPOLATIONS = {each.name.lower(): each for each in Image.Resampling}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pixels:
    """What options say of the preprocessing; None for what they do not say."""

    image_size: int | None = None
    resize: int | None = None
    mean: str | None = None
    std: str | None = None
    interpolation: str | None = None

    def given(self) -> dict[str, Any]:
        """The fields of `Preprocess` that are said.

        Raises ValueError for channels that are not one or three numbers.
        """
        found = {
            "size": self.image_size,
            "resize": self.resize,
            "mean": self.mean and _channels("mean", self.mean),
            "std": self.std and _channels("std", self.std),
            "interpolation": self.interpolation and INTERPOLATIONS[self.interpolation],
        }
        return {name: value for name, value in found.items() if value is not None}


def preprocessing(pixels: Pixels, known: Preprocess | None, who: str) -> Preprocess:
    """The preprocessing that the options say, and what is known of the model where they say nothing.

    Raises ValueError where neither says the size, the mean or the deviation.
    """
    given = pixels.given()
    if known is not None:
        if "size" in given and "resize" not in given:  # the same proportions of the crop
            given["resize"] = round(given["size"] * known.resize / known.size)
        return dataclasses.replace(known, **given)
    options = {"size": "--image-size", "mean": "--mean", "std": "--std"}
    if missing := [option for name, option in options.items() if name not in given]:
        ours = ",".join(map(str, IMAGENET.mean)), ",".join(map(str, IMAGENET.std))
        raise ValueError(
            f"{who} does not say how pictures are preprocessed: pass {', '.join(missing)} (ImageNet's: --image-size "
            f"224 --mean {ours[0]} --std {ours[1]}), or give the model an attribute `preprocess`, a "
            "jaxcam.models.Preprocess"
        )
    return Preprocess(**{"resize": given["size"], **given})


def as_preprocess(value: object, who: str) -> Preprocess | None:
    """A `Preprocess`, or a mapping of its fields, as a `Preprocess`; None for None.

    Raises ValueError for anything else.
    """
    if value is None or isinstance(value, Preprocess):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(
            f"{who}: its preprocess must be a jaxcam.models.Preprocess, or a dictionary of its fields; got a "
            f"{type(value).__name__}"
        )
    for name in value:
        choose("field of a preprocessing", str(name), _FITS)
    fields: dict[str, Any] = dict(value)
    if "size" not in fields:
        raise ValueError(f"{who}: its preprocess says no size")
    if isinstance(word := fields.get("interpolation"), str):
        fields["interpolation"] = choose("interpolation", word, INTERPOLATIONS)
    for name, each in fields.items():
        if not _FITS[name](each):
            raise ValueError(f"{who}: the {name} of its preprocess cannot be {brief(each)}")
    fields |= {name: tuple(map(float, fields[name])) for name in ("mean", "std") if name in fields}
    return Preprocess(**{"resize": fields["size"], **fields})


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_colour(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(isinstance(each, int | float) and math.isfinite(each) for each in value)
    )


_FITS: dict[str, Callable[[Any], bool]] = {
    "size": _is_side,
    "resize": _is_side,
    "mean": _is_colour,
    "std": lambda value: _is_colour(value) and min(value) > 0,
    "interpolation": lambda value: isinstance(value, Image.Resampling),
    "keep_aspect": lambda value: isinstance(value, bool),
}


def _channels(name: str, text: str) -> tuple[float, float, float]:
    try:
        numbers = [float(each) for each in text.replace(" ", ",").split(",") if each]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3):
        raise ValueError(
            f"--{name} is a number, or one for each of red, green and blue, such as 0.5,0.5,0.5; got {text!r}"
        )
    if name == "std" and min(numbers) <= 0:
        raise ValueError(f"--std is what values are divided by, so above 0; got {text!r}")
    red, green, blue = numbers * (3 // len(numbers))
    return red, green, blue
