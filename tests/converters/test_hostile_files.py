"""Files that are made to crash, hang or fill the memory of whoever reads them: each ends in the documented error."""

import io
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
import torch_zip as tz

import converters

START = [0x1950A86A20F9469CFC6C, 1001, {}]
TUPLES = b")" + b"\x85" * 150_000  # a tuple in a tuple in a tuple ...
DOUBLED = b"K\x01" + b"q\x00h\x00\x86" * 60  # (x, x), where x is (x, x), where x is ...
READ = """
import contextlib, json, resource, signal, sys, time
import converters
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
said = {}
for path in sys.argv[1:]:
    print(path, file=sys.stderr, flush=True)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 10, resource.RLIM_INFINITY))
    try:
        arrays = converters.read(path)
        said[path] = f"read {sum(x.nbytes for x in arrays.values())}"
    except ValueError as error:
        said[path] = f"refused {error}"
print(json.dumps(said))
"""


def outcomes(paths):
    """What `read` says of each file, in a process with 2 GB and with 10 seconds of computing for each."""
    paths = list(map(str, paths))
    command = [sys.executable, "-W", "ignore", "-c", READ, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    for path, text in said.items():
        assert len(text) < 1000
        assert text.startswith("read") or path in text
    return list(said.values())


def outcome(path):
    (said,) = outcomes([path])
    return said


def assert_refused(tmp_path, files):
    """`files`: name -> a function that writes the file of a path."""
    paths = []
    for name, write in files.items():
        paths.append(tmp_path / f"{name}.pth")
        write(paths[-1])
    for name, said in zip(files, outcomes(paths), strict=True):
        assert said.startswith("refused"), (name, said)


def zipped(operations):
    return lambda path: tz.write(path, b"\x80\x02" + operations + b".", {"0": b"\0" * 16})


def legacy(saved, listed, *, version=None):
    parts = [tz.pickled(START[0]), version or tz.pickled(START[1]), tz.pickled(START[2])]
    content = b"".join([*parts, b"\x80\x02" + saved + b".", b"\x80\x02" + listed + b"."])
    return lambda path: path.write_bytes(content)


def operations(value):
    return tz.pickled(value)[2:-1]


STORED = ("storage", tz.Global("torch", "FloatStorage"), "0", "cpu", 4)
GOOD = tz.tensor(tz.Outside(STORED), (4,), (1,))


def tensor(size, stride, offset=0):
    return operations({"x": tz.tensor(tz.Outside(STORED), size, stride, offset)})


ZIPPED = {
    "a dictionary that holds itself": b"}q\x00X\x0a\x00\x00\x00state_dicth\x00s",
    "doubled tuples as a size": operations({"x": tz.tensor(tz.Outside(STORED), tz.Raw(DOUBLED), (1,))}),
    "doubled tuples as an offset": operations(
        {"x": tz.tensor(tz.Outside(STORED), (4,), (1,), tz.Raw(DOUBLED))}
    ),
    "doubled tuples in a size": operations({"x": tz.tensor(tz.Outside(STORED), (tz.Raw(DOUBLED),), (1,))}),
    "doubled tuples as a count": operations(
        {"x": tz.tensor(tz.Outside((*STORED[:4], tz.Raw(DOUBLED))), (4,), (1,))}
    ),
    "doubled tuples as a key": b"}" + DOUBLED + b"K\x01s",
    "doubled tuples as the key of a storage": operations(
        tz.Outside((*STORED[:2], tz.Raw(DOUBLED), "cpu", 4))
    ),
    "doubled tuples as a mark": operations(
        {"x": tz.tensor(tz.Outside(STORED), (4,), (1,), 0, (tz.Raw(DOUBLED),))}
    ),
    "doubled tuples as an ordered dict": operations(
        tz.Call(tz.Global("collections", "OrderedDict"), (tz.Raw(DOUBLED),))
    ),
    "doubled tuples": DOUBLED,
    "nested tuples as a size": operations({"x": tz.tensor(tz.Outside(STORED), tz.Raw(TUPLES), (1,))}),
    "nested tuples as a key": b"}" + TUPLES + b"K\x01s",
    "nested tuples": TUPLES,
    "the product of 60,000 numbers": tensor((2**62,) * 60_000, (0,) * 60_000),
    "a large number": operations({"x": tz.tensor(tz.Outside(STORED), (2**1000,), (0,))}),
    "a view of stride 0": tensor((2**30,), (0,)),
    "views of stride 0": operations(
        {f"x{n}": tz.tensor(tz.Outside(STORED), (2**24,), (0,)) for n in range(100)}
    ),
    "a view of stride 0 that timm's spelling flattens": operations(
        {
            f"pre_logits.fc{n}.weight": tz.tensor(tz.Outside(STORED), (2**12, 1, 2**6, 2**7), (0,) * 4)
            for n in range(1, 40)
        }
    ),
    "many operations": b"N" * 30_000_000,
    "many marks": b"(" * 300_000,
    "numbers of one hash as keys": b"}("
    + b"".join(b"\x8a\x10" + (n * (2**61 - 1)).to_bytes(16, "little") + b"N" for n in range(100_000))
    + b"u",
    "a long list in many calls": b"]("
    + b"K\x01" * 500_000
    + b"eq\x00"
    + b"ccollections\nOrderedDict\nh\x00\x85R0" * 20_000,
    "many arguments in many calls": b"("
    + b"K\x01" * 300_000
    + b"tq\x00ccollections\nOrderedDict\nq\x01"
    + b"h\x01h\x00R" * 9_000,
    "a long name": operations({"x" * 2_000_000: 1}),
    "a long name of a function": b"cx\n" + b"y" * 2_000_000 + b"\n",
    "one argument too many": operations(tz.Call(tz.Global("collections", "OrderedDict"), ([], [], []))),
    "an invalid escape": b"S'\\x'\n",
    "a number that is none": b"Ix\n",
    "text that is not UTF-8": b"X\x02\x00\x00\x00\xff\xff",
    "nothing": b"",
    "a length beyond the end": b"\x8d" + b"\xff" * 8,
}


def test_pickles(tmp_path):
    assert_refused(tmp_path, {name: zipped(operations) for name, operations in ZIPPED.items()})


def test_a_name_of_many_prefixes(tmp_path):
    zipped(operations({"module." * 1_000_000: GOOD}))(tmp_path / "a.pth")
    assert outcome(tmp_path / "a.pth") == "read 16"


LISTED = b"](X\x01\x00\x00\x000e"
LEGACY = {
    "nested tuples as the key of a storage": (b"}", b"](" + TUPLES + b"e"),
    "doubled tuples as the key of a storage": (b"}", b"](" + DOUBLED + b"e"),
    "nested tuples as the list of storages": (b"}", TUPLES),
    "nested tuples as the key in a tensor": (
        operations(tz.Outside((*STORED[:2], tz.Raw(TUPLES), "cpu", 4, None))),
        LISTED,
    ),
    "doubled tuples as a view": (operations(tz.Outside((*STORED[:5], tz.Raw(DOUBLED)))), LISTED),
    "a list that holds itself": (b"}", b"]q\x00h\x00a"),
}


def test_legacy_pickles(tmp_path):
    assert_refused(tmp_path, {name: legacy(*parts) for name, parts in LEGACY.items()})
    legacy(b"}", LISTED, version=b"\x80\x02" + DOUBLED + b".")(tmp_path / "a.th")
    assert "its format is (<tuple>, <tuple>), and" in outcome(tmp_path / "a.th")


def members(path, names, content, *, compression=zipfile.ZIP_DEFLATED, **claims):
    """A zip file whose directory names one member many times over; returns its path."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("seed", content)
        seed = file.getinfo("seed")
        file.filelist[:] = []
        for name in names:
            info = zipfile.ZipInfo(name)
            for field in ("compress_type", "header_offset", "compress_size", "file_size", "CRC", "flag_bits"):
                setattr(info, field, claims.get(field, getattr(seed, field)))
            file.filelist.append(info)
        file._didModify = True
    return path


def array(x):
    file = io.BytesIO()
    np.save(file, x)
    return file.getvalue()


def test_members_that_overlap(tmp_path):
    content = array(np.zeros(2**23, np.float32))
    path = members(tmp_path / "a.npz", [f"{n}.npy" for n in range(128)], content)
    assert path.stat().st_size < 100_000
    assert "overlaps" in outcome(path) or "Overlapped" in outcome(path)


def test_two_members_of_one_name(tmp_path):
    assert "two records of one name" in outcome(members(tmp_path / "a.npz", ["a.npy"] * 20, b"1" * 1000))


def test_a_member_that_expands(tmp_path):
    content = zlib.compress(
        b"\0" * (1 << 30), 9
    )  # raw deflate is what lies between the header and the checksum
    zeros = array(np.zeros(4))
    with (
        zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_DEFLATED) as file,
        file.open("a.npy", "w") as member,
    ):
        member.write(array(np.zeros(2**28, np.int8))[:128])
        for _ in range(600):
            member.write(b"\0" * (1 << 20))
    assert "records have" in outcome(tmp_path / "b.npz")
    # the directory says less than is packed
    head = (
        struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(content) - 6, len(zeros), 5, 0) + b"a.npy"
    )
    entry = struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, len(content) - 6, len(zeros), 5, 0, 0, 0, 0, 0, 0
    )
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(entry) + 5, len(head) + len(content) - 6, 0)
    (tmp_path / "c.npz").write_bytes(head + content[2:-4] + entry + b"a.npy" + end)
    assert outcome(tmp_path / "c.npz").startswith("refused")


def test_a_large_directory(tmp_path):
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0) + b"a.npy"
    count = 1_500_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, len(entry) * count, 4, 0)
    (tmp_path / "a.npz").write_bytes(b"PK\3\4" + entry * count + end)
    assert outcome(tmp_path / "a.npz").startswith("refused")


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_compressions(tmp_path, kind):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", kind) as file:
        file.writestr("a.npy", array(np.zeros(4)))
    assert "another way than deflate" in outcome(tmp_path / "a.npz")


def header(text, *, version=b"\1\0"):
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text.encode("latin1")


HEADERS = {
    "an open bracket": "{'descr': '<f4', 'fortran_order': False, 'shape': ((((",  # tokenize.TokenError
    "many brackets": "(" * 9000,
    "many signs": "-" * 9000 + "1",  # RecursionError or MemoryError in the parser
    "a large shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,)}\n",
    "a larger shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}\n",
    "a negative shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}\n",
    "many dimensions": f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'0, ' * 2000})}}\n",
    "no values of many bytes": "{'descr': '|S0', 'fortran_order': False, 'shape': (1099511627776,)}\n",
    "a type that is none": "{'descr': '<q99', 'fortran_order': False, 'shape': (1,)}\n",
    "a type of types": "{'descr': [('a', '<f4', (70000, 70000))], 'fortran_order': False, 'shape': (1,)}\n",
    "a shape of letters": "{'descr': '<f4', 'fortran_order': False, 'shape': ('a',)}\n",
}


def npz(head):
    def write(path):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("a.npy", header(head) + b"\0" * 16)

    return write


def test_headers_of_arrays(tmp_path):
    assert_refused(tmp_path, {name: npz(text) for name, text in HEADERS.items()})


def safetensors(head):
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return lambda path: path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 4)


SAFETENSORS = {
    "deep": b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "a large shape": {"a": {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 4]}},
    "no values of a large shape": {"a": {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [0, 0]}},
    "many dimensions": {"a": {"dtype": "F32", "shape": [1] * 60_000, "data_offsets": [0, 4]}},
    "a type that numpy lacks": {"a": {"dtype": "F8_E8M0", "shape": [4], "data_offsets": [0, 4]}},
    "a type that is none": {"a": {"dtype": "X", "shape": [4], "data_offsets": [0, 4]}},
    "overlapping": {f"a{n}": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in range(3)},
    "not UTF-8": b'{"\xff": 1}',
    "many arrays": {f"a{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(300_000)},
}


def test_safetensors(tmp_path):
    assert_refused(tmp_path, {name: safetensors(head) for name, head in SAFETENSORS.items()})


def test_what_is_not_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    assert "a named pipe" in outcome(tmp_path / "pipe.pth")
    assert "a named pipe, a device" in outcome("/dev/zero")
    (tmp_path / "link.pth").symlink_to(tmp_path / "pipe.pth")
    assert "a named pipe" in outcome(tmp_path / "link.pth")
    with pytest.raises(ValueError, match="a named pipe"):
        converters.metadata(tmp_path / "pipe.pth")


def write_orbax(path, arrays):
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, arrays)


def test_orbax_folders(tmp_path):
    path = tmp_path / "a"
    write_orbax(path, {"w": np.ones(3)})
    assert outcome(path) == "read 24"
    os.mkfifo(path / "d" / "pipe")
    assert "refused: pipe in it is not a regular file" in outcome(path)
    (path / "d" / "pipe").unlink()
    (path / "loop").symlink_to(path)
    assert "refused: loop in it is not a regular file" in outcome(path)
    (path / "loop").unlink()
    described = json.loads((path / "_METADATA").read_text())
    for damage in (b"", b"[" * 100_000, b"{}", b"[]", b'{"tree_metadata": {"a": 3}}', b"\xff"):
        (path / "_METADATA").write_bytes(damage)
        with pytest.raises(ValueError, match="is damaged or cut short: its _METADATA"):
            converters.read(path)
    name, entry = described["tree_metadata"].popitem()
    entry["key_metadata"] = entry["key_metadata"] * 20_000
    (path / "_METADATA").write_text(json.dumps(described | {"tree_metadata": {name: entry}}))
    assert "20000 dicts deep" in outcome(path)


def test_an_orbax_folder_of_a_large_array(tmp_path):
    import orbax.checkpoint as ocp

    path = tmp_path / "a"
    with ocp.PyTreeCheckpointer(use_ocdbt=False) as checkpointer:
        checkpointer.save(path, {"w": np.ones(3, np.float32)})
    described = json.loads((path / "w" / ".zarray").read_text())
    (path / "w" / ".zarray").write_text(json.dumps(described | {"shape": [2**34], "chunks": [2**34]}))
    assert "refused: its arrays would take" in outcome(path)
    (path / "w" / ".zarray").write_text(json.dumps(described | {"chunks": [2**34]}))
    assert "refused: its arrays would take" in outcome(path)


def test_own_bugs_are_not_told_as_damage(tmp_path, monkeypatch):
    path = tz.save(tmp_path / "a.pth", {"x": np.ones(3)})
    for kind in (TypeError, LookupError, AttributeError, RecursionError, MemoryError):

        def broken(*_, kind=kind):
            raise kind("a bug")

        monkeypatch.setattr("converters._read.state_dict", broken)
        with pytest.raises(kind, match=r"^'?a bug'?$"):
            converters.read(path)


def test_an_error_of_the_disk_is_an_os_error(tmp_path, monkeypatch):
    path = tz.save(tmp_path / "a.pth", {"x": np.ones(3)})

    def broken(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("zipfile.ZipFile.open", broken)
    with pytest.raises(OSError, match="Input/output"):
        converters.read(path)
