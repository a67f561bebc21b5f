"""An exported explainer gives what `jaxcam.explain` gives, without the model's code."""

import json
import subprocess
import sys
import zipfile

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from nets import LAYER, Small, images, small
from safetensors.numpy import load
from selection import CORE, exhaustive

import jaxcam

BATCH = images(3)
IMAGE = (12, 14, 3)
SOME = ("gradcam", "scorecam", "clustercam", "conceptorcam")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Grad-CAM of the small network, for the CPU and for TPUs."""
    path = tmp_path_factory.mktemp("export") / "small.jaxcam"
    jaxcam.export(small(), path, image=IMAGE, platforms=("cpu", "tpu"), about={"model": "small"})
    return path


@pytest.fixture(scope="module")
def explainer(file):
    return jaxcam.restore(file)


def trip(path, probe, **options):
    jaxcam.export(probe, path / "trip.jaxcam", image=IMAGE, platforms="cpu", **options)
    return jaxcam.restore(path / "trip.jaxcam", trusted=True)


@pytest.mark.parametrize("method", exhaustive(CORE, lambda method: method not in SOME))
def test_every_method_for_every_platform_and_any_batch(tmp_path, method):
    path = tmp_path / "explainer"
    jaxcam.export(small(), path, image=IMAGE, method=method, raw=True)
    restored = jaxcam.restore(path)
    assert restored.metadata["platforms"] == ["cpu", "cuda", "tpu"]
    expected, outputs = jaxcam.explain(small(), BATCH[:2], [1, 4], method=method, raw=True, with_output=True)
    maps, found = restored(BATCH[:2], [1, 4], with_output=True)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(maps, expected, atol=1e-4 * scale)
    np.testing.assert_allclose(found, outputs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 3])
def test_targets(explainer, batch):
    for targets in (None, 2, np.arange(batch)):
        expected = jaxcam.explain(small(), BATCH[:batch], targets)
        np.testing.assert_allclose(explainer(BATCH[:batch], targets), expected, atol=1e-5)


def test_runs_without_the_models_code(file, explainer, tmp_path):
    np.save(tmp_path / "images.npy", BATCH)
    code = """
        import sys
        class Absent:
            def find_spec(self, name, *rest):
                if name.split(".")[0] in ("nets", "converters") or name.startswith("jaxcam.models"):
                    raise ImportError(f"{name} is not here")
        sys.meta_path.insert(0, Absent())
        import jaxcam, numpy
        file, folder = sys.argv[1:]
        maps = jaxcam.restore(file)(numpy.load(folder + "/images.npy"), [0, 1, 2])
        numpy.save(folder + "/maps.npy", maps)
        try:
            import jaxcam.models
        except ImportError as error:
            assert "is not here" in str(error)
        else:
            raise AssertionError
    """
    lines = "\n".join(line[8:] for line in code.splitlines())
    subprocess.run([sys.executable, "-c", lines, str(file), str(tmp_path)], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "maps.npy"), explainer(BATCH, [0, 1, 2]), atol=1e-6)


def test_weights_lie_beside_the_program(file, tmp_path):
    with zipfile.ZipFile(file) as folder:
        weights = load(folder.read("weights.safetensors"))
        program = folder.read("program.bin")
    assert weights.keys() == {f"model/{name}" for name in small().parameters}
    for name, value in small().parameters.items():
        np.testing.assert_array_equal(weights[f"model/{name}"], value)
    arguments = jax.export.deserialize(bytearray(program)).in_avals
    assert [each.shape for each in arguments[:-2]] == [value.shape for value in small().parameters.values()]
    assert arguments[-2].shape[1:] == IMAGE
    raw = []
    for seed in (0, 1):
        jaxcam.export(small(seed=seed), tmp_path / "raw", image=IMAGE, raw=True, platforms="cpu")
        with zipfile.ZipFile(tmp_path / "raw") as folder:
            raw.append(jax.export.deserialize(bytearray(folder.read("program.bin"))).mlir_module())
    assert raw[0] == raw[1]  # other weights, the same program
    assert 'dense<"0x' not in raw[0]


def test_metadata(explainer):
    known = explainer.metadata
    assert known.pop("versions").keys() == {"jaxcam", "jax", "flax"}
    assert known == {
        "format": "jaxcam explainer",
        "version": 1,
        "method": "gradcam",
        "options": {},
        "layer": LAYER,
        "image": [12, 14, 3],
        "dtype": "float32",
        "maps": [12, 14],
        "raw": False,
        "classes": 5,
        "platforms": ["cpu", "tpu"],
        "about": {"model": "small"},
    }
    known["layer"] = "another"
    assert explainer.metadata["layer"] == LAYER
    assert repr(explainer) == "Explainer(gradcam of blocks.0, images (12, 14, 3) of float32)"


def test_passes_through_jit(explainer):
    found = jax.jit(lambda x, targets: explainer(x, targets))(BATCH, jnp.arange(3))
    np.testing.assert_allclose(found, explainer(BATCH, jnp.arange(3)), atol=1e-6)


def test_options_are_part_of_it(tmp_path):
    options = {"method": jaxcam.scorecam, "top": 3, "chunk": 2, "size": (6, 6)}
    restored = trip(tmp_path, small(), **options)
    assert restored.metadata["options"] == {"top": "3", "chunk": "2"}
    assert restored.metadata["maps"] == [6, 6]
    np.testing.assert_allclose(restored(BATCH, 1), jaxcam.explain(small(), BATCH, 1, **options), atol=1e-4)
    kernel = small().parameters["fc/kernel"]
    by_weights = trip(tmp_path, small(), method="cam", weights=-kernel, raw=True)
    np.testing.assert_allclose(
        by_weights(BATCH, 1), -jaxcam.explain(small(), BATCH, 1, method="cam", raw=True), atol=1e-4
    )
    key = jax.random.key(3)
    clustered = trip(tmp_path, small(), method="clustercam", clusters=3, key=key)
    expected = jaxcam.explain(small(), BATCH, 1, method="clustercam", clusters=3, key=key)
    np.testing.assert_allclose(clustered(BATCH, 1), expected, atol=1e-4)


def test_target_of_its_own(tmp_path):
    reference = jnp.arange(5.0)
    probe = jaxcam.probe(split=(nnx_features, lambda a: {"embedding": jnp.mean(a, axis=(1, 2)) @ MIXED}))
    target = jax.tree_util.Partial(embedded, reference)
    with pytest.raises(ValueError, match="not a vector of logits: pass a callable target"):
        trip(tmp_path, probe)
    restored = trip(tmp_path, probe, target=target, method="hirescam")
    expected = jaxcam.explain(probe, BATCH, target, method="hirescam")
    maps, outputs = restored(BATCH, with_output=True)
    np.testing.assert_allclose(maps, expected, atol=1e-5)
    assert outputs["embedding"].shape == (3, 5)
    with pytest.raises(ValueError, match="exported with a target of its own: leave targets out"):
        restored(BATCH, 1)


MIXED = jnp.linspace(-1, 1, 15).reshape(3, 5)


def nnx_features(x):
    return x * 2


def embedded(reference, output):
    return jaxcam.similarity(reference)(output["embedding"])


class Dropping(nnx.Module):
    def __init__(self):
        self.conv = nnx.Conv(3, 5, (1, 1), rngs=nnx.Rngs(0))
        self.drop = nnx.Dropout(0.5, rngs=nnx.Rngs(1))

    def __call__(self, x):
        return jnp.mean(self.drop(self.conv(x)), axis=(1, 2))


class Pixels(linen.Module):
    @linen.compact
    def __call__(self, x):
        return jnp.mean(linen.Conv(5, (1, 1))(x), axis=(1, 2))


def of_a_model_with_random_state():
    return jaxcam.probe(Dropping(), "conv")


def of_linen():
    variables = Pixels().init(jax.random.key(0), jnp.zeros((1, *IMAGE)))
    return jaxcam.probe(Pixels(), "Conv_0", variables=variables)


def of_a_tap():
    def logits(weights, x):
        return jnp.mean(jaxcam.tap(x @ weights["a"]["b"] + weights["a/b"], "pixels"), axis=(1, 2))

    return jaxcam.probe(logits, "pixels", variables={"a": {"b": jnp.eye(3)}, "a/b": jnp.ones((1, 1, 1, 3))})


@pytest.mark.parametrize("make", [of_a_model_with_random_state, of_linen, of_a_tap])
def test_any_probe(tmp_path, make):
    restored = trip(tmp_path, make(), method="hirescam")
    np.testing.assert_allclose(
        restored(BATCH, 2), jaxcam.explain(make(), BATCH, 2, method="hirescam"), atol=1e-5
    )


def test_bfloat16(tmp_path):
    probe = jaxcam.probe(Small(dtype=jnp.bfloat16), LAYER)
    restored = trip(tmp_path, probe, dtype=jnp.bfloat16)
    batch = jnp.asarray(BATCH, jnp.bfloat16)
    maps = restored(batch, 1)
    assert maps.dtype == jnp.float32
    np.testing.assert_allclose(maps, jaxcam.explain(probe, batch, 1), atol=0.02)
    with pytest.raises(TypeError, match="takes images of bfloat16; got float32"):
        restored(BATCH)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image": (12,)}, ValueError, r"image must be a shape \(H, W, C\)"),
        ({"image": (12, 14)}, ValueError, r"cannot look at images of shape \(12, 14\) .* signals"),
        ({"image": (12, 14, 4)}, ValueError, r"cannot look at images of shape \(12, 14, 4\)"),
        ({"method": "gradcamm"}, ValueError, "no method 'gradcamm'; did you mean 'gradcam'"),
        ({"platforms": ("gpu",)}, ValueError, "no platform 'gpu'.*There are: cpu, cuda, rocm, tpu"),
        ({"platforms": ()}, ValueError, "needs at least one platform"),
        ({"dtype": jnp.int32}, ValueError, "images must be of floating point; got dtype"),
        ({"target": 3}, TypeError, "a target must be a callable, got 3"),
        ({"about": {"x": object()}}, TypeError, "not JSON serializable"),
        ({"chunk": 3}, TypeError, "gradcam: no option 'chunk'"),
        ({"size": (0, 3)}, ValueError, "size must be"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_exported(tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        jaxcam.export(small(), tmp_path / "never", **{"image": IMAGE, **change})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((BATCH[0],), ValueError, r"Add a batch axis"),
        ((images(2, size=(12, 15)),), ValueError, r"takes images \(B, 12, 14, 3\); got \(2, 12, 15, 3\)"),
        ((BATCH.astype(np.float16),), TypeError, "takes images of float32; got float16"),
        ((BATCH.astype(np.uint8),), TypeError, "must be of floating point"),
        ((BATCH * np.nan,), ValueError, "NaN or infinite"),
        ((BATCH, 5), ValueError, "no class 5: the model has 5 classes, 0 to 4"),
        ((BATCH, [0, 1, -1]), ValueError, "no class -1"),
        ((BATCH, [0, 1]), ValueError, r"3 images need 3 targets \(B,\)"),
        ((BATCH, [0.5, 1, 2]), TypeError, "class indices must be integers"),
        ((BATCH, jnp.sum), TypeError, "takes class indices or None"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_call(explainer, arguments, error, message):
    with pytest.raises(error, match=message):
        explainer(*arguments)


def test_platform_that_it_was_not_exported_for(tmp_path):
    jaxcam.export(small(), tmp_path / "tpu", image=IMAGE, platforms=("tpu",))
    with pytest.raises(ValueError, match="exported for tpu, and this is a cpu: export it with platforms="):
        jaxcam.restore(tmp_path / "tpu")(BATCH)


def rewritten(file, out, change):
    """The file with its metadata changed."""
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(out, "w") as folder:
        for name in source.namelist():
            content = source.read(name)
            if name == "meta.json":
                content = json.dumps(change(json.loads(content)))
            folder.writestr(name, content)


def test_files_that_are_no_explainer(file, tmp_path):
    bad = tmp_path / "bad"

    def refused(message, error=ValueError):
        with pytest.raises(error, match=message):
            jaxcam.restore(bad)

    refused("No such file", FileNotFoundError)
    bad.write_bytes(b"PK and nothing else")
    refused(f"{bad} was not written by jaxcam.export, or is cut short")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "other.npz").rename(bad)
    refused("was not written by jaxcam.export: it holds no meta.json")
    rewritten(file, bad, lambda meta: {"format": "a cake"})
    refused("its meta.json is of another format")
    rewritten(file, bad, lambda meta: meta | {"version": 2, "versions": {"jaxcam": "9.0"}})
    refused("is of version 2, and this jaxcam reads up to version 1: it was written by jaxcam 9.0")
    rewritten(file, bad, lambda meta: meta | {"weights": {"model/lost": "float32"}})
    refused("is damaged: 'model/lost'")
    content = bytearray(file.read_bytes())
    bad.write_bytes(content[: len(content) // 2])
    refused("cut short")
    middle = content.find(b"fc/kernel")  # in the weights
    content[middle + 400] ^= 255
    bad.write_bytes(content)
    refused("is damaged: Bad CRC-32")


def test_file_is_whole_or_as_it_was(file, tmp_path, monkeypatch):
    path = tmp_path / "explainer"
    path.write_bytes(before := file.read_bytes())

    def full(*arguments, **options):
        raise OSError("no space left")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="no space left"):
        jaxcam.export(small(), path, image=IMAGE, platforms="cpu")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
