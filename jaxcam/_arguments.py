"""What arguments of a command mean: options of a method, the folder to write to, memory that does not suffice."""

import ast
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from ._errors import unknown
from ._fuse import channel_sum, principal_component
from .methods import METHODS

FUSES = {each.__name__: each for each in (channel_sum, principal_component)}


def parse_option(method: Callable, text: str) -> tuple[str, Any]:
    """`clusters=12` as a keyword option of the method.

    Raises ValueError for an option that the method does not have.
    """
    name, equals, value = text.partition("=")
    accepted = {
        each.name: each.default
        for each in inspect.signature(method).parameters.values()
        if each.kind is each.KEYWORD_ONLY
    }
    if not equals or name not in accepted:
        hint = "" if equals else " (options are given as NAME=VALUE)"
        raise ValueError(f"{method.__name__}: {unknown('option', name, accepted)}{hint}")
    if callable(accepted[name]):  # a method, or a way to fuse channels, by its name
        table = METHODS if accepted[name] in METHODS.values() else FUSES
        if value not in table:
            raise ValueError(f"{method.__name__}: {unknown(name, value, table)}")
        return name, table[value]
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
    if name == "key" and isinstance(parsed, int):
        return name, jax.random.key(parsed)
    return name, parsed if isinstance(parsed, int | float | None) else value


def check_folder(out: Path, overwrite: bool) -> None:
    """Raises ValueError where `out` cannot be made or written, or holds something that is not to be overwritten."""
    there = next(each for each in (out, *out.absolute().parents) if each.exists())
    if not there.is_dir():
        raise ValueError(f"cannot write to {str(out)!r}: {str(there)!r} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"cannot write to {str(out)!r}: no permission in {str(there)!r}")
    if out.is_dir() and not overwrite and any(out.iterdir()):
        raise ValueError(f"the output folder {str(out)!r} is not empty: choose another, or pass --overwrite")


@contextmanager
def within_memory(batch: int) -> Iterator[None]:
    """Turns what XLA says of memory into a MemoryError that names the batch."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise MemoryError(f"{batch} pictures at once do not fit into the device's memory") from error
