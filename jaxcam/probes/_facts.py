"""What is known of the values of a program that is run equation by equation."""

from typing import Any, Generic, TypeVar

import numpy as np

Fact = TypeVar("Fact")


class Facts(Generic[Fact]):
    """What is known of values, which are compared by identity; each is kept, so that no other takes its identity."""

    def __init__(self):
        self._known: dict[int, tuple[Any, Fact]] = {}

    def of(self, value: Any) -> Fact | None:
        return self._known[id(value)][1] if id(value) in self._known else None

    def learn(self, value: Any, fact: Fact) -> None:
        self._known[id(value)] = value, fact


def is_number(value: Any, wanted: float) -> bool:
    """Whether a value is a number that the program holds, and this one."""
    return isinstance(value, int | float | np.number | np.ndarray) and np.ndim(value) == 0 and value == wanted
