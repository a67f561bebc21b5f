"""Words for error messages."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar, overload

Value = TypeVar("Value")

_CALLED = {"gpu": "cuda", "nvidia": "cuda", "amd": "rocm"}  # platforms by another name


@contextmanager
def foreign(words: str) -> Iterator[None]:
    """Context manager for a library that reads a file: any error that it raises for damaged bytes becomes a ValueError.

    What the operating system says of the file (an OSError with a number) stays as it is.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = "takes more memory than there is" if isinstance(error, MemoryError) else str(error).strip()
        raise ValueError(f"{words}: {cut((reason or type(error).__name__).splitlines()[0], 500)}") from error


def unknown(kind: str, name: str, known: Iterable[str], *, show: int = 12) -> str:
    """`no layer 'layer5'; did you mean 'layer4'? There are: conv1, bn1, ...`"""
    names = [str(each) for each in known]
    near = nearest(str(name), names, cutoff=0.5)
    guess = f"; did you mean {near!r}?" if near else "."
    rest = f", ... ({len(names)} in all)" if len(names) > show else ""
    return f"no {kind} {brief(name)}{guess} There are: {', '.join(each[:100] for each in names[:show])}{rest}"


def nearest(name: str, known: Iterable[str], *, cutoff: float) -> str | None:
    """The name in `known` that is spelled most like `name`: `Grad-CAM++` is gradcampp; None where none is like it."""
    names = list(known)
    plain = {_letters(each): each for each in names}
    if (same := _CALLED.get(name.casefold())) in names:
        return same
    if name and _letters(name) in plain:
        return plain[_letters(name)]
    spelled = {each.casefold(): each for each in names}
    near = difflib.get_close_matches(name.casefold(), spelled, n=1, cutoff=cutoff)
    return spelled[near[0]] if near else None


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\+|plus", "p", name.casefold()))


@overload
def choose(kind: str, name: str, known: Mapping[str, Value], *, show: int = 12) -> Value: ...
@overload
def choose(kind: str, name: str, known: tuple[str, ...], *, show: int = 12) -> str: ...
def choose(
    kind: str, name: str, known: Mapping[str, Value] | tuple[str, ...], *, show: int = 12
) -> Value | str:
    """`known[name]`, or `name` itself where `known` is a tuple of names; a ValueError names the nearest match."""
    if name not in known:
        raise ValueError(unknown(kind, name, known, show=show))
    return known[name] if isinstance(known, Mapping) else name


def brief(value: object) -> str:
    """The value as in Python, cut after 200 characters: one that comes from a file may be long."""
    return cut(repr(value), 200)


def cut(text: str, most: int) -> str:
    """The text, or its first `most` characters and how many it has."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def listed(names: Iterable[str], *, last: str = "or") -> str:
    """`a, b or c`"""
    *others, final = names
    return f"{', '.join(others)} {last} {final}" if others else final


def check_count(name: str, value: object) -> None:
    """Raises ValueError for what is not a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1; got {value!r}")


def never_called(who: str) -> str:
    return f"{who} was never called: the model uses its parts, or skips it"
