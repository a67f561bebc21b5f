"""Which file goes to which reader, what is found inside, and what is said of other files."""

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch_zip as tz

import converters

STATE = {
    "conv.weight": np.arange(36, dtype=np.float32).reshape(2, 2, 3, 3),
    "bn.running_mean": np.ones(2, np.float16),
    "bn.num_batches_tracked": np.array(7),
}


def assert_same(read, expected):
    assert read.keys() == expected.keys()
    for key, value in expected.items():
        assert read[key].dtype == value.dtype, key
        np.testing.assert_array_equal(read[key], value)


def write_npz(path, arrays):
    with path.open("wb") as file:  # a path would get .npz appended
        np.savez(file, **arrays)


def write_safetensors(path, arrays):
    from safetensors.numpy import save_file

    save_file(arrays, path)


def write_orbax(path, arrays):
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, arrays)


WRITERS = {
    "zip": tz.save,
    "npz": write_npz,
    "safetensors": write_safetensors,
    "orbax": write_orbax,
}


@pytest.mark.parametrize("name", ["a.pth", "a.bin", "a"])
@pytest.mark.parametrize("format", WRITERS)
def test_content_decides_not_the_name(tmp_path, format, name):
    WRITERS[format](tmp_path / name, STATE)
    assert_same(converters.read(tmp_path / name), STATE)
    assert_same(converters.read(str(tmp_path / name)), STATE)


@pytest.mark.parametrize("format", ["zip", "safetensors", "orbax"])
def test_bfloat16(tmp_path, format):
    state = {"w": np.array([1, 2.5, -3e30], ml_dtypes.bfloat16)}
    WRITERS[format](tmp_path / "a", state)
    assert_same(converters.read(tmp_path / "a"), state)


def test_npz_says_what_it_cannot_hold(tmp_path):
    np.savez(tmp_path / "a.npz", w=np.ones(3, ml_dtypes.bfloat16))
    with pytest.raises(ValueError, match=r"a\.npz: w is of a type .* bfloat16"):
        converters.read(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", w=np.array([{}], object))
    with pytest.raises(ValueError, match=r"b\.npz.*allow_pickle"):
        converters.read(tmp_path / "b.npz")


def test_orbax_folders_of_nested_jax_arrays(tmp_path):
    write_orbax(
        tmp_path / "a", {"layer1": {"0": {"weight": jnp.ones((2, 3), jnp.bfloat16)}}, "bias": jnp.zeros(2)}
    )
    expected = {"layer1.0.weight": np.ones((2, 3), ml_dtypes.bfloat16), "bias": np.zeros(2, np.float32)}
    assert_same(converters.read(tmp_path / "a"), expected)


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module._orig_mod.model."])
@pytest.mark.parametrize(
    "nest", [(), ("state_dict",), ("model",), ("model_state_dict",), ("net",), ("net", "state_dict")]
)
def test_nests_and_prefixes(tmp_path, prefix, nest):
    state = {prefix + key: tz.contiguous(str(i), value) for i, (key, value) in enumerate(STATE.items())}
    for name in reversed(nest):
        state = {
            "epoch": 3,
            "best_prec1": 91.7,
            "args": ["--lr", 0.1, None],
            name: state,
            "done": True,
            "": (),
        }
    data = {str(i): value.tobytes() for i, value in enumerate(STATE.values())}
    path = tz.write(tmp_path / "a.th", tz.pickled(state), data)
    assert_same(converters.read(path), STATE)


def test_a_prefix_that_some_keys_lack_stays(tmp_path):
    state = {"module.w": np.ones(2), "loss.w": np.ones(2)}
    np.savez(tmp_path / "a.npz", **state)
    assert_same(converters.read(tmp_path / "a.npz"), state)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ({}, "empty"),
        ([1, 2], "holds a list"),
        ({"state_dict": {}, "epoch": 1}, "empty"),
        ({"epoch": 3}, "holds a int under 'epoch'"),
        ({"model": {"w": 1.5}}, "holds a float under 'w'"),
        ({"model": {"w": 1}, "state_dict": {"w": 1}}, "several state_dicts: state_dict, model"),
        ({1: 2}, "keys are not names"),
    ],
)
def test_pickles_without_a_state_dict(tmp_path, value, match):
    path = tz.write(tmp_path / "a.pth", tz.pickled(value), {})
    with pytest.raises(ValueError, match=rf"a\.pth: .*{match}"):
        converters.read(path)


@pytest.mark.parametrize(
    ("content", "match"),
    {
        "empty": (b"", "empty"),
        "web page": (b"\n<!DOCTYPE html><html>404</html>", "web page"),
        "xml": (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "web page"),
        "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:12", "Git LFS"),
        "pickle": (b"\x80\x04\x95\x10\x00", "a pickle"),
        "text": (b"hello, world", "starts with b'hello"),
    }.values(),
)
def test_files_that_are_no_checkpoints(tmp_path, content, match):
    (tmp_path / "resnet.pth").write_bytes(content)
    with pytest.raises(ValueError, match=rf"resnet\.pth: not a checkpoint: .*{match}"):
        converters.read(tmp_path / "resnet.pth")


def test_missing_paths_and_foreign_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*nowhere\.pth"):
        converters.read(tmp_path / "nowhere.pth")
    with pytest.raises(ValueError, match="folder without orbax's _METADATA; it holds nothing"):
        converters.read(tmp_path)
    (tmp_path / "photo.png").touch()
    with pytest.raises(ValueError, match=r"it holds photo\.png"):
        converters.read(tmp_path)


@pytest.mark.parametrize("format", ["npz", "safetensors"])
def test_truncated_files_are_named(tmp_path, format):
    path = tmp_path / f"cut.{format}"
    WRITERS[format](path, STATE)
    content = path.read_bytes()
    for length in (4, 9, 40, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut\."):
            converters.read(path)


def test_a_damaged_orbax_folder_is_named(tmp_path):
    write_orbax(tmp_path / "cut", STATE)
    (tmp_path / "cut" / "_METADATA").write_text("{")
    with pytest.raises(ValueError, match="cut is damaged or cut short: its _METADATA"):
        converters.read(tmp_path / "cut")
