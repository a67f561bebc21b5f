"""Manifests, arrays, records, and tables of targets and boxes for `jaxcam evaluate`."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from .mutations import Case, Kind, below, one_changed, short


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
    base, what, files = one_changed(
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
        return short(error)
    found = "read"
    for number in range(min(len(source), 4)):
        source.name(number)
        try:
            source[number]
        except datasets.Unreadable as error:
            found = short(error)
    return found


KIND = Kind(manifests, manifest, judge_manifest)
