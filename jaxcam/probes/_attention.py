"""The attention of every block of a transformer: probabilities over keys, and gradients, for one image."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._display import resize
from .._dtypes import widen
from .._errors import check_count
from ..targets._score import Target, score, settle
from ._attention_sites import Product, Site, fused, sites_of
from ._blocks import block_outputs, token_axes
from ._flat import Atom, Flat, Values, flattened
from ._marks import varying
from ._probe import Image, Probe, zeros_of
from ._tokens import as_map

Changed = dict[Atom, Callable[[Array], Array]]


class Block(NamedTuple):
    """The attention of one block, at least float32. Groups are of heads that share keys and values, mostly of one.

    Attributes:
        probabilities: `(heads, queries, keys)`.
        gradient: of the score, with respect to the probabilities, or to what the heads return
            `(heads, group, queries, width)`.
        queries: `(heads, group, queries, width)`. `keys`: `(heads, keys, width)`. None where they are not found.
        values: `(heads, keys, width)`.
    """

    probabilities: Float[Array, "heads queries keys"]
    gradient: Array
    queries: Array | None
    keys: Array | None
    values: Array


class Attention(NamedTuple):
    """The attention of a model's last blocks, for one image; made by `attention`.

    Attributes:
        flat: the model's program, whose inputs are the probe and the image.
        sites: where the attention of the blocks is in it.
        earlier: the sites of the blocks before them.
        space: sides of the probed layer. `grid`: sides of the keys' map, after `leading` tokens without a position.
        method: who asks, for errors.
    """

    probe: Probe
    image: Array
    flat: Flat
    sites: tuple[Site, ...]
    earlier: tuple[Site, ...]
    space: tuple[int, ...]
    grid: tuple[int, ...]
    leading: int
    method: str

    def probabilities(self) -> list[Float[Array, "heads queries keys"]]:
        """The probabilities of each block, for one forward pass up to the last of them."""
        products = [site.probabilities for site in self.sites]
        values = self._start()
        self.flat.run(values, {}, range(1 + max(self.flat.maker[each.atom] for each in products)))
        return [_probabilities(values, each) for each in products]

    def look(self, target: Target, *, outputs: bool = False) -> list[Block]:
        """Each block's attention, and the gradient of the score with respect to it, for one forward and one backward
        pass. Nothing before the first block's attention is differentiated.

        Args:
            target: a class index, None for the most likely class, or a callable `output -> scalar`.
            outputs: of what the heads return, not of the probabilities.
        """
        return self._look(Attention._at_the_end, target, outputs)

    def look_at_blocks(self, target: Target, *, pooled: bool) -> list[Block]:
        """Each block's attention, and the gradient of the score that the head reads of that block's own output.

        The head is what follows the last block. A block's score is differentiated as far as that block alone, so that
        one forward pass, the heads and one backward pass give all gradients.

        Args:
            pooled: the head gets the mean of the block's tokens in place of each of them.

        Raises:
            ValueError: a model whose blocks do not follow each other, each on the output of the one before.
        """

        def scores(self: Attention, values: Values, changed: Changed, target: Target) -> Array:
            return self._of_blocks(values, changed, target, pooled)

        return self._look(scores, target, False)

    def read(self, relevance: Float[Array, "queries keys"]) -> Float[Array, "*space"]:
        """The map of a matrix: the class token's row where there are leading tokens, or else the mean of all rows."""
        return self.map(relevance[0] if self.leading else jnp.mean(relevance, axis=0))

    def map(self, row: Float[Array, " keys"]) -> Float[Array, "*space"]:
        """A value for each key, without those of the leading tokens, as a map of the probed layer's size."""
        laid = row[self.leading :].reshape(self.grid)
        return laid if self.grid == self.space else resize(laid, self.space)

    def _start(self) -> Values:
        return self.flat.start(jax.tree.leaves((self.probe, self.image)))

    def _look(self, scored: Callable, target: Target, outputs: bool) -> list[Block]:
        products = [site.output if outputs else site.probabilities for site in self.sites]

        kept = list(dict.fromkeys(atom for site in self.sites for atom in site.atoms))

        def run(zeros: list[Array]):
            values = self._start()
            added = {
                seen.atom: lambda x, zero=zero: x + zero for seen, zero in zip(products, zeros, strict=True)
            }
            value = scored(self, values, added, target)
            return value, [values[atom] for atom in kept]

        zeros = [zeros_of(product.atom.aval) for product in products]
        value, pull, seen = jax.vjp(run, zeros, has_aux=True)
        if missing := varying(value).difference(*map(varying, zeros)):
            # The attention is the same on devices that score it differently: their gradients would be summed.
            image = jax.lax.pcast(self.image, tuple(sorted(missing)), to="varying")
            again = attention(self.probe, image, method=self.method, blocks=len(self.sites))
            return again._look(scored, target, outputs)
        (slopes,) = pull(jnp.ones_like(value))
        values = dict(zip(kept, seen, strict=True))
        gradients = {product.atom: slope for product, slope in zip(products, slopes, strict=True)}
        return [
            Block(
                _probabilities(values, site.probabilities),
                (_in_groups if outputs else _probabilities)(gradients, product),
                site.queries and _in_groups(values, site.queries),
                site.keys and _vectors(values, site.keys),
                _vectors(values, site.values),
            )
            for site, product in zip(self.sites, products, strict=True)
        ]

    def _at_the_end(self, values: Values, changed: Changed, target: Target) -> Array:
        self.flat.run(values, changed)
        return score(self.flat.output(values), target)

    def _of_blocks(self, values: Values, changed: Changed, target: Target, pooled: bool) -> Array:
        """The sum of all blocks' scores, each of which depends on its own block's attention alone."""
        ends = block_outputs(self.flat, self.sites, self.earlier)
        if ends is None:
            raise ValueError(
                f"{self.method} reads the score at every block, and the blocks of {_model(self.probe)} are not such "
                "that each goes on with the output of the one before and the last one's output is all that the head "
                "gets: pass score='output', the gradient of the model's own score"
            )
        found = {}

        def ended(atom: Atom) -> Callable[[Array], Array]:
            def keep(x: Array) -> Array:
                found[atom] = x
                return jax.lax.stop_gradient(x)

            return keep

        self.flat.run(values, changed | {atom: ended(atom) for atom in ends})
        last, equations = ends[-1], self.flat.program.eqns
        target = settle(self.flat.output(values), target)
        after = [
            number
            for number in range(self.flat.maker[last] + 1, len(equations))
            if any(atom in self.flat.dependent for atom in equations[number].outvars)
        ]
        axes = token_axes(last, self.sites[-1])

        def head(x: Array) -> Array:
            if pooled:
                x = jnp.broadcast_to(jnp.mean(x, axis=axes, keepdims=True), x.shape)
            inner = {**values, last: x}
            self.flat.run(inner, {}, after)
            return score(self.flat.output(inner), target)

        return jnp.sum(jax.vmap(head)(jnp.stack([found[atom] for atom in ends])))


def attention(probe: Probe, image: Image, *, method: str, blocks: int | None = None) -> Attention:
    """Finds the attention of a model's blocks in its program, whatever library it is of.

    Args:
        blocks: how many, the last ones; all by default.
        method: who asks, for errors.

    Raises:
        ValueError: a model without attention, or with one that hides its probabilities, that is within windows or that
            has other keys than queries; more blocks than there are.
    """
    if blocks is not None:
        check_count("blocks", blocks)
    image = jnp.asarray(image)
    flat, layer = flattened(lambda probe, image: probe(image), probe, image)
    sites = sites_of(flat)
    # Beside attention that is found, a fused operation of one array is something else, such as a norm.
    if hidden := fused(flat, 2 if sites else 1):
        raise ValueError(_hidden(method, probe, hidden))
    if not sites:
        raise ValueError(
            f"{method} needs the attention of a transformer: in {_model(probe)} no softmax over keys multiplies values "
            "that depend on the image. Take a gradient method, such as layercam; or, if it is a transformer whose "
            f"attention is fused into one operation, {_SWITCH}"
        )
    count = len(sites) if blocks is None else blocks
    if count > len(sites):
        raise ValueError(f"blocks must be at most {len(sites)}, the model's number of blocks; got {blocks}")
    chosen = tuple(sites[-count:])
    _check_whole(method, sites, count)
    space = layer.shape[:-1]
    leading, grid = _grid(probe, chosen[-1].sides[1], space, image.shape[:-1])
    return Attention(probe, image, flat, chosen, tuple(sites[:-count]), space, grid, leading, method)


_SWITCH = (
    "switch that off: implementation='xla' of jax.nn.dot_product_attention, keras.config.disable_flash_attention(), or "
    "the model's own option for plain attention"
)


def _hidden(method: str, probe: Probe, name: str) -> str:
    return (
        f"{method} needs attention probabilities, and {_model(probe)} may hide them in the fused operation {name!r}: "
        f"{_SWITCH}"
    )


def _check_whole(method: str, sites: Sequence[Site], count: int) -> None:
    """Raises ValueError where one of the last blocks does not attend from every position to every position."""
    tokens = sites[-1].sides[1]
    whole = [site.windows == 1 and site.sides == (tokens, tokens) for site in sites]
    if all(whole[-count:]):
        return
    last = next((number for number, each in enumerate(reversed(whole)) if not each), len(whole))
    advice = (
        f"pass blocks={last}, the last blocks, which attend over the whole picture"
        if last
        else "take a method for layers, such as layercam or gradcam"
    )
    number = len(sites) - 1 - last
    site = sites[number]
    queries, keys = site.sides
    what = (
        f"within {site.windows} windows of {keys} positions"
        if site.windows > 1
        else f"from {queries} queries to {keys} keys, and the last block to {tokens}"
    )
    raise ValueError(
        f"{method} follows attention from every position to every position, and block {number + 1} of {len(sites)} "
        f"attends {what}: {advice}"
    )


def _grid(
    probe: Probe, keys: int, space: tuple[int, ...], image: tuple[int, ...]
) -> tuple[int, tuple[int, ...]]:
    """The number of keys without a position, and the sides of the others' map: the probed layer's where it fits."""
    tokens = probe.anatomy.tokens
    leading = keys - math.prod(space)
    if leading == tokens or (tokens is None and leading in (0, 1)):
        return leading, space
    kind = jax.ShapeDtypeStruct((1, keys, 1), jnp.float32)
    laid = jax.eval_shape(lambda x: as_map(x, image, tokens, "the attention")[0], kind)
    return keys - math.prod(laid.shape[1:-1]), laid.shape[1:-1]


def _model(probe: Probe) -> str:
    return f"the model of layer {str(probe.anatomy)!r}"


def _probabilities(values: Values, seen: Product) -> Float[Array, "heads queries keys"]:
    last = jnp.moveaxis(values[seen.atom], (seen.tokens, *seen.others), (-2, -1))
    return widen(last.reshape(-1, *last.shape[-2:]))


def _vectors(values: Values, seen: Product) -> Float[Array, "heads tokens width"]:
    grouped = _in_groups(values, seen)
    return grouped.reshape(-1, *grouped.shape[-2:])


def _in_groups(values: Values, seen: Product) -> Float[Array, "heads group tokens width"]:
    x = values[seen.atom]
    groups = [axis for axis in range(x.ndim) if axis not in (*seen.shared, seen.tokens, *seen.others)]
    sizes = [math.prod(x.shape[axis] for axis in axes) for axes in (seen.shared, groups)]
    laid = jnp.transpose(x, (*seen.shared, *groups, seen.tokens, *seen.others))
    return widen(laid.reshape(*sizes, x.shape[seen.tokens], -1))
