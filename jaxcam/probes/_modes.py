"""Training and evaluation mode, as models' calls say them."""

import inspect
from collections.abc import Hashable, Mapping

from .._errors import unknown

# Keywords that say the mode, and their values in evaluation.
_EVALUATION = {
    "train": False,
    "training": False,
    "is_training": False,
    "is_train": False,
    "deterministic": True,
    "use_running_average": True,
    "inference": True,
}


def in_training(model: type, part: str) -> str:
    """The error for a model of which a part runs in training mode."""
    found = [name for name in _parameters(model) if name in _EVALUATION]
    return (
        f"{part} of {model.__name__} runs in training mode, in which chance or the rest of a batch changes the output: "
        f"{_advice(found)}"
    )


def check_call(
    model: object, call: Mapping[str, Hashable], inputs: tuple[tuple, dict], method: str = "__call__"
) -> None:
    """Raises TypeError where the model's method, called with images, inputs and options, lacks an argument, or gets one
    that it does not take; ValueError for a method that it does not have."""
    if not callable(getattr(type(model), method, None)):
        public = [each for each in dir(type(model)) if not each.startswith("_")]
        methods = [each for each in public if callable(getattr(type(model), each))]
        raise ValueError(unknown("method", method, methods))
    signature = _signature(type(model), method)
    if signature is None:
        return
    positional, named = inputs
    try:
        signature.bind(model, None, *positional, **named, **call)
    except TypeError as error:
        missing = [
            each.name
            for each in list(signature.parameters.values())[2 + len(positional) :]
            if each.default is each.empty
            and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
            and each.name not in {**call, **named}
        ]
        known = [name for name in missing if name in _EVALUATION]
        general = ": pass it in call={...}, or in inputs=(...) if it is an array" if missing else ""
        advice = f": {_advice(known)}" if known else general
        raise TypeError(f"{type(model).__name__}.{method}: {error}{advice}") from None


def _advice(names: list[str]) -> str:
    if not names:
        return "pass what puts it into evaluation mode in call={...}"
    return f"pass call={ {name: _EVALUATION[name] for name in names} }".replace("'", '"')


def _signature(model: type, method: str = "__call__") -> inspect.Signature | None:
    try:
        return inspect.signature(inspect.unwrap(getattr(model, method)))
    except (TypeError, ValueError):
        return None


def _parameters(model: type) -> list[str]:
    signature = _signature(model)
    return [] if signature is None else list(signature.parameters)
