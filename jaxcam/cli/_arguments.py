"""Parses arguments of commands: options of methods, and the output folder."""

import ast
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax

from .._errors import unknown
from .._fuse import channel_sum, principal_component
from ..methods import METHODS
from ..methods._expression import method_named

FUSES = {each.__name__: each for each in (channel_sum, principal_component)}


def parse_options(methods: Mapping[str, Callable], texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Keyword options of each method: `clusters=12` of all that have it, `clustercam.clusters=12` of that one.

    A transform may be spelled in any way: `smoothed(gradcam,samples=4).fuse=channel_sum`.

    Raises ValueError for an option that none of the methods has, and for one that is given twice.
    """
    options: dict[str, dict[str, Any]] = {name: {} for name in methods}
    names = {_spelled(name): name for name in methods}
    for text in texts:
        left, equals, value = _split(text)
        owner, dot, name = left.strip().rpartition(".")
        owner = names.get(_spelled(owner), owner)
        if not equals or (dot and not owner):
            raise ValueError(
                f"an option is given as NAME=VALUE or METHOD.NAME=VALUE, such as fuse=channel_sum or "
                f"clustercam.clusters=8; got {text!r}"
            )
        if dot and owner not in methods:
            raise ValueError(f"option {text!r}: {unknown('method', owner, methods, show=99)}")
        takers = [each for each in ([owner] if dot else methods) if name in accepted(methods[each])]
        if not takers:
            known = dict.fromkeys(
                each for one in ([owner] if dot else methods) for each in accepted(methods[one])
            )
            who = owner or (next(iter(methods)) if len(methods) == 1 else "none of the methods has it")
            raise ValueError(f"{who}: {unknown('option', name, known)}")
        for each in takers:
            if name in options[each]:
                raise ValueError(f"option {name!r} of {each} is given twice; the second time as {text!r}")
            options[each][name] = _parsed(methods[each], name, value)
    return options


def _split(text: str) -> tuple[str, str, str]:
    """An option before its equals sign, the sign, and the rest. Signs within brackets are a transform's settings."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "=" and depth == 0:
            return text[:place], letter, text[place + 1 :]
    return text, "", ""


def _spelled(method: str) -> str:
    """A method's text, or that of a transform as Python writes it."""
    try:
        return method_named(method).__name__ if "(" in method else method
    except ValueError:
        return method


def method_options(method: str, texts: Iterable[str]) -> dict[str, Any]:
    """Keyword options of one method, or of a transform of one, as `parse_options`; ValueError for no such method."""
    return parse_options({method: method_named(method)}, texts)[method]


def accepted(method: Callable) -> dict[str, Any]:
    """The method's options and their defaults."""
    parameters = inspect.signature(method).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


def _parsed(method: Callable, name: str, value: str) -> Any:
    default = accepted(method)[name]
    if callable(default):  # a method, or a way to fuse channels, by its name
        table = METHODS if default in METHODS.values() else FUSES
        if value not in table:
            raise ValueError(f"{method.__name__}: {unknown(name, value, table)}")
        return table[value]
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
    if name == "key" and isinstance(parsed, int):
        return jax.random.key(parsed)
    return parsed if isinstance(parsed, int | float | None) else value


def check_folder(out: Path, overwrite: bool) -> None:
    """Raises ValueError where `out` cannot be made or written, or holds something that is not to be overwritten."""
    there = next(each for each in (out, *out.absolute().parents) if each.exists())
    if not there.is_dir():
        raise ValueError(f"cannot write to {str(out)!r}: {str(there)!r} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"cannot write to {str(out)!r}: no permission in {str(there)!r}")
    if out.is_dir() and not overwrite and any(out.iterdir()):
        raise ValueError(f"the output folder {str(out)!r} is not empty: choose another, or pass --overwrite")
