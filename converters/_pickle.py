"""Interprets the pickle inside a torch checkpoint. Nothing in it is ever called or imported.

A pickle is a small program that may call whatever it names, so Python's own `pickle` would run it. Here only
the operations that build dicts, lists, tuples, strings and numbers exist, and the only names are those that
the caller gives. Whatever else a file asks for is refused, by name.
"""

import inspect
import io
import itertools
import pickletools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from ._damage import OPERATIONS, PICKLE, Damaged, parsing, short

Kind = TypeVar("Kind")

_CONTAINERS = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def operations(pickle: memoryview | io.BytesIO, *, most: int = OPERATIONS) -> Iterator[tuple[str, Any]]:
    """Names and arguments of the operations of a pickle, to its STOP. Raises ValueError for more than `most`."""
    stream = io.BytesIO(pickle) if isinstance(pickle, memoryview) else pickle
    name = ""
    with parsing("its pickle"):
        for operation, argument, _ in itertools.islice(pickletools.genops(stream), most):
            name = operation.name
            yield name, argument
    if name != "STOP":
        raise ValueError(f"refused: its pickle has more than {most} operations")


def interpret(
    pickle: memoryview,
    *,
    names: Mapping[str, Any],
    functions: Mapping[str, Callable],
    persistent: Callable,
):
    """The object that `pickle` describes.

    The time is linear in the length of the pickle: whatever is built is built once, and nothing that a file nests is
    compared, hashed or printed.

    Args:
        pickle: of protocol 2 to 5.
        names: dotted name -> what stands for it.
        functions: dotted name -> what is called for it; nothing else is.
        persistent: maps the identity of something kept outside the pickle to that thing.

    Raises:
        ValueError: a name or an operation outside those lists, or too many operations; Damaged where the pickle is
            not a program at all.
    """
    if len(pickle) > PICKLE:
        raise ValueError(f"refused: its pickle has {len(pickle)} bytes, and at most {PICKLE} are read")
    known = {**names, **functions}
    signatures = {id(function): inspect.signature(function) for function in functions.values()}
    stack: list[Any] = []
    below: list[list[Any]] = []  # the stack under each open mark
    memo: dict[int, Any] = {}
    passed = 0  # values in the arguments of functions, which copy them

    # Take values from the stack.
    def top() -> Any:
        if not stack:
            raise Damaged("its pickle lacks a value")
        return stack[-1]

    def pop() -> Any:
        top()
        return stack.pop()

    def above_mark() -> list[Any]:
        nonlocal stack
        if not below:
            raise Damaged("its pickle lacks a mark")
        items, stack = stack, below.pop()
        return items

    # Run the operations one by one.
    for name, argument in operations(pickle):
        match name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return pop()
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE":
                stack.append(_CONTAINERS[name]())
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append(_CONSTANTS[name])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                stack.append(argument)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINBYTES" | "SHORT_BINBYTES":
                stack.append(argument)
            case "BINSTRING" | "SHORT_BINSTRING":  # Python 2's
                stack.append(argument)
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = top()
            case "MEMOIZE":
                memo[len(memo)] = top()
            case "BINGET" | "LONG_BINGET":
                if argument not in memo:
                    raise Damaged(f"its pickle lacks the value {argument}")
                stack.append(memo[argument])
            case "MARK":
                below.append(stack)
                stack = []
            case "TUPLE":
                items = above_mark()
                stack.append(tuple(items))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                if len(stack) < (length := _TUPLES[name]):
                    raise Damaged("its pickle lacks a value")
                stack[-length:] = [tuple(stack[-length:])]
            case "APPEND" | "APPENDS":
                items = above_mark() if name == "APPENDS" else [pop()]
                _only(list, top()).extend(items)
            case "SETITEM" | "SETITEMS":
                items = above_mark() if name == "SETITEMS" else [pop(), pop()][::-1]
                _set(_only(dict, top()), items)
            case "GLOBAL":
                stack.append(_named(known, argument.replace(" ", ".")))
            case "STACK_GLOBAL":
                last = _only(str, pop())
                stack.append(_named(known, f"{_only(str, pop())}.{last}"))
            case "BINPERSID":
                stack.append(persistent(pop()))
            case "REDUCE":
                arguments, function = _only(tuple, pop()), pop()
                if id(function) not in signatures:
                    raise ValueError(f"refused: it calls a {type(function).__name__}")
                _fits(signatures[id(function)], arguments)
                passed += sum(len(each) for each in arguments if isinstance(each, list | tuple | dict))
                if passed > OPERATIONS:
                    raise ValueError(f"refused: its calls are of more than {OPERATIONS} values")
                stack.append(function(*arguments))
            case "BUILD":
                pop()  # attributes of the object below: a state_dict's note on versions of layers
            case _:
                raise ValueError(f"refused: it asks for the operation {name}, which no state_dict needs")
    raise Damaged("its pickle has no end")


def refusal(name: str) -> str:
    """The reason why a file that asks for `name` is refused."""
    return (
        f"refused: it asks for {name}, and only arrays are read. "
        "If this is a whole pickled model, load it where it comes from and save its state_dict() instead"
    )


def _named(known: Mapping[str, Any], name: str) -> Any:
    if name not in known:
        raise ValueError(refusal(short(name)))
    return known[name]


def _fits(signature: inspect.Signature, arguments: tuple) -> None:
    """Raises Damaged where a function does not take that number of arguments."""
    if len(arguments) > 16:
        raise Damaged(f"its pickle calls with {len(arguments)} arguments")
    with parsing("its pickle calls with wrong arguments"):
        signature.bind(*arguments)


def _only(kind: type[Kind], value: object) -> Kind:
    if not isinstance(value, kind):
        raise Damaged(f"{type(value).__name__} where a {kind.__name__} should be")
    return value


def _set(target: dict, items: list) -> None:
    if len(items) % 2:
        raise Damaged("a dict has a key without a value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # to hash nested tuples can take for ever, and so can numbers that were chosen to have one hash
        if not isinstance(key, str | int | float | None) or (isinstance(key, int) and abs(key) >= 2**61 - 1):
            raise ValueError(
                f"refused: a dict with a {type(key).__name__} as key, and only names and small numbers are"
            )
        target[key] = value
