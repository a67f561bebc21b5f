"""Words for error messages."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def foreign(words: str) -> Iterator[None]:
    """Around a library's reading of a file, and nothing else: whatever it raises for damaged bytes is a ValueError.

    What the operating system says of the file (an OSError with a number) stays as it is.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = "takes more memory than there is" if isinstance(error, MemoryError) else str(error).strip()
        raise ValueError(f"{words}: {(reason or type(error).__name__).splitlines()[0]}") from error


def unknown(kind: str, name: str, known: Iterable[str], *, show: int = 12) -> str:
    """`no layer 'layer5'; did you mean 'layer4'? There are: conv1, bn1, ...`"""
    names = [str(each) for each in known]
    spelled = {each.casefold(): each for each in names}
    near = difflib.get_close_matches(str(name).casefold(), spelled, n=1, cutoff=0.5)
    guess = f"; did you mean {spelled[near[0]]!r}?" if near else "."
    rest = f", ... ({len(names)} in all)" if len(names) > show else ""
    return f"no {kind} {name!r}{guess} There are: {', '.join(each[:100] for each in names[:show])}{rest}"


def choose(kind: str, name: str, known: Any, *, show: int = 12) -> Any:
    """`known[name]`, or `name` itself where `known` is a tuple of names; a ValueError names the nearest match."""
    if name not in known:
        raise ValueError(unknown(kind, name, known, show=show))
    return known[name] if isinstance(known, dict) else name


def called_twice(who: str) -> str:
    return (
        f"{who} is called more than once for one image, so it has no single activation: probe a layer that is called "
        "once"
    )


def never_called(who: str) -> str:
    return f"{who} was never called: the model uses its parts, or skips it"
