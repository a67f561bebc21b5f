"""Published checkpoints by name: where they are looked for, what is told where they cannot be had."""

import hashlib
import io
import json
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from file_server import serving
from flax import nnx

import converters
from converters import _download, _timm
from converters._fit import shapes
from jaxcam import models
from jaxcam.models._published import PUBLISHED

NAME = "cifar_resnet20"


def checkpoint(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    wanted = shapes(nnx.eval_shape(lambda: models.build(NAME)))
    file = io.BytesIO()
    np.savez(file, **{key: rng.random(shape, np.float32) for key, shape in wanted.items()})
    return file.getvalue()


OLD, NEW = checkpoint(0), checkpoint(1)
FILES = {f"net-{hashlib.sha256(each).hexdigest()[:8]}.pth": each for each in (OLD, NEW)}
OLD_FILE, NEW_FILE = FILES


@pytest.fixture(autouse=True)
def published(monkeypatch, tmp_path):
    """NAME has two entries, and every cache is empty."""
    files = {"IMAGENET1K_V2": NEW_FILE, "IMAGENET1K_V1": OLD_FILE}
    monkeypatch.setitem(PUBLISHED, NAME, PUBLISHED[NAME]._replace(files=files))
    monkeypatch.setenv("JAXCAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("JAXCAM_WEIGHTS_URL", raising=False)


@pytest.fixture
def server(monkeypatch):
    with serving(dict(FILES)) as server:
        monkeypatch.setenv("JAXCAM_WEIGHTS_URL", server.url)
        yield server


@pytest.fixture
def offline(monkeypatch):
    def refused(*arguments, **options):
        raise AssertionError("the network is used")

    monkeypatch.setattr(_download, "urlopen", refused)


def assert_holds(model, content):
    state = converters.to_torch(model)
    for key, value in np.load(io.BytesIO(content)).items():
        np.testing.assert_array_equal(state[key], value, key)


def test_load_by_name(server, tmp_path):
    assert_holds(converters.load(NAME, "DEFAULT"), NEW)
    assert_holds(converters.load(NAME, "IMAGENET1K_V1"), OLD)
    assert_holds(converters.load(NAME, Path("IMAGENET1K_V2")), NEW)
    assert server.asked == [(NEW_FILE, None), (OLD_FILE, None)]
    assert {each.name for each in (tmp_path / "cache" / "weights").iterdir()} == set(FILES)


def test_what_is_fetched_is_known(server, tmp_path):
    found = converters.fetch(NAME, "DEFAULT")
    assert found == (tmp_path / "cache" / "weights" / NEW_FILE, "IMAGENET1K_V2")
    assert converters.fetch(NAME, found.path) == found
    assert converters.fetch("cifar_resnet32", found.path) == (found.path, None)
    assert converters.fetch(NAME, tmp_path / "mine.pth") == (tmp_path / "mine.pth", None)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("place", ["cache/weights", "torch/hub/checkpoints"])
def test_what_is_cached_needs_no_network(tmp_path, place):
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / NEW_FILE).write_bytes(NEW)
    before = sorted(tmp_path.rglob("*"))
    assert_holds(converters.load(NAME, "DEFAULT"), NEW)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("offline")
def test_the_caches_are_where_the_environment_says(tmp_path, monkeypatch):
    for variable, place in (("XDG_CACHE_HOME", ""), ("HOME", ".cache/")):
        for cache in ("jaxcam/weights", "torch/hub/checkpoints"):
            for name in ("JAXCAM_CACHE", "TORCH_HOME", "XDG_CACHE_HOME"):
                monkeypatch.delenv(name, raising=False)
            home = tmp_path / variable / cache[:5]
            monkeypatch.setenv(variable, str(home))
            path = home / place / cache / NEW_FILE
            path.parent.mkdir(parents=True)
            path.write_bytes(NEW)
            assert converters.fetch(NAME, "DEFAULT").path == path


def test_not_cached_and_no_network_says_what_to_put_where(tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(_download, "time", SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic))
    with serving({}) as server:
        url = server.url
    with pytest.raises(ConnectionError) as error:
        converters.fetch(NAME, "DEFAULT", url=f"{url}/mirror/")
    target = tmp_path / "cache" / "weights" / NEW_FILE
    assert f"{url}/mirror/{NEW_FILE} could not be downloaded" in str(error.value)
    assert f"put that file at {target}, or name a mirror in JAXCAM_WEIGHTS_URL" in str(error.value)
    assert pauses == [1, 2]


def test_the_publishers_addresses(monkeypatch):
    asked = []
    monkeypatch.setattr("converters._fetch.download", lambda url, target, sha256: asked.append((url, sha256)))
    converters.fetch("resnet50", "IMAGENET1K_V1")
    converters.fetch("mnasnet0_5", "DEFAULT")
    converters.fetch("cifar_resnet56", "DEFAULT")
    assert asked == [
        ("https://download.pytorch.org/models/resnet50-0676ba61.pth", "0676ba61"),
        ("https://download.pytorch.org/models/mnasnet0.5_top1_67.823-3ffadce67e.pth", "3ffadce67e"),
        (
            "https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/resnet56-4bfd9763.th",
            "4bfd9763",
        ),
    ]


@pytest.mark.parametrize("folder", [False, True])
def test_a_file_that_is_called_as_an_entry_is_a_file(server, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    path = Path("DEFAULT")
    if folder:
        abstract = nnx.eval_shape(lambda: models.build(NAME))
        converters.save(converters.from_torch(abstract, np.load(io.BytesIO(OLD))), path, name=NAME)
    else:
        path.write_bytes(OLD)
    assert_holds(converters.load(NAME, "DEFAULT"), OLD)
    assert server.asked == []


def test_another_file_is_refused(server, tmp_path):
    server.files[NEW_FILE] = OLD
    with pytest.raises(ValueError, match=r"and it should begin with [0-9a-f]{8}: it was removed"):
        converters.load(NAME, "DEFAULT")
    assert list((tmp_path / "cache" / "weights").iterdir()) == [
        tmp_path / "cache" / "weights" / f"{NEW_FILE}.lock"
    ]


@pytest.mark.parametrize(
    ("name", "weights", "error", "words"),
    [
        (
            NAME,
            "IMAGENET1K_V3",
            ValueError,
            r"did you mean 'IMAGENET1K_V\d'\? There are: DEFAULT, IMAGENET1K_V2",
        ),
        (
            NAME,
            "imagenet1k_v2",
            ValueError,
            "no file 'imagenet1k_v2'; the published checkpoint is called 'IMAGENET1K_V2'",
        ),
        (NAME, "no/such.pth", FileNotFoundError, "no checkpoint at /.*/no/such.pth$"),
        ("cifar_resnet21", "DEFAULT", ValueError, "no model 'cifar_resnet21'"),
        ("vgg16", "IMAGENET1K_FEATURES", ValueError, "classifier holds no numbers"),
        (NAME, "hf://resnet50.tv_in1k", ValueError, "given as hf://OWNER/NAME, got 'hf://resnet50.tv_in1k'"),
    ],
)
@pytest.mark.usefixtures("offline")
def test_errors(name, weights, error, words):
    with pytest.raises(error, match=words):
        converters.load(name, weights)


@pytest.mark.usefixtures("offline")
def test_other_addresses_than_http_are_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"over http or https, got 'ftp://example\.org'"):
        converters.fetch(NAME, "DEFAULT", url="ftp://example.org")
    monkeypatch.setenv("JAXCAM_WEIGHTS_URL", "/mnt/mirror")
    with pytest.raises(ValueError, match="over http or https, got '/mnt/mirror'"):
        converters.fetch(NAME, "DEFAULT")


@pytest.mark.parametrize("slashes", ["//", "/"])
@pytest.mark.parametrize(
    ("tag", "entry"), [("tv2_in1k", "IMAGENET1K_V2"), ("swag_ft_in1k", None), ("a1", None)]
)
def test_the_hub(tmp_path, monkeypatch, slashes, tag, entry):
    """One slash is what pathlib leaves of two."""
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def hf_hub_download(repository, file):
        asked.append((repository, file))
        if file == "config.json":
            raise hub.errors.EntryNotFoundError("a repository that is not timm's has none")
        (tmp_path / file).write_bytes(OLD)
        return str(tmp_path / file)

    monkeypatch.setattr(hub, "hf_hub_download", hf_hub_download)
    found = converters.fetch(NAME, f"hf:{slashes}timm/net.{tag}")
    assert found == (tmp_path / "model.safetensors", entry)
    assert asked == [(f"timm/net.{tag}", file) for file in ("model.safetensors", "config.json")]
    assert_holds(converters.load(NAME, Path("hf://timm/net.tv_in1k")), OLD)


def test_a_tag_comes_with_its_configuration(tmp_path, monkeypatch):
    """The network and the preprocessing are those of config.json, which no cached tag of timm's is taken without."""
    hub = pytest.importorskip("huggingface_hub")
    config = {
        "architecture": "resnet50",
        "pretrained_cfg": {"input_size": [3, 160, 160], "crop_pct": 0.8, "mean": [0.5] * 3, "std": [0.5] * 3},
    }
    files = {"model.safetensors": OLD, "config.json": json.dumps(config).encode()}

    def hf_hub_download(repository, file):
        if file not in files:
            raise hub.errors.LocalEntryNotFoundError("not cached, and nobody answers")
        (tmp_path / file).write_bytes(files[file])
        return str(tmp_path / file)

    monkeypatch.setattr(hub, "hf_hub_download", hf_hub_download)
    half = (0.5, 0.5, 0.5)
    own = models.Preprocess(resize=200, size=160, mean=half, std=half)
    assert converters.preprocess("resnet50", "hf://timm/resnet50.a1_in1k") == own
    assert converters.preprocess("resnet50", "hf://timm/resnet50.tv2_in1k") == models.preprocess(
        "resnet50", weights="IMAGENET1K_V2"
    )
    with pytest.raises(ValueError, match=r"as resnet18: its config\.json says that it is of timm's resnet50"):
        converters.load("resnet18", "hf://timm/resnet50.a1_in1k")
    del files["config.json"]
    (tmp_path / "config.json").unlink()
    with pytest.raises(ConnectionError, match="nobody answers"):
        converters.fetch("resnet50", "hf://timm/resnet50.a1_in1k")
    found = converters.fetch("resnet50", "hf://timm/resnet50.tv_in1k")  # torchvision's: its recipe is known
    assert found == (tmp_path / "model.safetensors", "IMAGENET1K_V1")


def test_the_hub_out_of_reach(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    for kind in (hub.errors.LocalEntryNotFoundError, hub.errors.EntryNotFoundError, ConnectionError):

        def hf_hub_download(repository, file, kind=kind):
            raise kind("nobody answers")

        monkeypatch.setattr(hub, "hf_hub_download", hf_hub_download)
        with pytest.raises(
            ConnectionError, match=r"hf://timm/net could not be downloaded: nobody .*pass the path"
        ):
            converters.fetch(NAME, "hf://timm/net")


def test_the_hub_without_its_library(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"needs huggingface_hub: pip install 'jaxcam\[hub\]'"):
        converters.fetch(NAME, "hf://timm/resnet50.tv_in1k")


def test_tags_are_of_entries_that_exist():
    assert set(_timm.ENTRIES.values()) <= {entry for each in PUBLISHED.values() for entry in each.files}


@pytest.mark.parametrize("content", [b"", NEW[:-1], OLD])
def test_a_cached_file_that_is_another_is_downloaded_anew(server, tmp_path, content):
    for place in ("cache/weights", "torch/hub/checkpoints"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / NEW_FILE).write_bytes(content)
    assert_holds(converters.load(NAME, "DEFAULT"), NEW)
    assert (tmp_path / "cache" / "weights" / NEW_FILE).read_bytes() == NEW
    assert (tmp_path / "torch" / "hub" / "checkpoints" / NEW_FILE).read_bytes() == content
    (tmp_path / "cache" / "weights" / NEW_FILE).write_bytes(content)
    server.faults = [404]
    with pytest.raises(ConnectionError, match=rf"{NEW_FILE} is not that file: its sha256 differs"):
        converters.load(NAME, "DEFAULT")


def test_a_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(OSError, match=r"could not be kept at .*JAXCAM_CACHE names another folder"):
        converters.fetch(NAME, "DEFAULT")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("converters._fetch.download", full)
    with pytest.raises(OSError, match=r"No space left on device.*JAXCAM_CACHE"):
        converters.fetch(NAME, "DEFAULT")


@pytest.mark.realdata
def test_a_real_checkpoint(data):
    name = "cifar_resnet56"
    file = PUBLISHED[name].files["CIFAR10"]
    path = data / "weights" / f"cifar10_{file}"
    with serving({file: path.read_bytes()}) as server:
        found = converters.fetch(name, "DEFAULT", url=server.url)
    assert found.path.read_bytes() == path.read_bytes()
    assert found.entry == "CIFAR10"
