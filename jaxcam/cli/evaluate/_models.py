"""The models of an evaluation: named, opened, and each with the methods that run on it."""

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from ..._terminal import shown
from ...files._labels import Labels
from ...methods import METHODS
from ...probes._flops import flops
from ...probes._probe import Probe
from .._open_model import Wanted, chosen_layer, open_model
from ._cases import Cases
from ._measure import Subject


@dataclass(frozen=True, kw_only=True)
class Models:
    """The models whose maps are measured, as the command line names them: an entry each."""

    model: Sequence[str]
    weights: Sequence[Path]
    layer: Sequence[str]
    labels: Path | None
    dtype: str


def wanted_of(models: Models) -> list[Wanted]:
    """Each model with its weights and its layer."""
    count = len(models.model)
    if count != len(models.weights):
        raise ValueError(
            f"each model needs its weights: got --model {count} and --weights {len(models.weights)} times"
        )
    if models.layer and len(models.layer) != count:
        raise ValueError(
            f"--layer is given for each model or for none: got {len(models.layer)} for {count} models"
        )
    layers = models.layer or [None] * count
    return [
        Wanted(
            model=name,
            weights=weights,
            layer=chosen_layer(name, layer),
            labels=models.labels,
            dtype=models.dtype,
        )
        for name, weights, layer in zip(models.model, models.weights, layers, strict=True)
    ]


def names_of(wanted: Sequence[Wanted]) -> list[str]:
    """A name for each model, with its weights and its layer as far as it takes them to tell it from the others."""
    for names in (
        [each.model for each in wanted],
        [f"{each.model} {shown(each.weights.stem)}" for each in wanted],
        [f"{each.model} {each.layer}" for each in wanted],
        [f"{each.model} {shown(each.weights)} {each.layer}" for each in wanted],
    ):
        if len(set(names)) == len(names):
            return names
    raise ValueError(f"{Counter(names).most_common(1)[0][0]} is given twice")


def subject_of(
    name: str,
    wanted: Wanted,
    options: Mapping[str, Mapping[str, Any]],
    asked: Container[str],
    cases_for: Callable[[Labels, int], Cases],
) -> Subject:
    """Opens a model; a ValueError for a method that was asked for and does not run on it."""
    opened = open_model(wanted)
    forwards, left_out = forwards_of(opened.probe, opened.image, options)
    for each in left_out:
        if each in asked:
            raise ValueError(f"{each} does not run on {name}: {left_out[each]}")
    return Subject(
        name=name,
        model=wanted.model,
        weights=opened.weights,
        layer=opened.layer,
        probe=opened.probe,
        preprocess=opened.preprocess,
        labels=opened.labels,
        cases=cases_for(opened.labels, opened.preprocess.size),
        methods={each: (METHODS[each], options[each]) for each in forwards},
        forwards=forwards,
        left_out=left_out,
    )


def forwards_of(
    looker: Probe, image: jax.ShapeDtypeStruct, options: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, float], dict[str, str]]:
    """What each method costs in forward passes of the model, and why the others do not run."""
    forward = flops(lambda probe, image: probe(image)[0], looker, image)
    costs, left_out = {}, {}
    for name, given in options.items():
        try:
            cost = flops(lambda probe, image: METHODS[name](probe, image, 0, **given), looker, image)  # noqa: B023
            costs[name] = cost / forward
        except (ValueError, TypeError) as error:
            left_out[name] = str(error)
    return costs, left_out
