"""Files that are changed at random: bytes, numbers, lengths; and what a refusal of one may look like."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

NUMBERS = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63 - 1,
    2**64 - 1,
)


class Case(NamedTuple):
    """Files by their path below a folder, and the one to open."""

    name: str
    files: dict[str, bytes]
    opened: str


class Kind(NamedTuple):
    """`make(rng, bases)` gives a case, `judge(path)` opens it: "read", or the documented error; others are raised.

    `bases(folder)` makes what cases are changed from, once.
    """

    bases: Callable[[Path], dict[str, dict[str, bytes]]]
    make: Callable[[np.random.Generator, dict[str, dict[str, bytes]]], Case]
    judge: Callable[[Path], str]


def mutate(rng: np.random.Generator, content: bytes) -> bytes:
    for _ in range(rng.integers(0, 4)):  # now and then whole: it has to be read
        content = _MUTATIONS[rng.integers(len(_MUTATIONS))](rng, content)
    return content


def _at(rng: np.random.Generator, content: bytes) -> int:
    """Any place, or one at the start, where formats keep their sizes."""
    return int(
        rng.integers(len(content) + 1) if rng.integers(2) else rng.integers(min(len(content), 300) + 1)
    )


def _flip(rng, content):
    changed = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        if changed:
            changed[_at(rng, content) % len(changed)] ^= 1 << rng.integers(8)
    return bytes(changed)


def _number(rng, content):
    width, at = int(rng.choice([1, 2, 4, 8])), _at(rng, content)
    order = "little" if rng.integers(2) else "big"
    number = (NUMBERS[rng.integers(len(NUMBERS))] % 256**width).to_bytes(width, order)
    return content[:at] + number + content[at + width :]


def _digits(rng, content):
    places = [n for n, each in enumerate(content[:4000]) if 48 <= each < 58]
    if not places:
        return content
    at = places[rng.integers(len(places))]
    return content[:at] + str(NUMBERS[rng.integers(len(NUMBERS))]).encode() + content[at + 1 :]


def _cut(rng, content):
    return content[: _at(rng, content)]


def _remove(rng, content):
    at = _at(rng, content)
    return content[:at] + content[at + int(rng.integers(1, 40)) :]


def _repeat(rng, content):
    at = _at(rng, content)
    return (
        content[:at] + content[at : at + int(rng.integers(1, 40))] * int(rng.integers(2, 300)) + content[at:]
    )


def _odd(rng, content):
    words = [
        b"[" * 3000,
        b"\0",
        b"\\ud800",
        b"1e999",
        b"9" * 5000,
        b"null",
        b"-1",
        b'""',
        b"\xff\xfe",
        b"NaN",
        b'"',
        b",",
    ]
    at = _at(rng, content)
    return content[:at] + words[rng.integers(len(words))] + content[at:]


_MUTATIONS = (_flip, _flip, _number, _number, _digits, _cut, _remove, _repeat, _odd)


def one_changed(rng, bases, *, likely: Callable[[str], bool] = lambda name: True):
    """A base with one of its files changed, or gone."""
    base = list(bases)[rng.integers(len(bases))]
    files = dict(bases[base])
    names = sorted(filter(likely, files)) if rng.integers(4) else sorted(files)
    name = names[rng.integers(len(names))]
    if len(files) > 1 and rng.integers(12) == 0:
        del files[name]
        return base, f"{name} gone", files
    files[name] = mutate(rng, files[name])
    return base, name, files


def below(folder: Path) -> dict[str, bytes]:
    return {
        each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()
    }


def write_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """A part of a zip that does not carry the current time, so that the seed alone makes the file."""
    archive.writestr(zipfile.ZipInfo(name), content, archive.compression)


def short(error: Exception) -> str:
    """Raises where a refusal is one of the wrong kind: for lack of memory, or as long as the file."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            raise MemoryError(str(error)) from error
        cause = cause.__cause__
    if len(str(error)) > 5000 or not str(error).strip():
        raise AssertionError(f"an error of {len(str(error))} characters: {str(error)[:200]}") from error
    return "refused"
