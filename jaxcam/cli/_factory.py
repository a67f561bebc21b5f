"""A model of the user's own: `package.module:function`, a function that builds it."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from flax import nnx

import converters
from converters._fit import fit, message, shapes

from .._errors import brief, unknown
from ..probes._probe import Probe


def find_factory(name: str) -> Callable[..., Any]:
    """The function that `package.module:function` names. Modules are looked for in the working folder, too.

    Raises ValueError where there is no such module or function, or the module cannot be imported.
    """
    module, _, path = name.partition(":")
    if not module or not path or not all(map(str.isidentifier, [*module.split("."), *path.split(".")])):
        raise ValueError(f"a model of your own is given as package.module:function; got {brief(name)}")
    found: Any = _import(module)
    for part in path.split("."):
        if not hasattr(found, part):
            known = [
                each for each, value in vars(found).items() if callable(value) and not each.startswith("_")
            ]
            where = getattr(sys.modules[module], "__file__", None)
            raise ValueError(f"{module} ({where}): {unknown('function', part, known)}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{name} is a {type(found).__name__}: name a function that builds the model")
    return found


def build(name: str, *, dtype: str) -> nnx.Module | Probe:
    """What the function returns: a model, or a probe of one.

    Raises ValueError for anything else, a function that fails or must be given arguments, and a type of the computation
    that it does not take.
    """
    function = find_factory(name)
    options: dict[str, Any] = {}
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:
        parameters = {}
    if "dtype" in parameters:
        options["dtype"] = jnp.dtype(dtype)
    elif dtype != "float32":
        raise ValueError(f"--dtype {dtype}: {name} takes no argument `dtype`, so it builds what it builds")
    needed = [
        each.name
        for each in parameters.values()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if needed := [each for each in needed if each not in options]:
        raise ValueError(
            f"{name} is called without arguments, and it needs {', '.join(needed)}: give them defaults"
        )
    try:
        model = function(**options)
    except Exception as error:  # whatever a stranger's function raises
        raise ValueError(f"{name}() failed: {type(error).__name__}: {error}") from error
    if not isinstance(model, nnx.Module | Probe):
        raise ValueError(
            f"{name}() returned a {type(model).__name__}: it should return a flax.nnx.Module or, for models of other "
            "libraries, a jaxcam.probe(...) of one"
        )
    return model


def fill(model: nnx.Module, path: Path, name: str) -> nnx.Module:
    """A copy of the model with the arrays of a checkpoint: under the names of its own parameters, or under those of the
    torch module with the same attributes.

    Raises ValueError where they do not fit, OSError for a file that cannot be read.
    """
    arrays = converters.read(path)
    own = {
        ".".join(map(str, where)): (where, variable)
        for where, variable in nnx.to_flat_state(nnx.state(model))
        if not isinstance(variable, nnx.RngState)
    }
    named = _by_own_names(arrays, own.keys())
    try:
        in_torch = shapes(model)
    except TypeError:  # a layer that torch's layout is not known for
        in_torch = {}
    if len(in_torch.keys() & arrays.keys()) > len(own.keys() & named.keys()):
        try:
            return converters.from_torch(model, arrays)
        except ValueError as error:
            raise ValueError(f"{path} as {name}: {error}") from error
    given = {key: tuple(value.shape) for key, value in named.items()}
    found = fit({key: tuple(variable.shape) for key, (_, variable) in own.items()}, given)
    if any(found):
        raise ValueError(f"{path} as {name}: {message(found, given)}")
    values = {where: jnp.asarray(named[key], variable.dtype) for key, (where, variable) in own.items()}
    graph, state = nnx.split(model)
    flat = [
        (where, each.replace(values.get(where, each.get_value()))) for where, each in nnx.to_flat_state(state)
    ]
    return nnx.merge(graph, nnx.from_flat_state(flat))


def _by_own_names(arrays: Any, names: Any) -> dict[str, Any]:
    """Arrays by dotted names, without what some writers add: slashes, `value` at the end, `params` at the beginning."""
    dotted = {key.replace("/", "."): value for key, value in arrays.items()}
    for begin, end in (("", ""), ("", ".value"), ("params.", ""), ("params.", ".value"), ("model.", "")):
        plain = {
            key.removeprefix(begin).removesuffix(end): value
            for key, value in dotted.items()
            if key.startswith(begin) and key.endswith(end)
        }
        if len(plain) == len(dotted) and plain.keys() >= set(names):
            return plain
    return dotted


def _import(module: str) -> Any:
    here = os.getcwd()
    if here not in sys.path:  # `python -m` has it; a console script has not
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            beside = [each.stem for each in Path(here).glob("*.py")]
            hint = unknown("module", module, beside) if beside else f"no module {brief(module)}."
            raise ValueError(f"{hint} Looked in {here} and in what is installed") from None
        raise ValueError(f"{module} imports {error.name!r}, which is not installed") from error
    except Exception as error:  # whatever a stranger's module raises
        raise ValueError(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
