"""Damaged and hostile pictures, manifests, explainers and stores, and what opening one may do: for `fuzz.py`."""

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

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
PICTURES = ("JPEG", "JPEG", "PNG", "WEBP", "GIF", "TIFF", "TIFF", "JPEG2000", "BMP", "PPM")
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\n0 0 moveto 40 40 lineto stroke\nshowpage\n%%EOF\n"


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


# --- what is changed


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


def _one_changed(rng, bases, *, likely: Callable[[str], bool] = lambda name: True):
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


# --- pictures


def pictures(folder: Path) -> dict[str, dict[str, bytes]]:
    rng = np.random.default_rng(0)
    base = Image.fromarray(rng.integers(0, 255, (6, 8, 4), np.uint8)).resize((64, 48))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    made = {}
    for number, kind in enumerate(PICTURES):
        file, second = io.BytesIO(), number and PICTURES[number - 1] == kind
        options = {"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF") else {}
        options |= {"progressive": True} if kind == "JPEG" and second else {}
        options |= {"compression": "tiff_lzw"} if kind == "TIFF" and second else {}
        base.convert("RGBA" if kind in ("PNG", "WEBP") else "RGB").save(file, kind, **options)
        made[f"{kind}{'-2' if second else ''}"] = {"x.jpg": file.getvalue()}
    header = struct.pack(">IIBBBBB", 178956970, 1, 8, 2, 0, 0, 0)
    made["bomb"] = {
        "x.jpg": b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", b"x\x9c\3\0\0\0\0\1")
        + _chunk(b"IEND", b"")
    }
    made["EPS"] = {"x.jpg": EPS}
    return made


def _chunk(name: bytes, content: bytes) -> bytes:
    import zlib

    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def picture(rng: np.random.Generator, bases: dict) -> Case:
    base, _, files = _one_changed(rng, bases)
    if base.startswith("PNG") and rng.integers(2):  # a right checksum, so that what it says is believed
        content = bytearray(files["x.jpg"])
        if len(content) > 33:
            content[29:33] = struct.pack(">I", __import__("zlib").crc32(bytes(content[12:29])))
        files["x.jpg"] = bytes(content)
    return Case(base, files, "x.jpg")


def judge_picture(path: Path) -> str:
    from jaxcam import datasets, models

    try:
        record = datasets.open([str(path)])[0]
    except datasets.Unreadable as error:
        return _short(error)
    try:
        models.preprocess("resnet50")(record.picture)
    except ValueError as error:
        return _short(error)
    return "read"


# --- manifests, arrays, records, tables for `evaluate`


def manifests(folder: Path) -> dict[str, dict[str, bytes]]:
    import pyarrow
    import pyarrow.parquet
    import tensorstore

    file = io.BytesIO()
    Image.new("RGB", (9, 7), "red").save(file, "PNG")
    png = {f"{n}.png": file.getvalue() for n in range(3)}
    rows = [{"path": f"{n}.png", "target": n, "boxes": [[0, 0, 4.5, 5]]} for n in range(3)]
    table = [f'{row["path"]}{{0}}{row["target"]}{{0}}"{row["boxes"]}"' for row in rows]
    made = {
        "m.csv": "\n".join(["path{0}target{0}boxes", *table]).format(",").encode(),
        "m.tsv": "\n".join(["path{0}target{0}boxes", *table]).format("\t").encode(),
        "m.jsonl": "\n".join(map(json.dumps, rows)).encode(),
        "targets.json": json.dumps({row["path"]: row["target"] for row in rows}).encode(),
        "targets.csv": b"picture,class\n0.png,1\n1.png,2\n2.png,tench\n",
        "boxes.json": json.dumps(
            [
                {"file": "0.png", "objects": [{"box": [0, 0, 3, 4], "class": 3}]},
                *({"file": f"{n}.png", "boxes": [[0, 1, 2, 3]]} for n in (1, 2)),
            ]
        ).encode(),
    }
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "m.parquet")
    made["m.parquet"] = (folder / "m.parquet").read_bytes()
    images = np.random.default_rng(0).integers(0, 255, (4, 6, 7, 3), np.uint8)
    np.save(folder / "m.npy", images)
    np.savez_compressed(folder / "m.npz", images=images, labels=np.arange(4))
    made |= {name: (folder / name).read_bytes() for name in ("m.npy", "m.npz")}
    bases = {name: {name: content, **png} for name, content in made.items()}
    for driver in ("zarr3", "zarr"):
        where = folder / f"m-{driver}"
        for name, array in {"images": images, "labels": np.arange(4)}.items():
            spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{where / name}/"}}
            tensorstore.open(spec, create=True, dtype=array.dtype, shape=array.shape).result().write(
                array
            ).result()
        (where / ("zarr.json" if driver == "zarr3" else ".zgroup")).write_text(
            json.dumps({"zarr_format": 3, "node_type": "group"} if driver == "zarr3" else {"zarr_format": 2})
        )
        bases[f"m-{driver}"] = {f"m-{driver}/{name}": content for name, content in below(where).items()}
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(str(folder / "m.array_record"), "group_size:1")
    for content in png.values():
        writer.write(content)
    writer.close()
    bases["m.array_record"] = {"m.array_record": (folder / "m.array_record").read_bytes()}
    return bases


def manifest(rng: np.random.Generator, bases: dict) -> Case:
    base, what, files = _one_changed(
        rng, bases, likely=lambda name: name.split("/")[0][:2] in ("m.", "m-", "ta", "bo")
    )
    return Case(f"{base} {what}", files, base)


def judge_manifest(path: Path) -> str:
    from jaxcam import datasets
    from jaxcam.cli.evaluate import _annotations

    try:
        if path.name.startswith(("targets", "boxes")):
            rows = (_annotations.read_boxes if path.name == "boxes.json" else _annotations.read_targets)(path)
            _annotations.lookup(rows, [path.parent / "0.png"], path)
            return "read"
        source = datasets.open(path)
        source.fingerprint()
    except (ValueError, OSError) as error:
        return _short(error)
    found = "read"
    for number in range(min(len(source), 4)):
        source.name(number)
        try:
            source[number]
        except datasets.Unreadable as error:
            found = _short(error)
    return found


# --- explainers


def explainers(folder: Path) -> dict[str, dict[str, bytes]]:
    import jax
    import jax.numpy as jnp
    from flax import nnx

    import jaxcam

    class Net(nnx.Module):
        def __init__(self):
            self.conv = nnx.Conv(3, 6, (3, 3), rngs=nnx.Rngs(0))
            self.fc = nnx.Linear(6, 4, rngs=nnx.Rngs(1))

        def __call__(self, x):
            return self.fc(jnp.mean(jax.nn.relu(self.conv(x)), axis=(1, 2)))

    bases = {}
    for method in ("gradcam", "eigencam", "scorecam", "cam"):
        path = folder / f"{method}.jaxcam"
        jaxcam.export(jaxcam.probe(Net(), "conv"), path, image=(8, 8, 3), method=method, platforms=("cpu",))
        with zipfile.ZipFile(path) as parts:
            bases[method] = {name: parts.read(name) for name in parts.namelist()}
    return bases


def explainer(rng: np.random.Generator, bases: dict) -> Case:
    base, what, files = _one_changed(rng, bases, likely=lambda name: name == "program.bin")
    file = io.BytesIO()
    whole = rng.integers(4) == 0
    with zipfile.ZipFile(file, "w") as parts:  # its checksums are right
        for name, content in (bases[base] if whole else files).items():
            parts.writestr(name, content)
    content = mutate(rng, file.getvalue()) if whole else file.getvalue()
    return Case(f"{base} {'zip' if whole else what}", {"x.jaxcam": content}, "x.jaxcam")


def judge_explainer(path: Path) -> str:
    import jaxcam
    from jaxcam.exporting import _restore

    _restore.vet = _forked_vet  # as `restore` does it, but for the start of Python: a second each
    try:
        restored = jaxcam.restore(path)
    except (ValueError, OSError) as error:
        return _short(error)
    if restored.metadata["image"] != [8, 8, 3]:
        return "read"
    try:
        np.asarray(restored(np.ones((2, 8, 8, 3), restored.metadata["dtype"])))
    except (ValueError, TypeError) as error:
        return _short(error)
    return "called"


def _forked_vet(program: bytes) -> tuple[str, ...]:
    import resource

    from jaxcam.exporting import _vetting

    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            _, most = resource.getrlimit(resource.RLIMIT_CPU)
            resource.setrlimit(resource.RLIMIT_CPU, (5, most))  # `vet` waits for a minute
            os.write(writing, json.dumps(_vetting.answer(program)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        answer = said.read()
    return _vetting.verdict(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), answer)


# --- stores


def stores(folder: Path) -> dict[str, dict[str, bytes]]:
    import jax.numpy as jnp

    import jaxcam
    from jaxcam import datasets, models

    source = folder / "pictures"
    source.mkdir()
    for number in range(6):
        Image.new("RGB", (20, 16), (40 * number, 9, 99)).save(source / f"{number}.png")
    (source / "bad.png").write_bytes(b"bad")
    weights = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5)), jnp.float32)
    probe = jaxcam.probe(
        lambda p, x: jnp.mean(jaxcam.tap(x[:, ::4, ::4] @ p, "a"), (1, 2)), "a", variables=weights
    )
    for name, options in {"one": {}, "two": {"targets": "top-2", "logits": True, "stored": "raw"}}.items():
        pre = models.preprocess("cifar_resnet20")
        datasets.run(source, probe, out=folder / f"{name}.zarr", preprocess=pre, batch=4, **options)
    return {
        name: {f"{name}.zarr/{key}": value for key, value in below(folder / f"{name}.zarr").items()}
        for name in ("one", "two")
    }


def store(rng: np.random.Generator, bases: dict) -> Case:
    base, what, files = _one_changed(rng, bases, likely=lambda name: name.endswith("zarr.json"))
    return Case(f"{base} {what}", files, f"{base}.zarr")


def judge_store(path: Path) -> str:
    from jaxcam import datasets

    found = "read"
    for open_it in (
        lambda: datasets.report(path, path.parent / "report.html"),
        lambda: datasets.status(path),
        lambda: [opened[name] for opened in [datasets.open_store(path)] for name in opened.names],
    ):
        try:
            open_it()
        except (ValueError, OSError) as error:
            found = _short(error)
    return found


# --- checkpoints


def checkpoint(rng: np.random.Generator, bases: dict) -> Case:
    from fuzz_checkpoints import cases

    name, content, ending = next(iter(cases(rng)))
    return Case(name, {f"x{ending}": content}, f"x{ending}")


def judge_checkpoint(path: Path) -> str:
    from fuzz_checkpoints import judge

    said = judge(path)
    return said if said == "read" else "refused"


def _short(error: Exception) -> str:
    """Raises where a refusal is one of the wrong kind: for lack of memory, or as long as the file."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            raise MemoryError(str(error)) from error
        cause = cause.__cause__
    if len(str(error)) > 5000 or not str(error).strip():
        raise AssertionError(f"an error of {len(str(error))} characters: {str(error)[:200]}") from error
    return "refused"


KINDS = {
    "checkpoints": Kind(lambda folder: {}, checkpoint, judge_checkpoint),
    "pictures": Kind(pictures, picture, judge_picture),
    "manifests": Kind(manifests, manifest, judge_manifest),
    "explainers": Kind(explainers, explainer, judge_explainer),
    "stores": Kind(stores, store, judge_store),
}
