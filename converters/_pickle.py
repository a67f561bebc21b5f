"""Interprets the pickle inside a torch checkpoint. Nothing in it is ever called or imported.

A pickle is a small program that may call whatever it names, so Python's own `pickle` would run it. Here only
the operations that build dicts, lists, tuples, strings and numbers exist, and the only names are those that
the caller gives. Whatever else a file asks for is refused, by name.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any

_CONTAINERS = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def interpret(
    pickle: bytes, *, names: Mapping[str, Any], functions: Mapping[str, Callable], persistent: Callable
):
    """The object that `pickle` describes.

    Args:
        pickle: of protocol 2 to 5.
        names: dotted name -> what stands for it.
        functions: dotted name -> what is called for it; nothing else is.
        persistent: maps the identity of something kept outside the pickle to that thing.

    Raises:
        ValueError: a name or an operation outside those lists.
        IndexError, KeyError, TypeError: the pickle is no program at all, because its bytes are damaged.
    """
    known = {**names, **functions}
    stack: list[Any] = []
    below: list[list[Any]] = []  # the stack under each open mark
    memo: dict[int, Any] = {}

    def above_mark() -> list[Any]:
        nonlocal stack
        items, stack = stack, below.pop()
        return items

    argument: Any
    for operation, argument, _ in pickletools.genops(pickle):
        match operation.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE" as name:
                stack.append(_CONTAINERS[name]())
            case "NONE" | "NEWTRUE" | "NEWFALSE" as name:
                stack.append(_CONSTANTS[name])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                stack.append(argument)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINBYTES" | "SHORT_BINBYTES":
                stack.append(argument)
            case "BINSTRING" | "SHORT_BINSTRING":  # Python 2's
                stack.append(argument)
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "MARK":
                below.append(stack)
                stack = []
            case "TUPLE":
                items = above_mark()
                stack.append(tuple(items))
            case "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                stack[-_TUPLES[name] :] = [tuple(stack[-_TUPLES[name] :])]
            case "APPEND" | "APPENDS" as name:
                items = above_mark() if name == "APPENDS" else [stack.pop()]
                _only(list, stack[-1]).extend(items)
            case "SETITEM" | "SETITEMS" as name:
                items = above_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
                _set(_only(dict, stack[-1]), items)
            case "GLOBAL":
                stack.append(_named(known, argument.replace(" ", ".")))
            case "STACK_GLOBAL":
                stack.append(_named(known, f"{_only(str, stack.pop(-2))}.{_only(str, stack.pop())}"))
            case "BINPERSID":
                stack.append(persistent(stack.pop()))
            case "REDUCE":
                function, arguments = stack.pop(-2), _only(tuple, stack.pop())
                if not any(function is allowed for allowed in functions.values()):
                    raise ValueError(f"refused: it calls a {type(function).__name__}")
                stack.append(function(*arguments))
            case "BUILD":
                stack.pop()  # attributes of the object below: a state_dict's note on versions of layers
            case name:
                raise ValueError(f"refused: it asks for the operation {name}, which no state_dict needs")
    raise IndexError("no STOP")


def refusal(name: str) -> str:
    """What is said of a file that asks for `name`."""
    return (
        f"refused: it asks for {name}, and only arrays are read. "
        "If this is a whole pickled model, load it where it comes from and save its state_dict() instead"
    )


def _named(known: Mapping[str, Any], name: str) -> Any:
    if name not in known:
        raise ValueError(refusal(name))
    return known[name]


def _only(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} where a {kind.__name__} should be")
    return value


def _set(target: dict, items: list) -> None:
    for key, value in zip(items[::2], items[1::2], strict=True):
        # to hash nested tuples can take for ever
        if not isinstance(key, str | int | float | None):
            raise ValueError(f"refused: a dict with a {type(key).__name__} as key")
        target[key] = value
