"""Names of a user's own training script: prefixes to replace, and the replacement that would make a checkpoint fit."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np

from ._fit import Fit, fit, weights
from ._names import PREFIXES, state_dict

Value = TypeVar("Value")
_DEEP = 3  # parts of a prefix that are tried
_LAYER = 4  # arrays of a layer at most


def renamed(arrays: Mapping[str, Value], rename: Mapping[str, str]) -> dict[str, Value]:
    """`arrays` with other beginnings of their names: by `{"backbone.": ""}`, `backbone.fc.bias` becomes `fc.bias`.

    Each name is changed once, by the longest of the prefixes that it begins with.

    Raises:
        TypeError: `rename` does not map texts to texts.
        ValueError: a prefix with which no name begins, or two arrays under one name.
    """
    if not isinstance(rename, Mapping) or not all(
        isinstance(each, str) for pair in rename.items() for each in pair
    ):
        raise TypeError(
            f"rename maps prefixes of names to others, such as {{'backbone.': ''}}, got {rename!r}"
        )
    order = sorted(rename, key=len, reverse=True)
    for prefix in order:
        if not any(key.startswith(prefix) for key in arrays) and (prefix, rename[prefix]) not in _TAKEN_OFF:
            begins = ", ".join(sorted({_layer(key) for key in arrays})[:8])
            raise ValueError(f"rename: no name begins with {prefix!r}; they begin with {begins}")
    found = {}
    for key, value in arrays.items():
        prefix = next((each for each in order if key.startswith(each)), "")
        new = rename[prefix] + key.removeprefix(prefix) if prefix else key
        if new in found:
            raise ValueError(f"rename: two arrays would be called {new!r}")
        found[new] = value
    return found


_TAKEN_OFF = {(prefix, "") for prefix in PREFIXES}  # those that `read` has taken off already


def recipe(arrays: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]]) -> dict[str, str] | None:
    """The `rename` that is all that keeps `arrays` from fitting: a prefix, a head of another name, or both.

    The number of classes, and of positions, may differ.
    """
    tried = []
    for prefix in _prefixes(arrays, wanted):
        try:
            names = renamed(arrays, prefix)
            given = {key: value.shape for key, value in weights(state_dict(names), wanted).items()}
        except ValueError:  # two arrays under one name
            continue
        found = fit(wanted, given)
        if _fits(found):
            return prefix
        tried.append((prefix, found, given))
    for prefix, found, given in tried:
        if (head := _head(found, wanted, given)) is None:
            continue
        old, new = head
        swapped = {new + key.removeprefix(old) if key.startswith(old) else key: given[key] for key in given}
        # as the names are before the prefix is replaced
        before = next((p + old for p in prefix if any(key.startswith(p + old) for key in arrays)), old)
        if _fits(fit(wanted, swapped)) and any(key.startswith(before) for key in arrays):
            return prefix | {before: new}
    return None


def _prefixes(arrays: Iterable[str], wanted: Iterable[str]) -> list[dict[str, str]]:
    """Renamings that are worth a try: none, and the beginnings of all names that the model lacks but one layer's."""
    known = set(wanted)
    lacking = [key for key in arrays if key not in known]
    counts = Counter(
        ".".join(parts[:count]) + "."
        for parts in (key.split(".") for key in lacking)
        for count in range(1, min(_DEEP, len(parts) - 1) + 1)
    )
    return [{}, *({prefix: ""} for prefix, count in counts.items() if count >= max(1, len(lacking) - _LAYER))]


def _fits(found: Fit) -> bool:
    shapes = {key: pair for key, pair in found.misshaped.items() if not key.endswith("pos_embedding")}
    rest = found._replace(misshaped=shapes)
    return not (found.missing or found.unexpected) and (not shapes or rest.classes is not None)


def _head(found: Fit, wanted: Mapping, given: Mapping) -> tuple[str, str] | None:
    """(the checkpoint's, the model's) name of the one layer that has another name in each."""
    layers = [{_layer(key) for key in keys} for keys in (found.unexpected, found.missing)]
    if any(len(each) != 1 for each in layers):
        return None
    (old,), (new,) = layers
    theirs, ours = given.get(old + "weight"), wanted.get(new + "weight")
    return (old, new) if theirs is not None and ours is not None and theirs[1:] == ours[1:] else None


def _layer(key: str) -> str:
    """`fc.1.weight` -> `fc.1.`"""
    return key.rpartition(".")[0] + "."
