"""Checks what an exported program may do, before it is compiled: the file may come from a stranger."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence

SECONDS, MEMORY = 60, 4 << 30  # for reading a program

# Besides StableHLO, whose operations compute and nothing else, JAX's own calls in what jaxcam exports: the test that a
# batch has one image at least, and the decompositions in the kernels of jaxcam 0.1. The latter trust the shapes that
# they are called with: `check_shapes` is for them.
DIALECTS = ("builtin", "func", "stablehlo", "chlo", "sdy")
REFUSED = ("stablehlo.infeed", "stablehlo.outfeed", "stablehlo.send", "stablehlo.recv")
HARMLESS = ("shape_assertion", "stablehlo.dynamic_top_k", "cu_threefry2x32_ffi", "hip_threefry2x32_ffi")
HARMLESS += ("Eigh", "Qr", "ProductOfElementaryHouseholderReflectors", "Sharding")
SHAPED = tuple(
    f"{library}_{name}_ffi"
    for library, names in {
        "lapack": ("ssyevd", "sgeqrf", "sorgqr", "strsm", "dsyevd", "dgeqrf", "dorgqr", "dtrsm"),
        "cusolver": ("syevd", "geqrf", "orgqr"),
        "hipsolver": ("syevd", "geqrf", "orgqr"),
    }.items()
    for name in names
)


def vet(program: bytes) -> tuple[str, ...]:
    """The calls among `SHAPED` in a serialised program, which a process of its own reads, within bounds.

    Raises:
        ValueError: not a program, a damaged one, one that crashes what reads it, or one that calls something else than
            what jaxcam exports call.
        OSError: no process can be started.
    """
    code = "from jaxcam.exporting._vetting import main; main()"
    # the working folder may be a stranger's too: `-P` imports nothing from it
    paths = os.pathsep.join(each for each in sys.path if each)
    environment = os.environ | {"PYTHONPATH": paths, "JAX_PLATFORMS": "cpu"}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", "-c", code],
            input=program,
            capture_output=True,
            env=environment,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"reading its program takes more than {SECONDS} s") from error
    return verdict(done.returncode, done.stdout)


def verdict(code: int, said: bytes) -> tuple[str, ...]:
    """The result of the process that ran `main`. Raises the errors of `vet`."""
    try:
        found = json.loads(said.splitlines()[-1]) if code == 0 else {}
    except (IndexError, ValueError):
        found = {}
    found = found if isinstance(found, dict) else {}
    if "shaped" not in found:
        crashed = "JAX cannot read its program" + (f" (signal {-code})" if code < 0 else "")
        raise ValueError(found.get("error", crashed))
    return tuple(found["shaped"])


def main() -> None:
    """Reads a program from the standard input; says what it calls, or why it is refused, as a line of JSON."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass  # no such limit on this system; the limit of time holds
    print(json.dumps(answer(sys.stdin.buffer.read())))


def answer(program: bytes) -> dict:
    """`{"shaped": calls}` or `{"error": reason}`."""
    try:
        return {"shaped": examine(program)}
    except Exception as error:  # JAX raises whatever a damaged program leads it to
        return {"error": (str(error).strip() or type(error).__name__).splitlines()[0]}


def examine(program: bytes) -> list[str]:
    """The calls among `SHAPED`. May crash or hang for a damaged program. Raises ValueError for one that is refused."""
    import jax.export
    from jax.extend.mlir import ir
    from jax.extend.mlir.dialects import chlo, sdy, stablehlo

    exported = jax.export.deserialize(bytearray(program))
    if exported.ordered_effects or exported.unordered_effects or exported.nr_devices != 1:
        raise ValueError("its program has effects, or is for several devices")
    with ir.Context() as context:
        for dialect in (stablehlo, chlo, sdy):
            dialect.register_dialect(context)
        module = stablehlo.deserialize_portable_artifact(context, exported.mlir_module_serialized)
        module.operation.verify()
        waiting, shaped = [module.operation], set()
        while waiting:
            operation = waiting.pop().operation
            shaped |= _allowed(operation)
            waiting += [each for region in operation.regions for block in region for each in block]
    return sorted(shaped)


def _allowed(operation) -> set[str]:
    name = operation.name
    if name.partition(".")[0] not in DIALECTS or name in REFUSED:
        raise ValueError(f"its program has the operation {name!r}, which no export of jaxcam's has")
    if name != "stablehlo.custom_call":
        return set()
    target = str(operation.attributes["call_target_name"]).strip('"')
    if target not in HARMLESS + SHAPED:
        raise ValueError(
            f"its program calls {target!r}, which no method of jaxcam's does: pass trusted=True if you know who made it"
        )
    return {target} & set(SHAPED)


def check_shapes(compiled: str) -> None:
    """Compares each call of `SHAPED` in a compiled program, as text, with the shapes that it reads and writes.

    The libraries do not: a call that says smaller results than there are would write beyond them.

    Raises ValueError.
    """
    for line in compiled.splitlines():
        target = re.search(r'custom_call_target="([^"]*)"', line)
        if target is None or target[1] not in SHAPED:
            continue
        results, _, rest = line.partition(" custom-call(")
        given = re.search(r"operand_layout_constraints=\{(.*?\})\}", rest)
        shapes = _shapes(results.partition(" = ")[2]), _shapes(given[1] if given else "")
        if not _fits(target[1], *shapes):
            raise ValueError(f"its program calls {target[1]} with results {shapes[0]} for {shapes[1]}")


def _shapes(text: str) -> list[tuple[int, ...]]:
    return [
        tuple(int(side) for side in sides.split(",") if side)
        for sides in re.findall(r"[a-z]+\d+\[([\d,]*)\]", text)
    ]


def _fits(target: str, results: Sequence[tuple[int, ...]], given: Sequence[tuple[int, ...]]) -> bool:
    if not given or any(len(each) < 2 for each in given[:1]):
        return False
    *batch, m, n = given[0]
    batch = tuple(batch)
    if target.endswith("syevd_ffi"):
        return len(given) == 1 and m == n and list(results) == [(*batch, n, n), (*batch, n), batch]
    if target.endswith("geqrf_ffi"):
        return len(given) == 1 and list(results) == [(*batch, m, n), (*batch, min(m, n))]
    if target.endswith("orgqr_ffi"):
        tau = given[1] if len(given) == 2 else ()
        fine = tau[:-1] == batch and len(tau) > 0 and tau[-1] <= n <= m
        return fine and list(results) == [(*batch, m, n)]
    if target.endswith("trsm_ffi"):
        right = given[1] if len(given) == 2 else ()
        fine = m == n and len(right) == len(batch) + 2 and right[:-2] == batch and n in right[-2:]
        return fine and list(results) == [right]
    return False
