"""Words for the mistakes that are made first: another library's objects, objects instead of names."""

import numpy as np
from jaxtyping import Array

_TAKES = (
    "a probe takes a flax.nnx.Module, a flax.linen.Module with variables=, a keras.Model on the JAX backend, an "
    "equinox.Module, a function with jaxcam.tap in it, or split=(features, head). The page docs/other-libraries.md "
    "shows an example of each"
)
# Libraries whose models can be called, but not with JAX arrays.
_OTHERS = ("torch", "tensorflow", "tf_keras", "sklearn", "paddle", "mindspore", "mlx", "onnxruntime")


def is_torch(thing: object) -> bool:
    """Whether this is a tensor or a module of torch, which is never imported."""
    return _library(thing) == "torch"


def _library(thing: object) -> str | None:
    packages = [kind.__module__.split(".")[0] for kind in type(thing).__mro__]
    if "keras" in packages:  # on another backend its models are that library's, too
        return None
    return next((each for each in packages if each in _OTHERS), None)


def check_model(model: object) -> None:
    if isinstance(model, type):
        raise TypeError(f"the model must be an instance; got the class {model.__name__}: build it first")
    if is_torch(model):
        raise TypeError(
            f"{type(model).__name__} is a torch module, and a probe takes a JAX model: build the architecture with "
            "jaxcam.models.build and load the weights with converters.from_torch(model, module.state_dict()). "
            f"Otherwise, {_TAKES}"
        )
    if _library(model):
        raise TypeError(not_a_model(model))


def not_a_model(thing: object) -> str:
    kind = type(thing)
    library = kind.__module__.split(".")[0]
    whose = "" if library == "builtins" else f" of {library}"
    return f"a {kind.__name__}{whose} is not a model that can be probed: {_TAKES}"


def check_layer(layer: object) -> None:
    if not isinstance(layer, str):
        raise TypeError(
            f"a layer is named by its path, a string such as 'layer4'; got a {type(layer).__name__}"
        )


def check_array(images: object) -> None:
    if is_torch(images):
        shape = tuple(getattr(images, "shape", ()))
        axes = "1, 2, 0" if len(shape) == 3 else "0, 2, 3, 1"
        raise TypeError(
            f"got a torch tensor {shape}: pass a NumPy or JAX array with the channels last, such as "
            f"tensor.permute({axes}).numpy() of one with the channels first"
        )


def channels_first(image: Array | np.ndarray) -> str | None:
    """What may be wrong with an image that a model rejects."""
    few, rank = (1, 3, 4), image.ndim - 1
    shape = tuple(image.shape)
    if rank > 1 and shape[0] in few and shape[-1] not in few:
        one, batch = ("2, 0", "3, 1") if rank == 2 else ("2, 3, 0", "3, 4, 1")
        return (
            f"an image of shape {shape} looks as if the channels came first, and a probe takes "
            f"({_AXES[rank]}, C): image.transpose(1, {one}), or images.transpose(0, 2, {batch}) of a batch"
        )
    return None


def taken_for(image: Array | np.ndarray) -> str | None:
    """What an image was taken for that may have been meant as another kind."""
    rank, shape = image.ndim - 1, tuple(image.shape)
    if rank == 3:
        return (
            f"an image of shape {shape} is one volume (D, H, W, C); of a batch of pictures take one at a time: map "
            "over it with jax.vmap, or call jaxcam.explain"
        )
    if rank == 1:
        return f"an image of shape {shape} is one signal (L, C), and a picture is (H, W, C)"
    return None


_AXES = {1: "L", 2: "H, W", 3: "D, H, W"}


def one_position(who: str, image: Array | np.ndarray, default: str | None) -> str:
    known = f", such as {default!r}" if default else ""
    size = "x".join(map(str, image.shape[:-1]))
    return (
        f"{who} has one position for an image of {size}, and a map of one position says "
        f"nothing: probe an earlier layer{known}, or take larger images"
    )
