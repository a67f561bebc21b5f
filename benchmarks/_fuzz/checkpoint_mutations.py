"""Changes of a checkpoint's bytes: lengths, numbers in text and the opcodes of pickles among them."""

import numpy as np

INTERESTING = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**62,
    2**63 - 1,
    2**64 - 1,
)
OPCODES = b"(.0123456789:;<=>?@BCDFGIJKLMNPQRSTUVX]^_`abcdeghijlmnopqrstu})\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95"


def mutated(rng: np.random.Generator, content: bytes) -> tuple[bytes, str]:
    """The content after one change, and the name of that change."""
    change = _MUTATIONS[rng.integers(len(_MUTATIONS))]
    return change(rng, content), change.__name__.strip("_")


def _place(rng: np.random.Generator, content: bytes, width: int = 0) -> int:
    return int(rng.integers(max(len(content) - width, 0) + 1))


def _flip(rng: np.random.Generator, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        if changed:
            changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
    return bytes(changed)


def _cut(rng: np.random.Generator, content: bytes) -> bytes:
    return content[: _place(rng, content)]


def _splice(rng: np.random.Generator, content: bytes) -> bytes:
    start, end, place = (_place(rng, content) for _ in range(3))
    return content[:place] + content[min(start, end) : max(start, end)] + content[place:]


def _remove(rng: np.random.Generator, content: bytes) -> bytes:
    start = _place(rng, content)
    return content[:start] + content[start + int(rng.integers(1, 40)) :]


def _repeat(rng: np.random.Generator, content: bytes) -> bytes:
    start = _place(rng, content)
    return (
        content[:start]
        + content[start : start + int(rng.integers(1, 20))] * int(rng.integers(2, 2000))
        + content[start:]
    )


def _length(rng: np.random.Generator, content: bytes) -> bytes:
    """A number of 1 to 8 bytes becomes one that is often forgotten."""
    width = int(rng.choice([1, 2, 4, 8]))
    place = _place(rng, content, width)
    number = int(INTERESTING[rng.integers(len(INTERESTING))]) % 256**width
    return content[:place] + number.to_bytes(width, "little") + content[place + width :]


def _digits(rng: np.random.Generator, content: bytes) -> bytes:
    """A digit in text becomes a large number."""
    places = [n for n, each in enumerate(content[:4000]) if 48 <= each < 58]
    if not places:
        return content
    place = places[rng.integers(len(places))]
    number = INTERESTING[rng.integers(len(INTERESTING))] * int(rng.choice([1, -1]))
    return content[:place] + str(number).encode() + content[place + 1 :]


def _opcodes(rng: np.random.Generator, content: bytes) -> bytes:
    place = _place(rng, content)
    new = bytes(rng.choice(np.frombuffer(OPCODES, np.uint8), rng.integers(1, 6)).tolist())
    return content[:place] + new + content[place + int(rng.integers(0, 6)) :]


_MUTATIONS = (_flip, _cut, _splice, _remove, _repeat, _length, _digits, _opcodes)
