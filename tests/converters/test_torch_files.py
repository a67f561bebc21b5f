"""What torch writes, read as torch reads it; and what we write, taken by torch."""

import warnings

import numpy as np
import pytest
from small_net import abstract, random_state

import converters

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")


def tensors():
    torch.manual_seed(0)
    whole = torch.randn(4, 6)
    return {
        "float": whole,
        "double": whole.double(),
        "half": whole.half(),
        "bfloat16": whole.bfloat16(),
        "long": torch.arange(-3, 3),
        "int": torch.arange(-3, 3, dtype=torch.int32),
        "short": torch.arange(-3, 3, dtype=torch.int16),
        "char": torch.arange(-3, 3, dtype=torch.int8),
        "byte": torch.arange(250, 256, dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "shared with offset": whole[2:, 1:4],
        "transposed": whole.T,
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "strided": whole[::2, ::3],
        "expanded": whole[:, :1].expand(4, 6),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(3.5),
        "parameter": torch.nn.Parameter(whole.clone()),
        "unicode äß": whole[0],
    }


def assert_as_torch(read, loaded):
    assert read.keys() == loaded.keys()
    for key, expected in loaded.items():
        expected = expected.detach()
        assert read[key].shape == tuple(expected.shape), key
        assert str(expected.dtype) == f"torch.{read[key].dtype}", key
        wide = expected.float() if expected.dtype == torch.bfloat16 else expected
        np.testing.assert_array_equal(read[key].astype(wide.numpy().dtype), wide.numpy(), key)


@pytest.mark.parametrize(
    ("zip", "protocol"),
    [(True, 2), (True, 3), (True, 4), (True, 5), (False, 2)],
    ids=["zip2", "zip3", "zip4", "zip5", "legacy"],
)
@pytest.mark.parametrize(
    "nest", [lambda x: x, lambda x: {"state_dict": x, "epoch": 3, "optimizer": {"state": {0: x}}}]
)
def test_reads_what_torch_reads(tmp_path, zip, protocol, nest):
    path = tmp_path / "a.pth"
    torch.save(nest(tensors()), path, pickle_protocol=protocol, _use_new_zipfile_serialization=zip)
    loaded = torch.load(path, weights_only=False)  # torch's careful reader stops at protocol 3
    assert_as_torch(converters.read(path), loaded.get("state_dict", loaded))


def test_reads_state_dicts_of_modules(tmp_path):
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    torch.save(module.state_dict(), tmp_path / "a.pth")  # an OrderedDict with attributes
    assert_as_torch(converters.read(tmp_path / "a.pth"), module.state_dict())


@pytest.mark.parametrize("zip", [True, False], ids=["zip", "legacy"])
def test_whole_modules_are_refused(tmp_path, zip):
    torch.save(torch.nn.Linear(2, 3), tmp_path / "a.pth", _use_new_zipfile_serialization=zip)
    with pytest.raises(ValueError, match=r"a\.pth: .*torch\.nn\.modules\.linear\.Linear"):
        converters.read(tmp_path / "a.pth")


def test_scripts_are_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(torch.nn.Linear(2, 3)).save(tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a\.pt: .*__torch__"):
        converters.read(tmp_path / "a.pt")


def test_truncated_legacy_files_are_named(tmp_path):
    torch.save(tensors(), tmp_path / "cut.th", _use_new_zipfile_serialization=False)
    content = (tmp_path / "cut.th").read_bytes()
    for length in (20, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.th").write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut\.th"):
            converters.read(tmp_path / "cut.th")


@pytest.mark.realdata
@pytest.mark.parametrize("file", ["squeezenet1_1.pth", "mobilenet_v2.pth"])
def test_real_files_as_torch_reads_them(data, file):
    assert_as_torch(
        converters.read(data / "weights" / file), torch.load(data / "weights" / file, weights_only=True)
    )


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_takes_torch_tensors(dtype):
    state = {key: torch.from_numpy(value).to(getattr(torch, dtype)) for key, value in random_state().items()}
    state["fc.weight"] = torch.nn.Parameter(state["fc.weight"])  # asks for a gradient
    back = converters.to_torch(converters.from_torch(abstract(), state))
    for key, value in state.items():
        np.testing.assert_array_equal(back[key], value.detach().float().numpy(), key)


def test_training_the_source_on_leaves_the_model_alone():
    state = {key: torch.from_numpy(value) for key, value in random_state().items()}
    model = converters.from_torch(abstract(), state)
    for value in state.values():
        value.fill_(7)
    back = converters.to_torch(model)
    for key, value in random_state().items():
        np.testing.assert_array_equal(back[key], value, key)


def test_torch_takes_what_to_torch_gives():
    module = torch.nn.Module()
    module.token = torch.nn.Parameter(torch.zeros(1, 2, 3))
    module.features = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, (3, 5), bias=False), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 6, 2, groups=2)
    )
    module.norm = torch.nn.LayerNorm(6)
    module.fc = torch.nn.Linear(36, 5)
    state = converters.to_torch(converters.from_torch(abstract(), module.state_dict()))
    module.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()}, strict=True)
    assert_as_torch(state, module.state_dict())
