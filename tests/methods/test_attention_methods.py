"""Methods for attention: their formulas in float64, and attention however a model writes it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformer
from flax import linen, nnx
from transformer import GRID, HEADS, WIDTH, block, embed, head, logits, parameters, picture, plain

import jaxcam
from jaxcam.probes._attention import attention

CLASS = 1
METHODS = (jaxcam.rollout, jaxcam.attention_relevance, jaxcam.legrad, jaxcam.gradeclip)


@pytest.fixture(autouse=True)
def promotion():
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def opened(params, image, zeros):
    """The transformer with an array added to each block's attention and to what its heads return: the logits, and each
    block's attention, queries, keys, values and output."""
    seen = []

    def attend(number, q, k, v):
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
        A = jax.nn.softmax(scores, axis=-1)
        at, out = zeros[number]
        seen.append([A[0], q[0], k[0], v[0]])
        return jnp.einsum("bhqk,bkhd->bqhd", A + at, v) + out

    x = embed(params, image[None])
    for number, weights in enumerate(params["blocks"]):
        x = block(weights, x, functools.partial(attend, number))
        seen[number].append(x)
    return head(params, x)[0], seen


def truth(leading):
    """Attention, its parts and gradients of every block in float64, by `jax.grad` of explicit arguments."""
    params = parameters(2, leading=leading, dtype=np.float64)
    image, tokens = picture(dtype=np.float64), leading + GRID[0] * GRID[1]
    nothing = (jnp.zeros((1, HEADS, tokens, tokens)), jnp.zeros((1, tokens, HEADS, WIDTH // HEADS)))

    def at_block(zeros, number, pooled):
        x = opened(params, image, zeros)[1][number][-1]
        x = jnp.broadcast_to(jnp.mean(x, axis=1, keepdims=True), x.shape) if pooled else x
        return head(params, x)[0, CLASS]

    @jax.jit
    def all_of(zeros):
        score = lambda zeros: opened(params, image, zeros)[0][CLASS]  # noqa: E731
        early = {
            pooled: [jax.grad(at_block)(zeros, number, pooled)[number][0][0] for number in range(2)]
            for pooled in (True, False)
        }
        final = [tuple(each[0] for each in pair) for pair in jax.grad(score)(zeros)]
        return opened(params, image, zeros)[1], final, early

    return params, image, *jax.tree.map(np.asarray, all_of([nothing] * 2))


@pytest.fixture(scope="module", params=[1, 0], ids=["class token", "mean"])
def case(request):
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        return request.param, *truth(request.param)


def read(R, leading):
    return (R[0, leading:] if leading else R.mean(0)).reshape(GRID)


def rolled(seen, leading, heads=np.mean, discard=0.0):
    """jacobgil/vit-explain's loop."""
    R = np.eye(seen[0][0].shape[-1])
    for A, *_ in seen:
        fused = heads(A, axis=0)
        flat = fused.ravel().copy()
        weakest = np.argsort(flat, kind="stable")[: int(flat.size * discard)]
        flat[weakest[weakest != 0]] = 0
        a = (flat.reshape(fused.shape) + np.eye(len(fused))) / 2
        R = a / a.sum(-1, keepdims=True) @ R
    return read(R, leading)


def relevance(seen, final, leading):
    R = np.eye(seen[0][0].shape[-1])
    for (A, *_), (G, _) in zip(seen, final, strict=True):
        R = R + np.maximum(A * G, 0).mean(0) @ R
    return read(R, leading)


def sensitivity(gradients, leading):
    return np.mean([np.maximum(G, 0).mean((0, 1)) for G in gradients], axis=0)[leading:].reshape(GRID)


def eclipsed(seen, final, leading, likeness=True):
    """The authors' formula with heads side by side."""
    _, q, k, v, _ = seen[-1]
    merged = lambda x: x.reshape(len(x), -1)  # noqa: E731
    g, q, k, v = map(merged, (final[-1][1], q, k, v))
    g, q = (g[0], q[0]) if leading else (g.sum(0), q.mean(0))
    cosine = k[leading:] @ q / np.linalg.norm(k[leading:], axis=-1) / np.linalg.norm(q)
    cosine = (cosine - cosine.min()) / np.ptp(cosine) if likeness else 1
    return np.maximum((v[leading:] * g).sum(-1) * cosine, 0).reshape(GRID)


def expected(leading, seen, final, early):
    yield jaxcam.rollout, {}, rolled(seen, leading)
    yield jaxcam.rollout, {"heads": "max", "discard": 0.4}, rolled(seen, leading, np.max, 0.4)
    yield jaxcam.rollout, {"heads": "min", "blocks": 1}, rolled(seen[1:], leading, np.min)
    yield jaxcam.attention_relevance, {}, relevance(seen, final, leading)
    yield jaxcam.attention_relevance, {"blocks": 1}, relevance(seen[-1:], final[-1:], leading)
    yield jaxcam.legrad, {}, sensitivity(early[True], leading)
    yield jaxcam.legrad, {"blocks": 1}, sensitivity(early[True][-1:], leading)
    yield jaxcam.legrad, {"score": "head"}, sensitivity(early[False], leading)
    yield jaxcam.legrad, {"score": "output"}, sensitivity([G for G, _ in final], leading)
    yield jaxcam.gradeclip, {}, eclipsed(seen, final, leading)
    yield jaxcam.gradeclip, {"likeness": False}, eclipsed(seen, final, leading, likeness=False)


def test_formulas(case, x64):
    leading, params, image, *rest = case
    probe = transformer.probe(params)
    cases = list(expected(leading, *rest))
    program = jax.jit(lambda p, x: [method(p, x, CLASS, **options) for method, options, _ in cases])
    for (method, options, wanted), found in zip(cases, program(probe, image), strict=True):
        assert found.dtype == jnp.float64
        assert np.ptp(wanted) > 0
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12, err_msg=f"{method} {options}")


def manual(q, k, v):
    e = jnp.exp(jnp.einsum("bqhd,bkhd->bhqk", q / q.shape[-1] ** 0.5, k))
    return jnp.einsum("bhqk,bkhd->bqhd", e / e.sum(-1, keepdims=True), v)


def logarithmic(q, k, v):
    scores = jnp.einsum("bqhd,bkhd->bqkh", q, k) / q.shape[-1] ** 0.5
    return jnp.einsum("bqkh,bkhd->bqhd", jnp.exp(jax.nn.log_softmax(scores, axis=2)), v)


def masked(q, k, v):
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
    keep = jnp.ones((1, 1, *scores.shape[-2:]), bool)
    A = jax.nn.softmax(jnp.where(keep, scores, -1e9), axis=-1, where=keep)
    return jnp.swapaxes(A @ jnp.swapaxes(v, 1, 2), 1, 2)


def by_head(q, k, v):
    def one(q, k, v):
        return jax.nn.softmax(q @ k.T / q.shape[-1] ** 0.5, axis=-1) @ v

    return jax.vmap(jax.vmap(one, in_axes=1, out_axes=1))(q, k, v)


def merged(q, k, v):
    """Heads in the batch axis, as in torch's own."""
    fold = lambda x: jnp.moveaxis(x, 2, 1).reshape(HEADS, -1, x.shape[-1])  # noqa: E731
    A = jax.nn.softmax(fold(q) @ jnp.swapaxes(fold(k), 1, 2) / q.shape[-1] ** 0.5, axis=-1)
    return jnp.moveaxis((A @ fold(v)).reshape(1, HEADS, *q.shape[1::2]), 1, 2)


WRITTEN = {
    "manual": manual,
    "log_softmax": logarithmic,
    "masked": masked,
    "by head": by_head,
    "merged": merged,
    "jax.nn": functools.partial(jax.nn.dot_product_attention, implementation="xla"),
    "flax.linen": linen.dot_product_attention,
    "flax.nnx": nnx.dot_product_attention,
}


@functools.cache
def of_plain():
    return [attention_of(plain), *maps(transformer.probe(parameters(2)))]


def attention_of(attend):
    probe = transformer.probe(parameters(2), functools.partial(logits, attend=attend))

    @jax.jit
    def run(probe, image):
        return attention(probe, image, method="a test").look(CLASS)

    return run(probe, picture())


@jax.jit
def maps(probe):
    return [method(probe, picture(), CLASS) for method in METHODS]


@pytest.mark.parametrize("attend", WRITTEN.values(), ids=WRITTEN)
def test_attention_is_found_however_it_is_written(attend):
    for found, wanted in zip(attention_of(attend), of_plain()[0], strict=True):
        for name, one, other in zip(found._fields, found, wanted, strict=True):
            if name in ("queries", "keys"):  # scaled before or after, some of them
                assert one.shape == other.shape
            else:
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6, err_msg=name)


def test_keys_that_heads_share():
    """Grouped queries: the same as with the keys and values written out."""
    params = parameters(2)

    def grouped(q, k, v):
        return jax.nn.dot_product_attention(q, k[:, :, :1], v[:, :, :1])

    def written_out(q, k, v):
        return plain(q, *(jnp.repeat(each[:, :, :1], HEADS, axis=2) for each in (k, v)))

    one, other = (
        maps(transformer.probe(params, functools.partial(logits, attend=each)))
        for each in (grouped, written_out)
    )
    for found, wanted in zip(one, other, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def scanned(params, images):
    x = jaxcam.tap(embed(params, images), "tokens")
    stack = jax.tree.map(lambda *each: jnp.stack(each), *params["blocks"])
    x, _ = jax.lax.scan(lambda x, weights: (jax.checkpoint(block)(weights, x), None), x, stack)
    return head(params, x)


def test_scanned_and_rematerialised_blocks():
    for found, wanted in zip(maps(transformer.probe(parameters(2), scanned)), of_plain()[1:], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_bfloat16():
    half = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), parameters(2))
    probe = transformer.probe(half)
    program = jax.jit(lambda probe, image: [method(probe, image, CLASS) for method in METHODS])
    for found, wanted in zip(
        program(probe, jnp.asarray(picture(), jnp.bfloat16)), of_plain()[1:], strict=True
    ):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(jaxcam.display(found), jaxcam.display(wanted), atol=0.15)
