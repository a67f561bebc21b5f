"""Methods for attention on models of several libraries: what they find there, what it costs, what they refuse."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import transformer
from flax import linen, nnx
from jax.experimental import pallas
from jax.sharding import PartitionSpec as P
from nets import attentive, images, small
from transformer import GRID, block, embed, head, logits, norm, parameters, picture, plain

import jaxcam
from jaxcam.models.vit import Variant, VisionTransformer
from jaxcam.probes._attention import attention
from jaxcam.probes._flops import flops

METHODS = (jaxcam.rollout, jaxcam.attention_relevance, jaxcam.legrad, jaxcam.gradeclip)


@pytest.fixture(autouse=True)
def promotion():
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def probabilities(probe, image):
    return jax.jit(lambda probe, image: attention(probe, image, method="a test").probabilities())(
        probe, image
    )


class LinenViT(linen.Module):
    """Blocks that a scan runs; `weights` keeps what Linen itself says of the attention."""

    @linen.compact
    def __call__(self, x, weights=False):
        x = linen.Conv(8, (2, 2), (2, 2), name="patches")(x).reshape(1, -1, 8)
        stack = linen.scan(
            LinenBlock,
            variable_axes={"params": 0, "intermediates": 0},
            split_rngs={"params": True},
            in_axes=linen.broadcast,
            length=2,
        )
        x, _ = stack(name="blocks")(x, weights)
        return linen.Dense(5)(jnp.mean(linen.LayerNorm()(x), axis=1))


class LinenBlock(linen.Module):
    @linen.compact
    def __call__(self, x, weights):
        y = linen.LayerNorm()(x)
        x = x + linen.MultiHeadDotProductAttention(2, deterministic=True)(y, sow_weights=weights)
        return x + linen.Dense(8)(linen.gelu(linen.Dense(16)(linen.LayerNorm()(x)))), None


def test_linen():
    model, image = LinenViT(), images(1)[0]
    variables = jax.jit(model.init)(jax.random.key(0), image[None])
    probe = jaxcam.probe(model, "patches", variables={"params": variables["params"]})
    found = probabilities(probe, image)
    _, kept = jax.jit(lambda x: model.apply(variables, x, weights=True, mutable="intermediates"))(image[None])
    (said,) = jax.tree.leaves(kept)
    np.testing.assert_allclose(np.stack(found), said[:, 0], rtol=1e-5, atol=1e-7)
    assert jax.eval_shape(lambda: jaxcam.legrad(probe, image, 1)).shape == (6, 7)


class NnxBlock(nnx.Module):
    def __init__(self, rngs):
        self.norm = nnx.LayerNorm(8, rngs=rngs)
        self.attend = nnx.MultiHeadAttention(2, 8, decode=False, deterministic=True, rngs=rngs)
        self.mlp = nnx.Linear(8, 8, rngs=rngs)

    def __call__(self, x):
        x = x + self.attend(self.norm(x))
        return x + jax.nn.gelu(self.mlp(x))


class NnxViT(nnx.Module):
    """Blocks one after the other, or stacked in an `nnx.scan` of rematerialised ones."""

    def __init__(self, stacked):
        self.patches = nnx.Conv(3, 8, (2, 2), (2, 2), rngs=nnx.Rngs(0))
        made = nnx.vmap(NnxBlock)(nnx.Rngs(1).split(2))
        self.stacked = stacked
        self.blocks = made if stacked else nnx.List(_unstacked(made, number) for number in range(2))
        self.classes = nnx.Linear(8, 5, rngs=nnx.Rngs(2))

    def __call__(self, x):
        x = self.patches(x).reshape(1, -1, 8)
        if self.stacked:
            run = nnx.remat(lambda x, block: block(x))
            x = nnx.scan(run, in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)(x, self.blocks)
        else:
            for block in self.blocks:
                x = block(x)
        return self.classes(jnp.mean(x, axis=1))


def _unstacked(stack, number):
    graph, state = nnx.split(stack)
    return nnx.merge(graph, jax.tree.map(lambda leaf: leaf[number], state))


def test_nnx_stack_of_blocks_that_a_scan_runs():
    image = images(1)[0]
    one, other = (
        jax.jit(lambda probe: [method(probe, image, 1) for method in METHODS])(
            jaxcam.probe(NnxViT(stacked), "patches")
        )
        for stacked in (True, False)
    )
    for found, wanted in zip(one, other, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
        assert np.ptp(wanted) > 0


def test_equinox():
    class Net(eqx.Module):
        patches: eqx.nn.Conv2d
        attend: eqx.nn.MultiheadAttention
        classes: eqx.nn.Linear

        def __init__(self, key):
            self.patches = eqx.nn.Conv2d(3, 8, 2, 2, key=key)
            self.attend = eqx.nn.MultiheadAttention(2, 8, key=key)
            self.classes = eqx.nn.Linear(8, 5, key=key)

        def __call__(self, x):
            x = self.patches(x)
            x = x.reshape(8, -1).T
            x = x + self.attend(x, x, x)
            return self.classes(jnp.mean(x, axis=0))

    model, image = Net(jax.random.key(0)), images(1)[0]
    (found,) = probabilities(jaxcam.probe(model, "patches"), image)
    x = model.patches(jnp.moveaxis(image, -1, 0)).reshape(8, -1).T
    q, k = (jax.vmap(each)(x).reshape(-1, 2, 4) for each in (model.attend.query_proj, model.attend.key_proj))
    wanted = jax.nn.softmax(jnp.einsum("qhd,khd->hqk", q, k) / 2, axis=-1)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_our_vision_transformer_with_registers():
    sizes = {
        "patch": 8,
        "depth": 2,
        "width": 16,
        "heads": 2,
        "hidden": 32,
        "image_size": 32,
        "num_classes": 5,
    }
    options = {"dtype": jnp.float32, "param_dtype": jnp.float32, "rngs": nnx.Rngs(0)}
    model = VisionTransformer(**sizes, variant=Variant(registers=2), **options)
    probe, image = jaxcam.probe(model, "encoder.layers.encoder_layer_1.ln_1"), images(1, size=(32, 32))[0]
    found = jax.jit(lambda probe, image: [method(probe, image, 1) for method in METHODS])(probe, image)
    for shown in found:
        assert shown.shape == (4, 4)
        assert np.isfinite(shown).all()
    assert 0 < float(found[0].sum()) < 16 / 19 + 0.05  # the class token and the registers keep their shares


@functools.cache
def swin(size):
    probe = jaxcam.probe(tiny.build("tiny_swin"), "norm")
    return probe, images(1, size=size)[0]


def test_the_blocks_of_swin_that_attend_over_the_whole_picture():
    probe, image = swin((24, 24))
    with pytest.raises(
        ValueError, match=r"block 2 of 4 attends within 4 windows of 9 positions: pass blocks=2"
    ):
        jax.eval_shape(lambda: jaxcam.rollout(probe, image))
    found = jax.jit(lambda probe, image: [method(probe, image, 1, blocks=2) for method in METHODS])(
        probe, image
    )
    for shown in found:
        assert shown.shape == (3, 3)
    np.testing.assert_allclose(jnp.sum(found[0]), 1, rtol=1e-5)  # all positions' shares


def test_windows_alone_are_an_error():
    with pytest.raises(
        ValueError, match="block 4 of 4 attends within 4 windows of 9 positions: take a method for"
    ):
        jax.eval_shape(lambda: jaxcam.legrad(*swin((33, 40)), 1))


def test_a_network_without_attention():
    with pytest.raises(
        ValueError, match=r"rollout needs the attention of a transformer.*'blocks.0'.*layercam"
    ):
        jaxcam.rollout(small(), images(1)[0])


def test_a_softmax_over_classes_is_no_attention():
    def run(params, x):
        logits = jnp.mean(jaxcam.tap(x @ params["features"], "features"), axis=(1, 2))
        return jax.nn.softmax(logits, axis=-1) @ params["names"]

    params = {"features": jnp.ones((3, 4)), "names": jnp.ones((4, 6))}
    with pytest.raises(ValueError, match="needs the attention of a transformer"):
        jaxcam.rollout(jaxcam.probe(run, "features", variables=params), images(1)[0])


def test_attention_that_hides_its_probabilities():
    """In all blocks, or in one. An operation after the attention may be fused."""

    def kernel(*given):
        given[-1][...] = given[0][...]

    def fused(*arrays):
        kind = jax.ShapeDtypeStruct(arrays[0].shape, arrays[0].dtype)
        return pallas.pallas_call(kernel, out_shape=kind, interpret=True)(*arrays)

    def in_one(params, images):
        first, last = params["blocks"]
        x = jaxcam.tap(embed(params, images), "tokens")
        return head(params, block(last, block(first, x, fused)))

    def normed(params, images):
        return logits(params, fused(images))

    for function in (functools.partial(logits, attend=fused), in_one):
        probe = transformer.probe(parameters(2), function)
        with pytest.raises(
            ValueError, match=r"may hide them in the fused operation 'pallas_call': switch that"
        ):
            jax.eval_shape(lambda probe=probe: jaxcam.attention_relevance(probe, picture(), 1))
    probe = transformer.probe(parameters(2), normed)
    assert jax.eval_shape(lambda: jaxcam.attention_relevance(probe, picture(), 1)).shape == GRID


def test_attention_on_something_else():
    """Queries of one block, keys of fewer positions."""

    def pooled(q, k, v):
        return plain(q, k[:, ::2], v[:, ::2])

    probe = transformer.probe(parameters(2), functools.partial(logits, attend=pooled))
    with pytest.raises(ValueError, match="block 2 of 2 attends from 13 queries to 7 keys"):
        jax.eval_shape(lambda: jaxcam.rollout(probe, picture()))


def test_blocks_that_read_more_than_the_one_before():
    def skipping(params, images):
        first = x = jaxcam.tap(embed(params, images), "tokens")
        for weights in params["blocks"]:
            x = block(weights, x) + first
        return head(params, x)

    probe = transformer.probe(parameters(2), skipping)
    with pytest.raises(ValueError, match=r"legrad reads the score at every block.*pass score='output'"):
        jax.eval_shape(lambda: jaxcam.legrad(probe, picture(), 1))
    assert jax.eval_shape(lambda: jaxcam.legrad(probe, picture(), 1, score="output")).shape == GRID


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        (jaxcam.rollout, {"heads": "median"}, "no heads 'median'"),
        (jaxcam.rollout, {"discard": 1.0}, "discard must be a share of at least 0 and below 1; got 1.0"),
        (jaxcam.rollout, {"blocks": 3}, "blocks must be at most 2, the model's number of blocks; got 3"),
        (jaxcam.gradeclip, {"blocks": 0}, "blocks must be a whole number of at least 1; got 0"),
        (jaxcam.legrad, {"score": "heads"}, "no score 'heads'; did you mean 'head'"),
    ],
)
def test_options(method, options, words):
    with pytest.raises(ValueError, match=words):
        jax.eval_shape(lambda: method(attentive(), images(1)[0], 1, **options))


def test_text_in_the_same_program_is_not_the_image():
    params = parameters(2) | {"words": np.ones((1, 5, 8), np.float32)}

    def clip(params, images):
        text = block(params["blocks"][0], params["words"] + norm(params["words"]))
        return logits(params, images) + jnp.mean(text) + head(params, text)

    probe = transformer.probe(params, clip)
    kinds = jax.eval_shape(lambda: attention(probe, picture(), method="a test").probabilities())
    assert [each.shape for each in kinds] == [(2, 13, 13)] * 2


def test_a_map_has_the_layers_size_and_leaves_out_every_leading_token():
    def earlier(params, images):
        return logits(params, jaxcam.tap(images * 1.0, "pixels"))

    params = parameters(2, leading=3)
    inner = jaxcam.rollout(transformer.probe(params), picture())
    outer = jaxcam.rollout(jaxcam.probe(earlier, "pixels", variables=params, tokens=3), picture())
    np.testing.assert_allclose(outer, jaxcam.resize(inner, (6, 8)), rtol=1e-6)


def test_one_forward_pass_and_the_backward_pass_of_what_follows_the_first_attention():
    """A dear embedding is run once and never differentiated; a rollout runs nothing after the last softmax."""

    def dear(params, images):
        wide = jnp.tile(images, (1, 1, 1, 100)) @ jnp.ones((300, 300)) @ jnp.ones((300, 3))
        return logits(params, wide)

    probe, image = transformer.probe(parameters(2), dear), picture()
    once = flops(lambda probe, image: probe(image)[0], probe, image)
    without = flops(lambda probe, image: probe(image)[0], transformer.probe(parameters(2)), image)
    for method in METHODS[1:]:
        assert (
            once
            < flops(lambda probe, image, run=method: run(probe, image, 1), probe, image)
            < once + 3 * without
        )
    assert (
        flops(jaxcam.rollout, probe, image) < once + without / 4
    )  # and the products of the blocks' matrices


def test_devices_that_explain_several_classes_of_one_picture():
    """The picture is the same on all devices and the class is not: each one's gradient is its own."""
    mesh = jax.make_mesh((1,), ("b",), axis_types=(jax.sharding.AxisType.Auto,))
    probe, image, classes = transformer.probe(parameters(2)), picture(), jnp.array([0, 2])

    def each(probe, image, classes):
        return [jax.vmap(functools.partial(method, probe, image))(classes) for method in METHODS[1:]]

    program = jax.shard_map(each, mesh=mesh, in_specs=(P(), P(), P("b")), out_specs=P("b"))
    found = jax.eval_shape(jax.jit(program), probe, image, classes)
    assert [each.shape for each in found] == [(2, *GRID)] * 3
