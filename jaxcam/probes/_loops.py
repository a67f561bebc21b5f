"""A scan in a program, run in stretches, so that one of its rounds can be run by itself."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn

from ._programs import carried, opened

Piece = tuple[int, list]  # number of a piece's first round, and its slices of what the scan stacks


class Loop(NamedTuple):
    """A scan equation and its inputs.

    Attributes:
        body: one round; `values`: those of its constants.
        consts: inputs that are the same in all rounds; `carry`: before the first round; `stacked`: those of which
            every round gets a slice.
        length: number of rounds.
        reverse: whether the first round gets the last slice.
    """

    body: Jaxpr
    values: Sequence
    consts: list
    carry: list
    stacked: list
    length: int
    reverse: bool
    unroll: Any

    @classmethod
    def of(cls, equation: JaxprEqn, given: list) -> "Loop":
        """The loop of a scan equation whose inputs are `given`."""
        body = opened(equation.params["jaxpr"])
        first, count = carried(equation, body)
        return cls(
            body,
            getattr(equation.params["jaxpr"], "consts", ()),
            given[:first],
            given[first : first + count],
            given[first + count :],
            equation.params["length"],
            equation.params["reverse"],
            equation.params["unroll"],
        )

    def inputs_of(self, number: int, carry: list) -> list:
        """What the body gets in one round."""
        place = self.length - 1 - number if self.reverse else number
        return [*self.consts, *carry, *(each[place] for each in self.stacked)]

    def stretch(self, carry: list, first: int, end: int, pieces: list[Piece]) -> list:
        """Runs the rounds from `first` to before `end`; returns the carry, and adds what they stack to the pieces."""
        if first == end:
            return carry
        low, high = (self.length - end, self.length - first) if self.reverse else (first, end)

        def one(carry: list, slices: list) -> tuple[list, list]:
            outputs = _evaluate(self.body, self.values, [*self.consts, *carry, *slices])
            return outputs[: len(carry)], outputs[len(carry) :]

        carry, stacked = jax.lax.scan(
            one,
            carry,
            [each[low:high] for each in self.stacked],
            length=end - first,
            reverse=self.reverse,
            unroll=self.unroll,
        )
        pieces.append((low, stacked))
        return carry

    def take(self, number: int, outputs: list, pieces: list[Piece]) -> list:
        """The carry after a round that was run by itself; what it stacks is added to the pieces."""
        count = len(self.carry)
        place = self.length - 1 - number if self.reverse else number
        pieces.append((place, [each[None] for each in outputs[count:]]))
        return outputs[:count]

    def joined(self, pieces: list[Piece]) -> list:
        """What the scan stacks, of all its pieces."""
        ordered = [stacked for _, stacked in sorted(pieces, key=lambda piece: piece[0])]
        return [jnp.concatenate(parts) for parts in zip(*ordered, strict=True)]


def _evaluate(program: Jaxpr, consts: Sequence, inputs: list) -> list:
    return jax.core.eval_jaxpr(program, consts, *inputs)
