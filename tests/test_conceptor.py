"""The laws of the conceptor algebra, in float64, and against dense matrices with pseudo-inverses."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from selection import exhaustive

from jaxcam.conceptor import adapt, and_, and_not, evidence, learn, matrix, not_, or_, quota

K = 9
EXACT = 1e-11
I = np.eye(K)
pytestmark = pytest.mark.usefixtures("x64")


def samples(n, seed=0, *, K=K):
    return np.random.default_rng([seed, n]).normal(size=(K, n))


# What papers write, with dense matrices.
def dense(Z, aperture, weights=None):
    w = np.ones(Z.shape[1]) if weights is None else weights
    R = (Z * w) @ Z.T / w.sum()
    return R @ np.linalg.inv(R + np.eye(len(R)) / aperture**2)


def dense_and(C, B):
    return B @ np.linalg.pinv(C + B - C @ B, rcond=1e-11) @ C


def dense_or(C, B):
    return I - dense_and(I - C, I - B)


def dense_adapt(C, gain):
    return C @ np.linalg.inv(C + (I - C) / gain**2)


def close(one, other, atol=EXACT):
    np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=atol, rtol=0)


def below(one, other):
    return np.linalg.eigvalsh(np.asarray(other) - np.asarray(one)).min() > -EXACT


# Conceptors of every kind: thin, dense, rank-deficient, nothing, everything, and NOTs of them.
def _kinds():  # of few shapes, since each compiles anew
    repeated = samples(5, 3)[:, [0, 0, 1, 1, 2]]
    flat = samples(5, 4) * np.array([1.0, 0, 1, 0, 1, 1, 0, 1, 0])[:, None]
    zero = np.zeros((K, 5))
    positive = {
        "thin": samples(5, 1),
        "other": samples(5, 2),
        "dense": samples(40, 1),
        "repeated": repeated,
        "flat": flat,
        "zero": zero,
    }
    kinds = {name: (lambda Z=Z: learn(Z, 1.3)) for name, Z in positive.items()}
    return kinds | {f"not {name}": (lambda Z=Z: not_(learn(Z, 1.3))) for name, Z in positive.items()}


KINDS = _kinds()
SOME = ["other", "flat", "not thin", "zero", "not zero"]


@pytest.fixture(params=list(KINDS))
def C(request):
    return KINDS[request.param]()


@pytest.fixture(params=exhaustive(SOME, lambda kind: kind not in ("flat", "not thin", "zero")))
def B(request):
    return KINDS[request.param]()


@pytest.mark.parametrize("n", [1, 4, 9, 30])
@pytest.mark.parametrize("aperture", [0.1, 1.0, 20.0])
def test_learn_equals_the_dense_formula(n, aperture):
    close(learn(samples(n), aperture), dense(samples(n), aperture))
    weights = np.random.default_rng(0).uniform(size=n)
    weights[0] += 0.1
    close(learn(samples(n), aperture, weights=weights), dense(samples(n), aperture, weights))


def test_learn_minimises_its_loss():
    Z, aperture = samples(5), 0.7

    def loss(C):
        residual = Z - C @ Z
        return jnp.mean(jnp.sum(residual**2, axis=0)) + jnp.sum(C**2) / aperture**2

    C = matrix(learn(Z, aperture))
    close(jax.grad(loss)(C), np.zeros((K, K)))
    rng = np.random.default_rng(0)
    assert all(loss(C + 1e-3 * rng.normal(size=(K, K))) > loss(C) for _ in range(20))


def test_thin_equals_dense():
    Z = samples(4)
    padded = np.concatenate([Z, np.zeros((K, 20))], axis=1)  # the same R from more samples than channels
    wide = learn(padded, 1.0)
    assert wide.factor.shape == (K, K)
    close(wide, learn(Z, np.sqrt(4 / 24)))


def test_eigenvalues_lie_between_0_and_1(C):
    eigenvalues = np.linalg.eigvalsh(np.asarray(C))
    assert eigenvalues.min() > -EXACT
    assert eigenvalues.max() < 1 + EXACT
    close(C, np.asarray(C).T, atol=0 if not C.negated else EXACT)


def test_learned_eigenvalues_stay_below_1():
    assert np.linalg.eigvalsh(np.asarray(learn(samples(20), 100.0))).max() < 1


def test_aperture():
    Z = samples(6)
    traces = [np.trace(learn(Z, a)) for a in (0.01, 0.1, 1, 10, 100)]
    assert np.all(np.diff(traces) > 0)
    close(learn(Z, 1e-7), 0 * I)
    wide = np.asarray(learn(Z, 1e6))
    close(wide @ Z, Z, atol=1e-9)  # every sample comes through: the base map again
    close(wide, Z @ np.linalg.pinv(Z), atol=1e-9)


def test_not(C):
    close(not_(C), I - np.asarray(C))
    close(not_(not_(C)), C, atol=0)


def test_and_or_equal_the_dense_formulas(C, B):
    dense_C, dense_B = np.asarray(C), np.asarray(B)
    close(and_(C, B), dense_and(dense_C, dense_B), atol=1e-9)
    close(or_(C, B), dense_or(dense_C, dense_B), atol=1e-9)
    close(and_not(C, B), dense_and(dense_C, I - dense_B), atol=1e-9)


def test_de_morgan(C, B):
    close(or_(C, B), I - np.asarray(and_(not_(C), not_(B))))
    close(and_(C, B), I - np.asarray(or_(not_(C), not_(B))))


def test_commutative(C, B):
    close(and_(C, B), and_(B, C))
    close(or_(C, B), or_(B, C))


@pytest.mark.parametrize("third", exhaustive(["dense", "not thin"], lambda kind: kind != "dense"))
@pytest.mark.parametrize("first", ["thin", "flat", "not other", "not zero"])
def test_associative(first, B, third):
    C, D = KINDS[first](), KINDS[third]()
    close(and_(and_(C, B), D), and_(C, and_(B, D)), atol=1e-9)
    close(or_(or_(C, B), D), or_(C, or_(B, D)), atol=1e-9)


def test_with_itself_the_aperture_changes(C):
    close(or_(C, C), adapt(C, np.sqrt(2)))
    close(and_(C, C), adapt(C, 1 / np.sqrt(2)))


def test_nothing_and_everything(C):
    nothing = KINDS["zero"]()
    everything = not_(nothing)
    close(and_(C, nothing), 0 * I)
    close(and_(C, everything), C)
    close(or_(C, nothing), C)
    close(or_(C, everything), I)


def test_order(C, B):
    assert below(and_(C, B), C)
    assert below(C, or_(C, B))


def test_disjoint_ranges_have_nothing_in_common():
    Z = samples(8)
    close(and_(learn(Z[:, :4], 2.0), learn(Z[:, 4:], 3.0)), 0 * I)


def test_shared_directions_survive():
    Z = samples(7)
    common = and_(learn(Z[:, :5], 1e4), learn(Z[:, 3:], 1e4))  # nearly projectors: meet in columns 3 and 4
    shared = Z[:, 3:5]
    close(common, shared @ np.linalg.pinv(shared), atol=1e-6)


def test_or_of_equal_apertures_is_learned_from_both():
    Z, V = samples(5, 1), samples(5, 2)
    both = np.concatenate([Z, V], axis=1)
    close(or_(learn(Z, 1.7), learn(V, 1.7)), learn(both, 1.7 * np.sqrt(2)))


@pytest.mark.parametrize("gain", [0.2, 1.0, 5.0])
def test_adapt(C, gain):
    close(adapt(C, gain), dense_adapt(np.asarray(C), gain))
    close(adapt(learn(samples(5), 0.8), gain), learn(samples(5), 0.8 * gain))


def test_evidence_and_quota_equal_the_dense_formulas(C):
    Z = np.concatenate([samples(5, 8), np.zeros((K, 1))], axis=1)
    share = np.einsum("kp,kl,lp->p", Z, np.asarray(C), Z)[:5] / (Z**2).sum(axis=0)[:5]
    close(evidence(C, Z), np.append(share, 0))
    assert evidence(C, Z[:, 1]).shape == ()
    close(evidence(C, Z[:, 1]), share[1])
    close(quota(C), np.trace(C) / K)


def test_duality():
    Z, aperture = samples(5), 0.9
    positions = learn(Z.T, aperture * np.sqrt(K / 5))
    close(np.asarray(learn(Z, aperture)) @ Z, Z @ np.asarray(positions))


def test_order_of_channels_does_not_matter():
    Z, V, order = samples(4, 1), samples(6, 2), np.random.default_rng(0).permutation(K)
    for operation in (and_, or_, and_not):
        C = np.asarray(operation(learn(Z), learn(V)))
        close(operation(learn(Z[order]), learn(V[order])), C[np.ix_(order, order)])


def test_splitting_evidence_by_the_sign_of_channels_takes_nothing_away():
    Z = samples(4)
    sign = np.array([1.0, -1, 1, 1, -1, 1, -1, -1, 1])[:, None]
    positive, negative = learn(Z * (sign > 0)), learn(Z * (sign < 0))
    close(and_not(positive, negative), positive)


OPERATIONS = {
    "and": lambda Z, V: and_(learn(Z), learn(V)),
    "or": lambda Z, V: or_(learn(Z), learn(V)),
    "and not": lambda Z, V: and_not(learn(Z), learn(V)),
    "or not": lambda Z, V: or_(learn(Z), not_(learn(V))),
    "weighted": lambda Z, V: learn(Z, weights=jnp.abs(V[0, : Z.shape[1]]) + 0.1),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("n", [6, 14])
def test_gradients_equal_finite_differences(operation, n):
    Z, V = jnp.asarray(samples(n, 1)), jnp.asarray(samples(n, 2))
    weight = jnp.asarray(samples(K, 5))

    def value(Z, V):
        return jnp.sum(weight * matrix(OPERATIONS[operation](Z, V)))

    for of, argument in enumerate((Z, V)):
        direction = jnp.asarray(samples(n, 6 + of))
        move = lambda t: [x + t * direction if i == of else x for i, x in enumerate((Z, V))]  # noqa: B023, E731
        slope = jnp.vdot(jax.grad(value, argnums=of)(Z, V), direction)
        expected = (value(*move(1e-6)) - value(*move(-1e-6))) / 2e-6
        np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-8)
        assert argument.shape == direction.shape


@pytest.mark.parametrize("kind", ["zero", "repeated", "orthonormal", "coincident"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_gradients_are_finite_where_eigenvalues_coincide(kind, operation):
    Z = {
        "zero": np.zeros((K, 4)),
        "repeated": np.ones((K, 4)),
        "orthonormal": I[:, :4],
        "coincident": samples(4),
    }[kind]
    slopes = jax.grad(lambda Z, V: jnp.sum(matrix(OPERATIONS[operation](Z, V)) ** 2), argnums=(0, 1))(
        jnp.asarray(Z), jnp.asarray(Z)
    )
    assert all(np.isfinite(slope).all() for slope in slopes)


def test_gradient_where_spans_coincide():
    Z, direction = jnp.asarray(samples(4)), jnp.asarray(samples(4, 9))
    value = lambda V: jnp.sum(matrix(or_(learn(Z), learn(V))) ** 2)  # noqa: E731
    expected = (value(Z + 1e-6 * direction) - value(Z - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(jnp.vdot(jax.grad(value)(Z), direction), expected, rtol=1e-6)


def test_second_derivatives():
    Z, direction = jnp.asarray(samples(4)), jnp.asarray(samples(4, 9))
    slope = jax.grad(lambda V: jnp.sum(matrix(or_(learn(Z), not_(learn(V)))) ** 3))
    curve = jax.jvp(slope, (Z,), (direction,))[1]
    expected = (slope(Z + 1e-6 * direction) - slope(Z - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(curve, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_named():
    Z = samples(4)
    for aperture in (0, -1.0, np.nan, np.inf, "wide", True, np.ones(2)):
        with pytest.raises(ValueError, match="aperture must be a finite number above 0; got"):
            learn(Z, aperture)
    with pytest.raises(ValueError, match="gain must be a finite number above 0; got 0"):
        adapt(learn(Z), 0)
    with pytest.raises(ValueError, match=r"one per sample, \(4,\); got shape \(3,\)"):
        learn(Z, weights=np.ones(3))
    for operation in (and_, or_, and_not):
        with pytest.raises(ValueError, match="conceptors of 9 and 5 channels"):
            operation(learn(Z), learn(Z[:5]))
    with pytest.raises(ValueError, match=r"9 channels does not fit samples of shape \(5, 4\)"):
        evidence(learn(Z), Z[:5])


def test_weights_of_nothing():
    close(learn(samples(4), weights=np.zeros(4)), 0 * I)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("samples", "weights", "message"),
    [
        (np.full((3, 4), np.nan), None, "samples has a NaN or infinite value"),
        (np.ones(3), None, r"samples is an array \(K, n\); got shape \(3,\)"),
        (np.ones((3, 4)), np.array([1.0, -1, 0, 0]), "at least 0; weight 1 is -1"),
        (np.ones((3, 4)), np.array([1.0, np.nan, 0, 0]), "at least 0; weight 1 is nan"),
    ],
)
def test_samples_and_weights_that_are_none(samples, weights, message):
    with pytest.raises(ValueError, match=message):
        learn(samples, weights=weights)


@pytest.mark.parametrize("gain", [1e-300, 1e-30, 1e-6, 1e6, 1e30, 1e300])
@pytest.mark.parametrize("negated", [False, True])
def test_adapt_keeps_eigenvalues_in_range(gain, negated):
    Z = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    C = learn(jnp.asarray(Z))
    C = adapt(not_(C) if negated else C, gain)
    values = np.linalg.eigvalsh(matrix(C))
    assert values.min() > -1e-5
    assert values.max() < 1 + 1e-5
    if gain > 1:  # 1 where C lets anything through at all
        expected = 5 if negated else 3
        assert np.sum(values > 0.99) == expected
    share = evidence(C, jnp.asarray(Z))
    assert np.isfinite(share).all()
