"""Opens a file in a child process of limited memory and time, and judges how that ended."""

import os
import pickle
import resource
import signal
import sys
import warnings
from pathlib import Path

SECONDS, SPARE = 10, 10**9
STARTS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "pty.spawn",
    "socket.connect",
)


def in_child(make):
    """What `make` returns, computed in a forked process: JAX's threads must not be there when files are forked for."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reading)
        with os.fdopen(writing, "wb") as file:
            pickle.dump(make(), file)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        made = pickle.load(file)
    os.waitpid(child, 0)
    return made


def judged(judge, path: Path, size: int, wall: int) -> tuple[str, str, float, int]:
    """Verdict, what was said, seconds of CPU, and bytes of memory beyond those that it started with."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reading)
        _limit(size, wall)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # the child's own: it starts with less
        os.write(writing, before.to_bytes(8, "little"))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff and XLA speak of what they meet
        started: list[str] = []
        sys.addaudithook(lambda event, _: started.append(event) if event in STARTS else None)
        warnings.simplefilter("ignore")
        try:
            said = judge(path)
        except MemoryError as error:
            said = f"memory: {error}"
        except BaseException as error:  # whatever passes is what this looks for
            said = f"undocumented: {type(error).__name__}: {str(error)[:300]}"
        os.write(writing, (f"code: {started}" if started else said).encode("utf-8", "replace")[:4000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        before, said = int.from_bytes(file.read(8), "little"), file.read().decode()
    _, status, used = os.wait4(child, 0)
    seconds, memory = used.ru_utime + used.ru_stime, (used.ru_maxrss - before) * 1024
    code = os.waitstatus_to_exitcode(status)
    verdict = said.partition(":")[0]
    if code in (-signal.SIGALRM, -signal.SIGXCPU, -signal.SIGKILL):
        verdict, said = "hang", f"ended by signal {-code} after {seconds:.1f} s of CPU time"
    elif code or not said:
        verdict, said = "crash", f"exit status {code}"
    elif memory > 4 * size + SPARE:
        verdict, said = "memory", f"{memory / 1e6:.0f} MB for {size} bytes"
    elif seconds > SECONDS:
        verdict, said = "hang", f"{seconds:.1f} s of CPU time"
    return verdict, said, seconds, memory


def _limit(size: int, wall: int) -> None:
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    # what threads and XLA reserve without using it does not count: the resident size is compared afterwards
    most = mapped + 4 * size + SPARE + (8 << 30)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    data = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (data + 4 * size + 2 * SPARE,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS + 1, SECONDS + 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(wall)
