"""Errors for arguments of the wrong kind: a name for a model, a model for a state_dict, two of them swapped."""

import os
from collections.abc import Mapping
from pathlib import Path


def check_model(function: str, model: object) -> None:
    """Raises TypeError where `model` is not an NNX model."""
    from flax import nnx

    from jaxcam import models
    from jaxcam._errors import unknown

    if isinstance(model, nnx.Module):
        return
    if isinstance(model, str | os.PathLike):
        text = os.fspath(model)
        if text in models.names():
            advice = f"a name: build the model first, jaxcam.models.build({text!r})"
        elif Path(text).suffix:
            advice = (
                f"a path, {text!r}: the model comes first, and converters.load(name, path) makes it of a file"
            )
        else:
            advice = (
                f"a name, {text!r}: {unknown('model', text, models.names())}; jaxcam.models.build makes it"
            )
    elif isinstance(model, type) and issubclass(model, nnx.Module):
        advice = f"the class {model.__name__}: make a model of it first, {model.__name__}(...)"
    elif _is_torch_module(model):
        advice = (
            f"a torch module, {type(model).__name__}: the model is jaxcam's, jaxcam.models.build(name), and a torch "
            "module gives its state_dict()"
        )
    elif isinstance(model, Mapping):
        advice = f"a {type(model).__name__}: the model comes first, then the state_dict"
    else:
        advice = f"a {type(model).__name__}"
    raise TypeError(f"{function} takes an nnx model, got {advice}")


def check_state_dict(function: str, state_dict: object) -> None:
    """Raises TypeError where `state_dict` does not map names to arrays."""
    if isinstance(state_dict, Mapping):
        return
    from flax import nnx  # here, so that reading a file does without it

    if isinstance(state_dict, str | os.PathLike):
        path = os.fspath(state_dict)
        advice = f"a path: converters.read({path!r}) reads its state_dict, converters.load(name, {path!r}) all at once"
    elif _is_torch_module(state_dict):
        advice = f"a torch module, {type(state_dict).__name__}: pass its state_dict()"
    elif isinstance(state_dict, nnx.Module):
        advice = f"an nnx model, {type(state_dict).__name__}: converters.to_torch(model) is its state_dict"
    elif hasattr(state_dict, "__array__"):
        advice = (
            f"one array, {type(state_dict).__name__}: each needs its name, as in {{'conv1.weight': array}}"
        )
    else:
        advice = f"a {type(state_dict).__name__}"
    raise TypeError(f"{function} takes a state_dict (names of arrays), got {advice}")


def check_path(function: str, path: object) -> None:
    """Raises TypeError where `path` is not a path."""
    if isinstance(path, str | os.PathLike):
        return
    from flax import nnx  # here, so that reading a file does without it

    advice = f"a {type(path).__name__}"
    if isinstance(path, Mapping):
        advice += ": converters.from_torch(model, state_dict) fills a model with arrays"
    elif _is_torch_module(path):
        advice += ": converters.from_torch(model, module.state_dict()) fills a model with its arrays"
    elif isinstance(path, nnx.Module):
        advice += ": the path of a checkpoint is asked for, not a model"
    raise TypeError(f"{function} takes a path, got {advice}")


def _is_torch_module(value: object) -> bool:
    """Without importing torch: a model that is torch's has come with it."""
    return any(
        f"{kind.__module__}.{kind.__name__}" == "torch.nn.modules.module.Module"
        for kind in type(value).__mro__
    )
