"""Settings of a run as its store records them, and which of them must be equal for a run to continue."""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ..._request import Options, Request
from ..._version import __version__
from ...files._labels import describe_targets
from ...models._preprocess import Preprocess
from ...probes._anatomy import Split
from ...probes._guided import Guided, GuidedSplit
from ...probes._probe import Probe
from ..sources._record import Source
from ..store._differences import flatten
from ._plan import Plan


def describe(
    plan: Plan,
    request: Request,
    options: Options,
    source: Source,
    preprocess: Preprocess | None,
    *,
    crop: bool,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """All settings that are needed to make the store again, as JSON.

    Args:
        options: of the method, as they were given: the request has those that depend on the device, too.
        more: what the caller knows of the model.
    """
    probe, method = request.probe, request.static.method
    made = {
        **more,
        "parameters": digest_of(probe),
        "probe": describe_probe(probe),
        "method": getattr(method, "__name__", repr(method)),
        "options": {name: plain(options[name]) for name in sorted(options)},
        "target": describe_targets(plan.targets),
        "stored": plan.stored,
        "size": list(plan.size),
        "fit": "crop" if crop else "squeeze",
        "preprocess": None if preprocess is None else preprocess.described(),
        "maps_dtype": plan.maps_dtype,
        "logits": plan.logits,
        "metrics": list(plan.metrics),
        "batch": request.batch,
        "source": {
            "kind": source.kind,
            "location": source.location,
            "records": len(source),
            "digest": source.fingerprint(),
        },
        "versions": versions(),
        "platform": jax.default_backend(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if preprocess is None:
        made["shape"] = [*plan.size, plan.channels]  # of a record, which is an array
    return json.loads(json.dumps(made))  # as it will be read again: tuples are lists


def versions() -> dict[str, str]:
    names = ("jax", "jaxlib", "flax", "numpy", "pillow", "tensorstore")
    return {"jaxcam": __version__, **{name: importlib.metadata.version(name) for name in names}}


def notes(there: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Differences between the run that continues and the one that began which may change rounding."""
    old, new = flatten(there), flatten(now)
    names = [name for name in new if name.startswith(("versions", "platform")) and name in old]
    older = "the store is of an older jaxcam and does not say which layer its maps are of: taken to be "
    return [older + now["probe"]["layer"]] * ("probe" not in there) + [
        f"begun with {name.removeprefix('versions.')} {old[name]}, now {new[name]}"
        for name in names
        if old[name] != new[name]
    ]


def digest_of(probe: Probe) -> str:
    """sha256 of the parameters and of the model's further inputs."""
    digest = hashlib.sha256()
    leaves = jax.tree_util.tree_leaves_with_path(probe.parameters)
    for path, leaf in leaves + jax.tree_util.tree_leaves_with_path((probe.inputs, probe.read)):
        if isinstance(leaf, jax.Array | np.ndarray):
            array = np.asarray(_words(leaf))
            digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _words(array: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
    """The integers of keys of random generators; other arrays as they are."""
    return jax.random.key_data(array) if jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key) else array


# What a store calls the ways to look into a model, by their classes: names that stay when classes are renamed.
_KINDS = {
    "Submodule": "nnx",
    "Linen": "linen",
    "Keras": "keras",
    "Equinox": "equinox",
    "Tapped": "function",
    "EquinoxFunction": "function",
    "Split": "split",
    "GuidedSplit": "split",
}


def describe_probe(probe: Probe) -> dict[str, Any]:
    """Settings that distinguish two probes of the same parameters: library, layer, tokens, options of the call."""
    anatomy, changed = probe.anatomy, {}
    if isinstance(anatomy, Guided | GuidedSplit):
        anatomy, changed = anatomy.model if isinstance(anatomy, Guided) else anatomy, {"guided": True}
    parts = (probe.parameters, probe.read)
    called = [each for each in jax.tree.leaves(parts, is_leaf=callable) if callable(each)]
    method = getattr(anatomy, "method", "__call__")
    functions = [leaf for each in called for leaf in getattr(each, "fixed", ()) if callable(leaf)]
    return (
        {
            "kind": _KINDS.get(type(anatomy).__name__, type(anatomy).__name__.lower()),
            "layer": "" if isinstance(anatomy, Split) else str(anatomy),
            "tokens": getattr(anatomy, "tokens", None),
            "call": {str(name): plain(value) for name, value in getattr(anatomy, "call", None) or ()},
            "functions": [getattr(each, "__qualname__", type(each).__qualname__) for each in functions],
        }
        | ({"method": method} if method != "__call__" else {})
        | changed
    )


def plain(value: object) -> Any:
    """An option's value as JSON: a function by its name, an array by its values or, if it is large, its digest."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if callable(value):
        return getattr(value, "__name__", repr(value))
    if isinstance(value, jax.Array | np.ndarray):
        array = np.asarray(_words(value))
        return array.tolist() if array.size <= 64 else hashlib.sha256(array.tobytes()).hexdigest()
    return str(value) if isinstance(value, Path) else repr(value)
