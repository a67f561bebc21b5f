"""What a caller gives, split into a compiled program and its arguments."""

import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest

import jaxcam
from jaxcam._request import bind
from jaxcam.devices import _chunks

PROBE, IMAGES = nets.small(), jnp.asarray(nets.images(2))
SHAPES = jax.ShapeDtypeStruct(IMAGES.shape, IMAGES.dtype)


def request_of(images=IMAGES, targets=None, *, method="gradcam", **options):
    given = {name: options.pop(name) for name in ("raw", "size", "chunk", "anywhere") if name in options}
    return bind(PROBE, images, targets, method=method, options=options, **given)


def test_arrays_are_arguments_and_anything_else_is_static():
    weights = PROBE.parameters["fc/kernel"]
    request = request_of(method="cam", weights=weights, fuse=jaxcam.principal_component)
    assert request.static.options == (("fuse", jaxcam.principal_component),)
    assert list(request.arrays) == ["weights"]
    assert request.arrays["weights"] is weights


def test_equal_parts_share_a_program():
    one, other = (request_of(targets=each, method=jaxcam.cam, raw=True) for each in ([0, 1], [3, 4]))
    assert one.static == other.static
    assert hash(one.static) == hash(other.static)
    for different in ({"targets": 1}, {"size": 5}, {"method": "hirescam"}, {"chunk": 1}):
        assert request_of(**{"targets": [0, 1], "method": "cam"} | different).static != one.static


def test_images_may_come_later():
    there, later = (request_of(each, jaxcam.top(2), size=9) for each in (IMAGES, SHAPES))
    assert there.static == later.static
    assert (later.images, later.batch, later.output.shape) == (SHAPES, 2, (5,))


def test_chunk_is_of_masks_where_the_method_has_it_and_else_of_images():
    assert request_of(chunk=1).static.chunk == 1
    option = bind(PROBE, SHAPES, 1, method="scorecam", options={"chunk": 3})
    for masks in (request_of(method="scorecam", chunk=3), option):
        assert masks.static.chunk is None
        assert dict(masks.static.options)["chunk"] == 3


def test_a_program_for_another_machine_does_not_depend_on_this_one(monkeypatch):
    monkeypatch.setattr(_chunks, "device_memory", lambda: 10**12)
    here, anywhere = (
        dict(request_of(method="scorecam", anywhere=each).static.options) for each in (False, True)
    )
    assert here["chunk"] > anywhere["chunk"] == _chunks.default_chunk(IMAGES.shape[1:], 2)


def test_classes_on_the_device_are_checked_later():
    request = request_of(targets=jnp.array([1, 9]))
    with pytest.raises(ValueError, match="no class 9: the model has 5 classes"):
        request.later[-1]()
    with pytest.raises(ValueError, match="no class 9: the model has 5 classes"):
        request_of(targets=np.array([1, 9]))
