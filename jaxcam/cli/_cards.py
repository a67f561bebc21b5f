"""Cards of methods and transforms: formula, when to use it, source, cost and options, read from their docstrings."""

import ast
import inspect
import re
from collections.abc import Callable
from typing import Any, cast

from rich.text import Text

from .._errors import choose
from .._terminal import console, table
from ..methods import GROUPS
from ..methods._costs import COSTS, TRANSFORM_COSTS
from ..methods._expression import TRANSFORMS
from ._arguments import accepted

KINDS = GROUPS | {"transforms": TRANSFORMS}
INTRODUCTION = (
    "`hirescam` at the last convolutional layer is where to start: one backward pass, and it shows what the score "
    "used. For sharper maps take `layercam` at an earlier layer, or several layers by `over_layers`; without "
    "gradients `clustercam`; without a class `eigencam`; for transformers the attention methods, or `hirescam` at "
    "the first norm of the last block. How good a map is, `jaxcam evaluate` measures on your pictures."
)
LEGEND = (
    "forward: passes for one picture and class, K being the layer's channels and P its positions; head: what follows "
    "the layer. A gradient adds one backward pass of the head. [paper]: as its paper says; [third party]: as an "
    "implementation that others use; [ours]: jaxcam's own choice."
)


def cards() -> list[dict[str, Any]]:
    """Of every method and transform: name, group, summary, when to use it, source, marks and cost."""
    return [
        {
            "name": name,
            "group": group,
            "summary": _paragraph(function, ""),
            "when": _paragraph(function, "When: "),
            "source": _source(function),
            "marks": list(dict.fromkeys(re.findall(r"\[(paper|third party|ours)", _all_sources(function)))),
            "gradient": COSTS[name].gradient if name in COSTS else None,
            "forward": COSTS[name].forward if name in COSTS else TRANSFORM_COSTS[name],
        }
        for group, functions in KINDS.items()
        for name, function in functions.items()
    ]


def options_of(name: str) -> list[dict[str, str]]:
    """Name, default and meaning of each option of a method or transform, from its signature and its docstring.

    Raises ValueError for no such method.
    """
    function = _named(name)
    meanings = _meanings(function)
    return [
        {"name": option, "default": shown_default(default), "meaning": meanings[option]}
        for option, default in accepted(function).items()
    ]


def shown_default(value: object) -> str:
    """As `--option` takes it."""
    return getattr(value, "__name__", None) or str(value)


def show_cards(rows: list[dict[str, Any]]) -> None:
    """The methods in a table, group by group."""
    shown = table("method", "what it is, and whose", "forward", "gradient", whole=("method",))
    group = None
    for row in rows:
        if row["group"] != group:
            group = row["group"]
            shown.add_section()
            shown.add_row(Text(group, style="bold"), "", "", "")
        source = re.sub(r'"[^"]*",?\s*', "", row["source"])  # without the title
        marks = " ".join(f"[{each}]" for each in row["marks"])
        described = f"{row['summary']}\n{source} {marks}"
        gradient = {True: "yes", False: "no", None: "–"}[row["gradient"]]
        shown.add_row(*map(Text, (row["name"], described, row["forward"], gradient)))
    console().print(shown)
    console().print(Text(LEGEND))


def show_card(name: str) -> None:
    """One method or transform in words, and a table of its options."""
    row = next(each for each in cards() if each["name"] == name)
    words = (
        f"{name} ({row['group']}): {row['summary']}",
        f"When: {row['when']}",
        f"Source: {_all_sources(_named(name))}",
        f"Cost: {_cost(row)}",
    )
    console().print(Text("\n".join(words) + "\n"), soft_wrap=False)
    rows = options_of(name)
    if rows:
        shown = table("option", "default", "what it is", whole=("option", "default"))
        for each in rows:
            shown.add_row(*map(Text, (each["name"], each["default"], each["meaning"])))
        console().print(shown)
    if row["group"] == "transforms":
        console().print(Text(f"Written as a method, such as --method '{name}(gradcam)'."))
    else:
        console().print(Text(f"Given as --option NAME=VALUE, or --option {name}.NAME=VALUE."))


def page(rows: list[dict[str, Any]]) -> str:
    """All cards in Markdown: docs/methods.md."""
    lines = [
        "# Methods",
        "",
        "What `jaxcam methods --markdown` prints.",
        "",
        INTRODUCTION,
        "",
        LEGEND,
    ]
    group = None
    for row in rows:
        if row["group"] != group:
            group = row["group"]
            lines += ["", f"## {group[0].upper()}{group[1:]}"]
        function = _named(row["name"])
        lines += [
            "",
            f"### `{row['name']}`",
            "",
            " ".join(_docstring(function).split("\n\n")[0].split()),
            "",
            f"- **When**: {_plain(row['when'])}",
            f"- **Cost**: {_cost(row)}",
            f"- **Source**: {_plain(_all_sources(function))}",
        ]
        options = [
            f"`{each['name']}={each['default']}` {_plain(each['meaning'])}"
            for each in options_of(row["name"])
        ]
        if options:
            lines += ["- **Options**:", *(f"    - {each}" for each in options)]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text in which an asterisk is an asterisk."""
    return text.replace("*", r"\*")


def _cost(row: dict[str, Any]) -> str:
    if row["gradient"] is None:
        return f"{row['forward']} that of the method"
    passes = f"{row['forward']} forward" + (
        "" if row["forward"].endswith("heads") else " passes" if row["forward"] != "1" else " pass"
    )
    return f"{passes}, 1 backward pass of the head" if row["gradient"] else passes


def _named(name: str) -> Callable:
    return choose(
        "method", name, {each: one for group in KINDS.values() for each, one in group.items()}, show=99
    )


def _docstring(function: Callable) -> str:
    """Also where Python was told to drop docstrings (-OO): then that of the source file."""
    if function.__doc__ is None:
        (body,) = ast.parse(inspect.getsource(function)).body
        return ast.get_docstring(cast(ast.FunctionDef, body)) or ""
    return inspect.cleandoc(function.__doc__)


def _meanings(function: Callable) -> dict[str, str]:
    """What the docstring's `Args:` say of each."""
    found = re.search(r"^Args:\n(.*?)(?:\n\n|\Z)", _docstring(function), re.MULTILINE | re.DOTALL)
    entries = re.findall(
        r"^    (\w+(?:, \w+)*): (.*(?:\n     +.*)*)", found[1] if found else "", re.MULTILINE
    )
    return {
        name: " ".join(text.replace("`", "").split()) for names, text in entries for name in names.split(", ")
    }


def _paragraph(function: Callable, start: str) -> str:
    """The docstring's first paragraph that starts so, in one line without marks of code:
    `Grad-CAM: w_k = mean G_k, M = Σ_k w_k A_k.`"""
    paragraphs = _docstring(function).split("\n\n")
    found = next((each for each in paragraphs if each.startswith(start)), None)
    if found is None:
        raise ValueError(f"the docstring of {shown_default(function)} has no paragraph {start!r}")
    return " ".join(found.removeprefix(start).replace("`", "").split())


def _source(function: Callable) -> str:
    """The docstring's `Source:` up to the mark that says what kind of source it is."""
    return _all_sources(function).split("[")[0].strip()


def _all_sources(function: Callable) -> str:
    return _paragraph(function, "Source: ")
