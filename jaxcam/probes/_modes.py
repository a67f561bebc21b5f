"""Training and evaluation mode, as models' calls say them."""

import inspect
from collections.abc import Hashable, Mapping

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


def check_call(model: object, call: Mapping[str, Hashable]) -> None:
    """Raises TypeError where `model(images, **call)` lacks an argument, or has one that the model does not take."""
    signature = _signature(type(model))
    if signature is None:
        return
    try:
        signature.bind(model, None, **call)
    except TypeError as error:
        missing = [
            each.name
            for each in list(signature.parameters.values())[2:]
            if each.default is each.empty
            and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
            and each.name not in call
        ]
        known = [name for name in missing if name in _EVALUATION]
        advice = f": {_advice(known)}" if known else ": pass it in call={...}" if missing else ""
        raise TypeError(f"{type(model).__name__}.__call__: {error}{advice}") from None


def _advice(names: list[str]) -> str:
    if not names:
        return "pass what puts it into evaluation mode in call={...}"
    return f"pass call={ {name: _EVALUATION[name] for name in names} }".replace("'", '"')


def _signature(model: type) -> inspect.Signature | None:
    try:
        return inspect.signature(inspect.unwrap(model.__call__))
    except (TypeError, ValueError):
        return None


def _parameters(model: type) -> list[str]:
    signature = _signature(model)
    return [] if signature is None else list(signature.parameters)
