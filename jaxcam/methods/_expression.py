"""Transforms of a method as text: `"over_layers(smoothed(gradcampp, samples=8), product)"`."""

import ast
from collections.abc import Callable

from .._errors import brief, choose
from ..transforms._augmented import augmented
from ..transforms._integrated import integrated
from ..transforms._over_layers import over_layers
from ..transforms._smoothed import smoothed
from . import METHODS

TRANSFORMS: dict[str, Callable[..., Callable]] = {
    each.__name__: each for each in (smoothed, augmented, over_layers, integrated)
}


def method_named(text: str) -> Callable:
    """The method that a text names: one of `jaxcam.METHODS`, or a transform of one, as in Python.

    A setting is a number, a tuple of numbers, True, False, None or a word, with or without quotation marks.

    Raises:
        ValueError: a text that is not such an expression, an unknown method, transform or setting.
    """
    if "(" not in text:
        return choose("method", text, METHODS, show=99)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise ValueError(
            f"{brief(text)} is not a method; write it as in Python, such as 'smoothed(gradcampp, samples=8)'"
        ) from None
    return _method(tree)


def _method(tree: ast.expr) -> Callable:
    if isinstance(tree, ast.Name):
        return choose("method", tree.id, METHODS, show=99)
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        raise ValueError(f"{brief(ast.unparse(tree))} is not a method or a transform of one")
    transform = choose("transform", tree.func.id, TRANSFORMS)
    if not tree.args:
        raise ValueError(f"{tree.func.id} takes a method, such as {tree.func.id}(gradcam)")
    settings = {each.arg: _setting(each.value) for each in tree.keywords if each.arg is not None}
    try:
        return transform(_method(tree.args[0]), *map(_setting, tree.args[1:]), **settings)
    except TypeError as error:
        raise ValueError(f"{brief(ast.unparse(tree))}: {error}") from None


def _setting(tree: ast.expr) -> object:
    if isinstance(tree, ast.Name):
        return tree.id
    try:
        return ast.literal_eval(tree)
    except ValueError:
        raise ValueError(
            f"{brief(ast.unparse(tree))} is not a setting: a number, a tuple of numbers or a word"
        ) from None
