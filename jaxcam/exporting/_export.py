"""An explainer, model and method and weights, as one file that runs without the model's code."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, PyTree

from .._errors import choose
from .._explain import map_of
from .._method import Method
from .._request import Static, bind
from ..files._digests import versions
from ..methods import gradcam
from ..probes._anatomy import Anatomy
from ..probes._probe import Probe
from ._archive import Archive, write_archive

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def export(
    probe: Probe,
    path: str | Path,
    *,
    image: tuple[int, ...],
    method: Method | str = gradcam,
    target: Callable[[PyTree], Array] | None = None,
    dtype: DTypeLike = jnp.float32,
    raw: bool = False,
    size: int | tuple[int, ...] | None = None,
    platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
    about: Mapping[str, object] | None = None,
    **options: Any,
) -> None:
    """Writes an explainer to one file, for `jaxcam.restore`, which needs neither the model's code nor this layer.

    The file is a zip: `program.bin` (StableHLO, from `jax.export`), `weights.safetensors` and `meta.json`. Weights are
    arguments of the program, not part of it. The program takes any number of images, of one shape. It runs on the
    platforms that it was lowered for, and with any JAX of the six months after this one's release, or later where
    JAX keeps reading it.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        path: of the file. One that is there is replaced.
        image: shape `(H, W, C)` of the images that it will explain, `(L, C)` of signals, `(D, H, W, C)` of volumes.
        method: as for `jaxcam.explain`. One with a `chunk` option explains one image after the other, `chunk` masks at
            once; the others explain all images of a call at once.
        target: a callable `output -> scalar` that is explained for every image. By default the classes are said when
            the explainer is called.
        dtype: of the images.
        raw, size: as for `jaxcam.explain`.
        platforms: some of cpu, cuda, rocm and tpu.
        about: whatever else should be known (the model's name, the preprocessing): JSON, in the file's metadata.
        **options: keyword options of the method.

    Raises:
        ValueError: an image that the model rejects, an unknown method or platform, a wrong size.
        TypeError: an option that the method does not have; `about` that is not JSON.
        OSError: a file that cannot be written.

    Example:
        >>> import jax, jaxcam, tempfile
        >>> from jaxcam import models
        >>> probe = jaxcam.probe(models.build("cifar_resnet20"), "layer3")
        >>> file = tempfile.mkdtemp() + "/explainer.jaxcam"
        >>> jaxcam.export(probe, file, image=(32, 32, 3), method="hirescam")
        >>> jaxcam.restore(file)(jax.numpy.zeros((2, 32, 32, 3)), [3, 1]).shape
        (2, 32, 32)
    """
    shape, dtype, platforms = _shape(image), _floating(dtype), _platforms(platforms)
    about = json.loads(json.dumps(dict(about or {}), allow_nan=False))
    if target is not None and not callable(target):
        raise TypeError(
            f"classes are given when the explainer is called; a target must be a callable, got {target!r}"
        )
    # Check and split what was given; classes come when the explainer is called.
    request = bind(
        probe,
        jax.ShapeDtypeStruct((1, *shape), dtype),
        target,
        method=method,
        options=options,
        raw=raw,
        size=size,
        anywhere=True,
    )
    static = request.static

    # Lower the program for any number of images; weights and arrays of options are its arguments.
    given = {"model": probe.parameters, "target": request.targets, "options": request.arrays}
    given |= {"inputs": probe.inputs, "read": probe.read}
    weights, rebuild = _flatten(given)
    (batch,) = jax.export.symbolic_shape("batch")
    exported = jax.export.export(jax.jit(_program(rebuild, probe.anatomy, static)), platforms=platforms)(
        [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in weights.values()],
        jax.ShapeDtypeStruct((batch, *shape), dtype),
        jax.ShapeDtypeStruct((batch,), jnp.int32),
    )

    # Write it with what is known of it.
    metadata = {
        "method": getattr(static.method, "__name__", str(static.method)),
        "options": {name: str(value) for name, value in options.items()},
        "layer": repr(probe.anatomy),
        "image": list(shape),
        "dtype": dtype.name,
        "maps": list(exported.out_avals[0].shape[1:]),
        "raw": raw,
        "classes": None if target is not None else request.output.shape[0],
        "platforms": list(platforms),
        "versions": versions(),
        "about": about,
    }
    arrays = {name: np.asarray(leaf) for name, leaf in weights.items()}
    write_archive(Path(path), Archive(bytes(exported.serialize()), arrays, metadata))


def _program(rebuild: Callable, anatomy: Anatomy, static: Static) -> Callable:
    """Weights, images `(B, *space, C)`, targets `(B,)` -> maps and outputs. A target below 0: the most likely class."""

    def program(leaves, images, targets):
        parts = rebuild(leaves)
        probe = Probe(parts["model"], anatomy, parts["inputs"], parts["read"])

        def explain(image, index):
            output, _ = probe(image)  # the compiler merges this with the method's own forward pass
            target = parts["target"]
            if target is None:
                target = jnp.where(index < 0, jnp.argmax(output).astype(index.dtype), index)
            return map_of(static, probe, image, target, parts["options"]), output

        if "chunk" in dict(static.options):  # one image after the other: memory is the same for every batch
            return jax.lax.map(lambda pair: explain(*pair), (images, targets))
        return jax.vmap(explain)(images, targets)

    return program


def _flatten(tree: PyTree) -> tuple[dict[str, Array], Callable]:
    """The arrays of a pytree by name, and a function that makes the pytree of a list of such arrays.

    Random keys, which no file of arrays takes, stay in the function.
    """
    found, structure = jax.tree_util.tree_flatten_with_path(tree)
    fixed = [leaf if _is_key(leaf) else None for _, leaf in found]
    named = [
        (jax.tree_util.keystr(where, simple=True, separator="/"), jnp.asarray(leaf))
        for where, leaf in found
        if not _is_key(leaf)
    ]
    if len(dict(named)) < len(named):  # {"a/b": ...} beside {"a": {"b": ...}}
        named = [(f"{number}/{name}", leaf) for number, (name, leaf) in enumerate(named)]

    def rebuild(leaves: Sequence[Array]) -> Any:
        given = iter(leaves)
        return jax.tree.unflatten(structure, [next(given) if each is None else each for each in fixed])

    return dict(named), rebuild


def _is_key(leaf: object) -> bool:
    return jnp.issubdtype(getattr(leaf, "dtype", np.float32), jax.dtypes.prng_key)


def _shape(image: Sequence[int]) -> tuple[int, ...]:
    shape = tuple(image)
    if len(shape) not in (2, 3, 4) or not all(isinstance(side, int) and side >= 1 for side in shape):
        raise ValueError(
            "image must be a shape (H, W, C), such as (224, 224, 3), or (L, C) of signals, or (D, H, W, C) of volumes; "
            f"got {image!r}"
        )
    return shape


def _floating(dtype: DTypeLike) -> np.dtype:
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"images must be of floating point; got dtype {dtype}")
    return jnp.dtype(dtype)


def _platforms(platforms: Sequence[str] | str) -> tuple[str, ...]:
    names = (platforms,) if isinstance(platforms, str) else tuple(platforms)
    if not names:
        raise ValueError(f"an explainer needs at least one platform: {', '.join(PLATFORMS)}")
    return tuple(dict.fromkeys(choose("platform", name, PLATFORMS) for name in names))
