"""The methods of an evaluation, as the command line names them: each by its name, as a transform, or by groups."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..._errors import unknown
from ...methods import GROUPS, METHODS
from ...methods._costs import COSTS
from ...methods._expression import method_named
from ...transforms._transformed import Transformed

# Their maps are not of a layer's channels: they need a transformer, or the input as the layer.
APART = ("attention", "baselines")
ALL = tuple(name for group, methods in GROUPS.items() if group not in APART for name in methods)
# The default: one forward pass. Compositions over layers are left out: at one layer they are another method.
FAST = tuple(
    name for name in ALL if COSTS[name].forward == "1" and not isinstance(METHODS[name], Transformed)
)
# `all` leaves out what costs more than so many times Score-CAM, a forward pass for each channel.
DEAR = 2


class Asked(NamedTuple):
    """The methods to measure.

    Attributes:
        methods: by name; a transform's name is its text as Python writes it, without settings that are the defaults.
        named: those asked for by their own names: it is an error if they do not run on a model.
        swept: those that only `all` asked for.
    """

    methods: Mapping[str, Callable]
    named: frozenset[str]
    swept: frozenset[str]


def asked_for(given: Sequence[str]) -> Asked:
    """What the values of `--method` ask for.

    Raises ValueError for no such method, group or transform.
    """
    methods: dict[str, Callable] = {}
    named, grouped = set[str](), set[str]()
    for text in given:
        if text == "all":
            methods |= {name: METHODS[name] for name in ALL}
        elif group := group_named(text):
            methods |= group
            grouped |= group.keys()
        elif "(" in text:
            method = method_named(text)
            methods[method.__name__] = method
            named.add(method.__name__)
        elif text in METHODS:
            methods[text] = METHODS[text]
            named.add(text)
        else:
            raise ValueError(unknown("method", text, [*METHODS, "all", *map(_word, GROUPS)], show=99))
    swept = methods.keys() - named - grouped if given else set[str]()
    return Asked(methods or {name: METHODS[name] for name in FAST}, frozenset(named), frozenset(swept))


def group_named(text: str) -> Mapping[str, Callable]:
    """The methods of a group, which is written with hyphens or with spaces; none where there is no such group."""
    return next((methods for group, methods in GROUPS.items() if text in (group, _word(group))), {})


def dear_of(forwards: Mapping[str, float], swept: frozenset[str]) -> dict[str, float]:
    """The methods that `all` leaves out for what one map costs, and that cost in forward passes."""
    most = DEAR * forwards.get("scorecam", float("inf"))
    return {name: cost for name, cost in forwards.items() if name in swept and cost > most}


def _word(group: str) -> str:
    return group.replace(" ", "-")
