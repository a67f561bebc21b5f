"""Damaged and hostile checkpoints: small valid files of every format, changed at random, and what reading one may do.

    python benchmarks/fuzz_checkpoints.py --count 20000 --seed 0

`cases` makes the files, `judge` reads one and lets only the errors documented by `converters.read` pass. The command
reads them in processes of limited memory and time and prints each file that crashes, hangs or ends in another error.
"""

import argparse
import collections
import io
import json
import os
import pickle
import resource
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

STORAGES = {
    "f4": "FloatStorage",
    "f8": "DoubleStorage",
    "f2": "HalfStorage",
    "i8": "LongStorage",
    "u1": "ByteStorage",
}
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
MEMORY = 2 << 30
SECONDS = 10


def cases(rng: np.random.Generator) -> Iterator[tuple[str, bytes, str]]:
    """(name, content, ending) of one file after the other, without end; the same ones from the same `rng`."""
    while True:
        kind = list(_FORMATS)[rng.integers(len(_FORMATS))]
        ending, make = _FORMATS[kind]
        content, done = make(rng), []
        for _ in range(rng.integers(0, 4)):
            mutation = _MUTATIONS[rng.integers(len(_MUTATIONS))]
            content = mutation(rng, content)
            done.append(mutation.__name__.strip("_"))
        yield f"{kind} {'+'.join(done) or 'whole'}", content, ending


def judge(path: Path) -> str:
    """Reads a checkpoint: "read" or the name of the documented error. Any other error is raised."""
    import converters

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's own, of strings in damaged pickles
        try:
            arrays = converters.read(path)
        except (ValueError, OSError) as error:
            if type(error) is ValueError and str(path) not in str(error):
                raise AssertionError(f"an error that does not name the file: {error}") from error
            if len(str(error)) > 2000:
                raise AssertionError(f"an error of {len(str(error))} characters") from error
            return type(error).__name__
        for value in arrays.values():
            np.asarray(value).reshape(-1)[:1].tobytes()
    return "read"


def _arrays(rng: np.random.Generator) -> dict[str, np.ndarray]:
    names = [
        "conv1.weight",
        "bn.running_mean",
        "fc.bias",
        "module.w",
        "pre_logits.fc1.weight",
        "s1.b1.conv1.conv.weight",
    ]
    arrays = {}
    for name in rng.permutation(names)[: rng.integers(1, 5)]:
        shape = tuple(rng.integers(0, 5, rng.integers(0, 5)).tolist())
        arrays[str(name)] = rng.integers(0, 200, shape).astype(list(STORAGES)[rng.integers(len(STORAGES))])
    return arrays


class _Global:
    """Stands for a name in a pickle, whether or not it can be imported."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name

    def __call__(self):  # so that pickle takes it for a function
        raise NotImplementedError


class _Pickler(pickle._Pickler):  # the one written in Python, which can be taught
    """Writes names as they are and storages as objects outside the pickle."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)  # pyright: ignore[reportAttributeAccessIssue]

    def persistent_id(self, obj):
        return obj.identity if isinstance(obj, _Outside) else None

    def save_name(self, obj):
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())

    dispatch[_Global] = save_name


class _Outside:
    def __init__(self, *identity):
        self.identity = identity


class _Call:
    def __init__(self, name: tuple[str, str], *arguments):
        self.name, self.arguments = name, arguments

    def __reduce__(self):
        return _Global(*self.name), self.arguments


def _pickled(value, protocol: int = 2) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol).dump(value)
    return file.getvalue()


def _torch(rng: np.random.Generator, *, old: bool) -> tuple[bytes, dict[str, np.ndarray]]:
    """The pickle of a state_dict, and the values of its storages."""
    state, data = {}, {}
    for number, (name, x) in enumerate(_arrays(rng).items()):
        kind, key = _Global("torch", STORAGES[x.dtype.str[1:]]), str(number)
        identity = ("storage", kind, key, "cpu", x.size, *([None] if old else []))
        strides = tuple(np.cumprod((1, *x.shape[:0:-1]))[::-1].tolist()) if x.ndim else ()
        hooks = _Call(("collections", "OrderedDict"))
        state[name] = _Call(
            ("torch._utils", "_rebuild_tensor_v2"), _Outside(*identity), 0, x.shape, strides, False, hooks
        )
        data[key] = x
    nested = {"state_dict": state, "epoch": 3, "best": (1.5, None, [True])} if rng.integers(2) else state
    return _pickled(nested, 2 if old else int(rng.integers(2, 6))), data


def _zip(rng: np.random.Generator) -> bytes:
    content, data = _torch(rng, old=False)
    for _ in range(max(0, rng.integers(-1, 3))):  # inside the archive, whose checksums are right then
        content = _MUTATIONS[rng.integers(len(_MUTATIONS))](rng, content)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/byteorder", rng.choice([b"little", b"big"]))
        for key, each in data.items():
            archive.writestr(f"archive/data/{key}", each.tobytes())
    return file.getvalue()


def _legacy(rng: np.random.Generator) -> bytes:
    content, data = _torch(rng, old=True)
    start = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    stored = b"".join(struct.pack("<q", each.size) + each.tobytes() for each in data.values())
    return b"".join([*map(_pickled, start), content, _pickled(list(data)), stored])


def _npz(rng: np.random.Generator) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as archive:
        for name, x in _arrays(rng).items():
            member = io.BytesIO()
            np.save(member, x)
            content = member.getvalue()
            for _ in range(rng.integers(0, 2)):
                content = _MUTATIONS[rng.integers(len(_MUTATIONS))](rng, content)
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def _safetensors(rng: np.random.Generator) -> bytes:
    from safetensors.numpy import save

    content = save(_arrays(rng), metadata={"format": "pt"})
    (length,) = struct.unpack_from("<Q", content)
    head, rest = content[8 : 8 + length], content[8 + length :]
    for _ in range(rng.integers(0, 2)):  # the header alone, with its length right
        head = _MUTATIONS[rng.integers(len(_MUTATIONS))](rng, head)
    return struct.pack("<Q", len(head)) + head + rest


_FORMATS: dict[str, tuple[str, Callable[[np.random.Generator], bytes]]] = {
    "zip": (".pth", _zip),
    "legacy": (".th", _legacy),
    "npz": (".npz", _npz),
    "safetensors": (".safetensors", _safetensors),
}


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


def _worker(numbers: list[int], seed: int, folder: Path, report: int) -> None:
    """Reads the files of these numbers; writes a line on each before and after. Runs in a process of its own."""
    import converters

    converters.read  # noqa: B018  imported before the limits
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for number in numbers:
        name, content, ending = next(cases(np.random.default_rng([seed, number])))
        path = folder / f"{number}{ending}"
        path.write_bytes(content)
        os.write(report, (json.dumps({"number": number, "name": f"{number} {name}"}) + "\n").encode())
        used = int(time.process_time()) + SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (used + 1, resource.RLIM_INFINITY))
        start = time.process_time()
        try:
            said = judge(path)
        except BaseException as error:  # whatever passes is what this looks for
            said = f"FOUND {type(error).__name__}: {str(error)[:300]}"
        seconds = time.process_time() - start
        os.write(report, (json.dumps({"number": number, "said": said, "seconds": seconds}) + "\n").encode())
        if not said.startswith("FOUND"):
            path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-checkpoints-"))
    outcomes, slowest, left = collections.Counter(), (0.0, ""), list(range(options.count))
    while left:
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            os.close(reading)
            _worker(left, options.seed, folder, writing)
            os._exit(0)
        os.close(writing)
        last = {}
        with os.fdopen(reading) as lines:
            for line in map(json.loads, lines):
                if "name" in line:
                    last = line
                    continue
                if line["said"].startswith("FOUND"):
                    print(last["name"], line["said"], folder, flush=True)
                outcomes[line["said"].partition(":")[0]] += 1
                slowest = max(slowest, (line["seconds"], last["name"]))
                left.remove(line["number"])
        _, status = os.waitpid(child, 0)
        if status:  # the process died of the last file
            outcomes["FOUND a crash or a hang"] += 1
            print(last["name"], f"FOUND status {status}", folder, flush=True)
            left.remove(last["number"])
    print(dict(outcomes), f"slowest: {slowest[0]:.2f} s of {slowest[1]}")
    sys.exit(any(each.startswith("FOUND") for each in outcomes))


if __name__ == "__main__":
    main()
