"""An exported explainer of a stranger's making: what its program may call, and what a damaged one says."""

import json
import zipfile

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from nets import images, small
from selection import CORE

import jaxcam
from jaxcam.exporting import _vetting

IMAGE = (12, 14, 3)
BATCH = images(2)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The parts of a good file."""
    path = tmp_path_factory.mktemp("export") / "good"
    jaxcam.export(small(), path, image=IMAGE, method="cam", platforms="cpu")
    with zipfile.ZipFile(path) as folder:
        return {name: folder.read(name) for name in folder.namelist()}


@pytest.fixture
def write(tmp_path, parts):
    def make(compression=zipfile.ZIP_STORED, **changed):
        names = {"program": "program.bin", "meta": "meta.json", "weights": "weights.safetensors"}
        with zipfile.ZipFile(tmp_path / "x", "w", compression) as folder:
            for name, content in (parts | {names[key]: value for key, value in changed.items()}).items():
                folder.writestr(name, content)
        return tmp_path / "x"

    return make


def crafted(function, *, platforms=("cpu",)):
    """A program of the signature that is expected, which computes `function` of the images."""
    weights = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in small().parameters.values()]
    batch = jax.ShapeDtypeStruct((2, *IMAGE), jnp.float32)
    anything = jax.export.DisabledSafetyCheck.custom_call
    checks = [anything(name) for name in ("stranger", "xla_ffi_python_cpu_callback", "lapack_ssyevd_ffi")]

    def program(weights, x, targets):
        return function(x), jnp.tile(x[:, 0, 0, :1], (1, 5))

    exported = jax.export.export(jax.jit(program), platforms=platforms, disabled_checks=checks)
    return bytes(exported(weights, batch, jax.ShapeDtypeStruct((2,), jnp.int32)).serialize())


def calls_a_stranger(x):
    return jax.ffi.ffi_call("stranger", jax.ShapeDtypeStruct((2, 12, 14), x.dtype))(x)


def writes_beyond_its_results(x):
    square = jnp.broadcast_to(x[0, 0, 0, 0], (500, 500))
    outs = (jax.ShapeDtypeStruct(s, t) for s, t in (((500, 500), x.dtype), ((1,), x.dtype), ((), jnp.int32)))
    mode, uplo = np.uint8(ord("V")), np.uint8(ord("L"))
    _, values, _ = jax.ffi.ffi_call("lapack_ssyevd_ffi", tuple(outs))(square, mode=mode, uplo=uplo)
    return jnp.broadcast_to(values[0], (2, 12, 14))


def test_a_call_that_no_method_makes_is_refused(write):
    path = write(program=crafted(calls_a_stranger))
    with pytest.raises(
        ValueError, match=r"its program calls 'stranger', which no method of jaxcam's does: pass tru"
    ):
        jaxcam.restore(path)
    jaxcam.restore(path, trusted=True)  # not called: there is no such thing


def test_a_call_into_lapack_with_wrong_shapes_is_refused_before_it_runs(write):
    explain = jaxcam.restore(write(program=crafted(writes_beyond_its_results)))
    with pytest.raises(
        ValueError, match=r"calls lapack_ssyevd_ffi with results \[\(500, 500\), \(1,\), \(\)\]"
    ):
        explain(BATCH, 0)
    with pytest.raises(ValueError, match="calls lapack_ssyevd_ffi"):
        jax.jit(lambda x: explain(x, 0))(BATCH)


def eigenvalues(x):
    """As jaxcam 0.1 wrote them in Eigen-CAM and Conceptor-CAM."""
    grams = jnp.einsum("bhwc,bhwd->bcd", x, x)
    values, vectors = jnp.linalg.eigh(grams)
    q, r = jnp.linalg.qr(grams + jnp.eye(3)[None])
    solved = jax.scipy.linalg.solve_triangular(jnp.swapaxes(r, 1, 2), q, lower=True)
    scale = (values * vectors[:, 0] + solved[:, 0]).sum(-1)
    return jnp.tile(scale[:, None, None], (1, 12, 14))


def test_files_with_lapack_open(write):
    path = write(program=crafted(eigenvalues))
    assert set(_vetting.vet(crafted(eigenvalues))) >= {"lapack_ssyevd_ffi", "lapack_sgeqrf_ffi"}
    maps = jaxcam.restore(path)(BATCH, 0)
    np.testing.assert_allclose(maps, eigenvalues(BATCH), rtol=1e-4)


def test_what_every_method_calls_is_allowed(tmp_path):
    for method in ("gradcam", "eigencam", "conceptorcam"):
        jaxcam.export(
            small(), tmp_path / method, image=IMAGE, method=method, platforms=("cpu", "cuda", "rocm", "tpu")
        )
        with zipfile.ZipFile(tmp_path / method) as folder:
            _vetting.examine(folder.read("program.bin"))


@pytest.mark.exhaustive
@pytest.mark.parametrize("method", CORE)
def test_what_any_method_calls_is_allowed(tmp_path, method):
    jaxcam.export(
        small(), tmp_path / "x", image=IMAGE, method=method, platforms=("cpu", "cuda", "rocm", "tpu")
    )
    with zipfile.ZipFile(tmp_path / "x") as folder:
        _vetting.examine(folder.read("program.bin"))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_mutated_program(write, parts, seed):
    program, rng = bytearray(parts["program.bin"]), np.random.default_rng(seed)
    for place in rng.integers(0, len(program), 60):
        program[place] = rng.integers(256)
    with pytest.raises(ValueError, match=r"x is damaged, or was not written by jaxcam\.export: .*"):
        jaxcam.restore(write(program=bytes(program)))


def test_what_reads_a_program_may_crash(monkeypatch, write):
    monkeypatch.setattr(_vetting, "main", None)  # not what runs there: that is another process
    assert _vetting.verdict(0, b'{"shaped": []}') == ()
    for code, said in ((-11, b""), (0, b""), (0, b"[]"), (1, b'{"shaped": []}'), (0, b"nothing")):
        with pytest.raises(ValueError, match="JAX cannot read its program"):
            _vetting.verdict(code, said)
    monkeypatch.setattr(_vetting, "SECONDS", 0.01)
    with pytest.raises(ValueError, match=r"reading its program takes more than 0\.01 s"):
        jaxcam.restore(write())


def test_a_folder_of_a_strangers_is_not_imported_from(write, tmp_path, monkeypatch):
    (tmp_path / "jax.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    jaxcam.restore(write())
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("image", [12, 14]), ("image", [12, "x", 3]), ("dtype", "float16"), ("dtype", 3), ("maps", [3, 3])),
        *(
            ("platforms", ["tpu"]),
            ("classes", "x"),
            ("version", "1"),
            ("weights", []),
            ("weights", {"x": "f4"}),
        ),
        *(("weights", {"model/fc/bias": "no type"}), ("about", None)),
    ],
)
def test_damaged_metadata(write, parts, monkeypatch, key, value):
    monkeypatch.setattr("jaxcam.exporting._restore.vet", lambda program: ())
    meta = json.loads(parts["meta.json"]) | {key: value}
    with pytest.raises(ValueError, match="damaged"):
        jaxcam.restore(write(meta=json.dumps(meta)))


def test_parts_that_are_damaged(write, parts, monkeypatch):
    monkeypatch.setattr("jaxcam.exporting._restore.vet", lambda program: ())
    for changed in ({"meta": b"[" * 100_000}, {"weights": b"\xff" * 90}, {"weights": b""}, {"program": b""}):
        with pytest.raises(ValueError, match="x is damaged"):
            jaxcam.restore(write(**changed))
    with pytest.raises(ValueError, match="its parts are compressed"):
        jaxcam.restore(write(zipfile.ZIP_DEFLATED, weights=bytes(10**7)))


def test_a_name_that_swallows_the_next_part_is_cut(write):
    path = write()
    content = bytearray(path.read_bytes())
    content[26:28] = (9000).to_bytes(2, "little")  # the length of the first part's name, in its own header
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is damaged: .*\.\.\. \(\d+ characters\)") as caught:
        jaxcam.restore(path)
    assert len(str(caught.value)) < 1000


def test_own_mistakes_do_not_read_as_damage(write, monkeypatch):
    def broken(*arguments):
        raise TypeError("a mistake of ours")

    monkeypatch.setattr("jaxcam.exporting._restore._check_signature", broken)
    with pytest.raises(TypeError, match="a mistake of ours"):
        jaxcam.restore(write(), trusted=True)
