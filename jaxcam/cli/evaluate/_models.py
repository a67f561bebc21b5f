"""The models of an evaluation: named, opened, and each with the methods that run on it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax

from ..._terminal import shown
from ...files._labels import Labels
from ...probes._flops import flops
from ...probes._probe import Probe
from .._chosen_method import chosen_method
from .._open_model import OpenedModel, Wanted, brings_its_own, check_wanted, layer_of, open_model
from .._pixels import Pixels
from ._cases import Cases
from ._measure import Subject
from ._methods import Asked, dear_of


@dataclass(frozen=True, kw_only=True)
class Models:
    """The models whose maps are measured, as the command line names them: an entry each."""

    model: Sequence[str]
    weights: Sequence[Path]
    layer: Sequence[str]
    labels: Path | None
    dtype: str
    pixels: Pixels = field(default_factory=Pixels)


def wanted_of(models: Models) -> list[Wanted]:
    """Each model with its weights and its layer."""
    count = len(models.model)
    checkpoints = checkpoints_of(models)
    if models.layer and len(models.layer) != count:
        raise ValueError(
            f"--layer is given for each model or for none: got {len(models.layer)} for {count} models"
        )
    layers = models.layer or [None] * count
    found = [
        Wanted(
            model=name,
            weights=weights,
            layer=layer,
            labels=models.labels,
            dtype=models.dtype,
            pixels=models.pixels,
        )
        for name, weights, layer in zip(models.model, checkpoints, layers, strict=True)
    ]
    for each in found:
        check_wanted(each)
    return found


def checkpoints_of(models: Models) -> Sequence[Path | None]:
    """The weights of each model. They may be left out for all models that bring theirs: functions and explainers."""
    names, given = models.model, list(models.weights)
    if len(given) == len(names):
        return given
    needing = [not brings_its_own(name) for name in names]
    if len(given) != sum(needing):
        raise ValueError(
            f"each model needs its weights: got --model {len(names)} and --weights {len(given)} times"
        )
    return [given.pop(0) if needed else None for needed in needing]


def names_of(wanted: Sequence[Wanted]) -> list[str]:
    """A name for each model, with its weights and its layer as far as it takes them to tell it from the others."""
    for names in (
        [each.model for each in wanted],
        [f"{each.model} {shown(each.weights.stem)}" if each.weights else each.model for each in wanted],
        [f"{each.model} {layer_of(each)}" for each in wanted],
        [f"{each.model} {shown(each.weights or '')} {layer_of(each)}" for each in wanted],
    ):
        if len(set(names)) == len(names):
            return names
    raise ValueError(f"{Counter(names).most_common(1)[0][0]} is given twice")


def subject_of(
    name: str,
    wanted: Wanted,
    options: Mapping[str, Mapping[str, Any]],
    asked: Asked,
    cases_for: Callable[[Labels, int], Cases],
) -> Subject:
    """Opens a model.

    Raises ValueError for a method that was asked for by name and does not run on it, and where no method does.
    """
    opened = open_model(wanted)
    methods = methods_of(opened, options, asked)
    forwards, left_out = forwards_of(opened.probe, opened.image, methods)
    for each, reason in left_out.items():
        if each in asked.named or not forwards:
            raise ValueError(f"{each} does not run on {name}: {reason}")
    dear = dear_of(forwards, asked.swept)
    forwards = {each: cost for each, cost in forwards.items() if each not in dear}
    return Subject(
        name=name,
        model=wanted.model,
        weights=opened.weights,
        layer=opened.layer,
        probe=opened.probe,
        preprocess=opened.preprocess,
        labels=opened.labels,
        cases=cases_for(opened.labels, opened.preprocess.size),
        methods={each: methods[each] for each in forwards},
        forwards=forwards,
        left_out=left_out,
        dear=dear,
    )


def methods_of(
    opened: OpenedModel, options: Mapping[str, Mapping[str, Any]], asked: Asked
) -> dict[str, tuple[Callable, Mapping[str, Any]]]:
    """The methods to measure on a model, each with its options; of an explainer, its own.

    Raises ValueError for another method that was asked for by name of an explainer, or options of its own.
    """
    if opened.own is None:
        return {name: (asked.methods[name], given) for name, given in options.items()}
    for name in asked.named:
        chosen_method(opened, name, [f"{name}.{each}" for each in options.get(name, ())])
    own = chosen_method(opened, None, ())
    return {own.name: (own.function, own.options)}


def forwards_of(
    looker: Probe, image: jax.ShapeDtypeStruct, methods: Mapping[str, tuple[Callable, Mapping[str, Any]]]
) -> tuple[dict[str, float], dict[str, str]]:
    """What each method costs in forward passes of the model, and why the others do not run."""
    forward = flops(lambda probe, image: probe(image)[0], looker, image)
    costs, left_out = {}, {}
    for name, (method, given) in methods.items():
        try:
            cost = flops(lambda probe, image: method(probe, image, 0, **given), looker, image)  # noqa: B023
            costs[name] = cost / forward if forward else 1.0  # the operations of an explainer are not seen
        except (ValueError, TypeError) as error:
            left_out[name] = str(error)
    return costs, left_out
