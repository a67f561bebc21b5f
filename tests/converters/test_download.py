"""Downloads from a server that cuts, hangs, refuses, lies and changes its files."""

import fcntl
import hashlib
import io
import os
import subprocess
import sys
import time
from urllib.error import HTTPError
from urllib.request import Request

import numpy as np
import pytest
from file_server import serving

from converters import _download
from converters._download import download
from jaxcam._terminal import bar

CONTENT = np.random.default_rng(0).bytes(1_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = f"net-{DIGEST[:8]}.pth"


@pytest.fixture
def server():
    with serving({NAME: CONTENT}) as server:
        yield server


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / NAME


def get(server, target, **options):
    options = {"timeout": 5.0, "pause": 0.0, "attempts": 3} | options
    download(f"{server.url}/{NAME}", target, sha256=DIGEST[:8], **options)


def ranges(server):
    return [asked for _, asked in server.asked]


def assert_whole(target):
    assert target.read_bytes() == CONTENT
    assert os.listdir(target.parent) == [NAME]


@pytest.mark.parametrize("lengths", [True, False])
def test_downloads_once(server, target, lengths):
    server.lengths = lengths
    get(server, target)
    assert_whole(target)
    get(server, target)
    assert ranges(server) == [None]


def test_goes_on_where_the_connection_was_cut(server, target):
    server.faults = [("cut", 300_000), ("cut", 200_000)]
    get(server, target)
    assert_whole(target)
    assert ranges(server) == [None, "bytes=300000-", "bytes=500000-"]


def test_goes_on_where_an_earlier_call_was_cut(server, target):
    server.faults = [("cut", 400_000), 503, 503]
    with pytest.raises(ConnectionError, match="Service Unavailable"):
        get(server, target, attempts=2)
    assert target.with_name(f"{NAME}.part").stat().st_size == 400_000
    assert not target.exists()
    get(server, target)
    assert_whole(target)
    assert ranges(server)[-1] == "bytes=400000-"


def test_a_silent_server_times_out(server, target):
    server.faults = [("hang", 100_000)]
    get(server, target, timeout=0.5)
    assert_whole(target)
    assert ranges(server) == [None, "bytes=100000-"]
    server.faults = [("hang", 0)] * 2
    target.unlink()
    with pytest.raises(ConnectionError, match=r"timed out|too slow"):
        get(server, target, timeout=0.1, attempts=2)


def test_starts_anew_where_parts_are_not_served(server, target):
    server.ranges = False
    server.faults = [("cut", 300_000)]
    get(server, target)
    assert_whole(target)
    # always cut at the same place: no byte further each time
    target.unlink()
    server.faults = [("cut", 300_000)] * 9
    with pytest.raises(ConnectionError, match="closed after 300000 of 1000000 bytes"):
        get(server, target)
    assert len(server.asked) == 2 + 4


def test_starts_anew_where_another_part_is_served(server, target):
    server.faults = [("cut", 300_000), ("shift", 7)]
    get(server, target)
    assert_whole(target)
    assert ranges(server) == [None, "bytes=300000-", None]


@pytest.mark.parametrize("there", [CONTENT[:-1][::-1], CONTENT + b"more", CONTENT[::-1]])
def test_a_part_of_another_file_is_thrown_away(server, target, there):
    """As when the server's file has changed meanwhile."""
    target.parent.mkdir()
    target.with_name(f"{NAME}.part").write_bytes(there)
    get(server, target)
    assert_whole(target)
    assert ranges(server) == [f"bytes={len(there)}-", None]


def test_a_part_that_is_all_only_lacks_its_name(server, target):
    target.parent.mkdir()
    target.with_name(f"{NAME}.part").write_bytes(CONTENT)
    get(server, target)
    assert_whole(target)
    assert len(server.asked) == 1


def test_another_file_is_removed_and_both_digests_are_told(server, target):
    server.files[NAME] = b"another file"
    told = hashlib.sha256(b"another file").hexdigest()
    with pytest.raises(ValueError, match=rf"sha256 {told}, and it should begin with {DIGEST[:8]}"):
        get(server, target)
    assert not target.exists()
    assert not target.with_name(f"{NAME}.part").exists()
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_final(server, target, status):
    server.faults = [status]
    with pytest.raises(ConnectionError, match=f"HTTP {status} "):
        get(server, target)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server, target, status):
    server.faults = [status, status]
    get(server, target)
    assert_whole(target)


def test_no_server(tmp_path):
    with serving({}) as server:
        url = f"{server.url}/{NAME}"
    with pytest.raises(ConnectionError, match="refused"):
        download(url, tmp_path / NAME, sha256="", pause=0.0)


def test_an_error_of_the_disk_is_not_tried_again(server, target):
    target.parent.mkdir()
    target.with_name(f"{NAME}.part").mkdir()
    with pytest.raises(IsADirectoryError):
        get(server, target)
    assert len(server.asked) == 1


SCRIPT = f"""
import sys
from pathlib import Path
from converters._download import download
from jaxcam._terminal import bar
download(sys.argv[1], Path(sys.argv[2]), sha256={DIGEST[:8]!r}, timeout=5.0, pause=0.0)
"""


def test_two_processes_at_once_download_once(server, target):
    server.faults = [("cut", 500_000)]
    command = [sys.executable, "-c", SCRIPT, f"{server.url}/{NAME}", str(target)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert target.read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=500000-"]


def test_without_locks_each_process_has_its_own_part(server, target, monkeypatch):
    monkeypatch.setattr(_download, "fcntl", None)
    server.faults = [404]
    target.parent.mkdir()
    target.with_name(f"{NAME}.part").write_bytes(b"another process writes here")
    with pytest.raises(ConnectionError):
        get(server, target)
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert ranges(server) == [None, None]
    assert target.with_name(f"{NAME}.part").read_bytes() == b"another process writes here"


def test_a_link_in_the_place_of_the_part_is_not_followed(server, target, tmp_path):
    """Also not where it is planted after the first look, or where it is the lock."""
    mine = tmp_path / "mine"
    mine.write_text("mine")
    target.parent.mkdir()
    part, lock = (target.with_name(f"{NAME}.{each}") for each in ("part", "lock"))
    for link in (part.symlink_to, part.hardlink_to):
        link(mine)
        get(server, target)
        assert_whole(target)
        target.unlink()
    os.mkfifo(part)
    get(server, target)
    assert_whole(target)
    target.unlink()
    lock.symlink_to(tmp_path / "lock")
    with pytest.raises(OSError, match="symbolic links"):
        get(server, target)
    lock.unlink()
    assert not (tmp_path / "lock").exists()
    part.symlink_to(mine)
    clock = _download._Clock(5.0, 1.0)
    with bar("download") as drawn, pytest.raises(OSError, match="symbolic links"):
        _download._transfer(f"{server.url}/{NAME}", part, drawn, clock, timeout=5.0, largest=10**9)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/net", "data:,net", "gopher://x/"])
def test_redirects_to_other_schemes_are_not_followed(server, target, place):
    server.faults = [("redirect", place)]
    with pytest.raises(ConnectionError, match=r"redirects to|not allowed"):
        get(server, target, attempts=1)
    assert not target.exists()


def test_redirects_on_the_web_are_followed(server, target):
    server.faults = [("redirect", f"{server.url}/{NAME}"), ("redirect", f"/{NAME}")]
    get(server, target)
    assert_whole(target)
    safe = Request("https://example.org/net")
    with pytest.raises(HTTPError, match=r"redirects to http://example\.org/net, which is not followed"):
        _download._Redirects().redirect_request(safe, None, 302, "", {}, "http://example.org/net")
    server.faults = [("redirect", f"/{NAME}")] * 50
    target.unlink()
    with pytest.raises(ConnectionError, match="infinite loop"):
        get(server, target)


@pytest.mark.parametrize("lengths", [True, False])
def test_a_file_that_is_too_large_is_not_kept(server, target, lengths):
    server.lengths = lengths
    with pytest.raises(ConnectionError, match="at most 500000"):
        get(server, target, largest=500_000)
    assert not target.with_name(f"{NAME}.part").exists()
    assert len(server.asked) == 1
    get(server, target, largest=1_000_000)
    assert_whole(target)


def test_a_server_that_trickles_is_given_up(server, target):
    server.faults = [("trickle", 0.05)]
    start = time.monotonic()
    with pytest.raises(ConnectionError, match=r"too slow: \d+ bytes in 1 seconds"):
        get(server, target, timeout=0.3, attempts=3)
    assert time.monotonic() - start < 4
    # also where each answer is cut after a byte, which is progress
    server.faults = [("cut", 1)] * 10_000
    with pytest.raises(ConnectionError, match="too slow"):
        get(server, target, timeout=0.3, attempts=3)
    server.faults = []
    get(server, target)  # the lock is free, and the part is there
    assert_whole(target)


@pytest.mark.parametrize("told", ["many", "-5", "1e6", "5, 5", "9" * 5000])
def test_a_broken_length_is_another_try(server, target, told):
    server.faults = [("length", told)] * 2
    get(server, target)
    assert_whole(target)
    target.unlink()
    server.faults = [("length", told)] * 3
    with pytest.raises(ConnectionError, match="Content-Length that is not a number"):
        get(server, target)


def test_a_wrong_length_is_an_error(server, target):
    server.faults = [("length", "2000000")] * 9  # asked for the rest, the server says that there is none
    get(server, target)
    assert_whole(target)
    target.unlink()
    server.faults = [("length", "1000")]
    with pytest.raises(ValueError, match="it was removed"):
        get(server, target)


def test_a_file_that_is_there_but_is_another_is_replaced(server, target):
    for content in (b"", b"another", CONTENT[:-1]):
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
        get(server, target)
        assert_whole(target)


def test_a_process_that_waits_for_a_stuck_one_is_told(server, target):
    target.parent.mkdir()
    with target.with_name(f"{NAME}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ConnectionError, match=r"another process holds .*\.lock and has come no further"):
            get(server, target, timeout=0.1, attempts=2)
    get(server, target)
    assert_whole(target)


def test_a_full_disk_is_an_error_of_the_disk(server, target, monkeypatch):
    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(
        _download, "_open", lambda path, append: path.open("ab") if "lock" in path.name else Full()
    )
    with pytest.raises(OSError, match="No space left"):
        get(server, target)
    assert len(server.asked) == 1
