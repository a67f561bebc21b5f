"""A small web server of files that can be told to misbehave."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """Serves `files` (name -> bytes) at `url`.

    Attributes:
        ranges: whether parts of files are served.
        lengths: whether the length is told.
        faults: what happens to the next requests, one each: a status to answer with, ("cut", n) to close after n bytes,
            ("hang", n) to go silent after n bytes, ("shift", n) to serve a part that starts n bytes too late,
            ("trickle", s) to serve one byte each s seconds, ("length", text) to give another Content-Length,
            ("redirect", url) to send elsewhere. None answers as it should.
        asked: (name, Range header or None) of all requests.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.files, self.ranges, self.lengths = files, True, True
        self.faults: list = []
        self.asked: list[tuple[str, str | None]] = []
        self.released = threading.Event()


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    with Server(files) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name, asked = self.path.lstrip("/"), self.headers["Range"]
        self.server.asked.append((name, asked))
        kind, amount = self._fault()
        content = self.server.files.get(name)
        if kind == "redirect":
            self.send_response(302)
            self.send_header("Location", amount)
            self._end(0)
            return
        if kind == "status" or content is None:
            self._head(amount if kind == "status" else 404, 0)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if start >= len(content) > 0:
            self._head(416, 0, f"bytes */{len(content)}")
            return
        if kind == "shift":
            start += amount
        partial = asked and self.server.ranges
        part = content[start:]
        self._head(
            206 if partial else 200,
            len(part),
            f"bytes {start}-{len(content) - 1}/{len(content)}" if partial else None,
            told=amount if kind == "length" else None,
        )
        if kind == "trickle":
            for n in range(len(part)):
                self.wfile.write(part[n : n + 1])
                if self.server.released.wait(amount):
                    break
            return
        self.wfile.write(part[:amount] if kind in ("cut", "hang") else part)
        if kind == "hang":
            self.wfile.flush()
            self.server.released.wait(20)

    def _fault(self) -> tuple[str, Any]:
        fault = self.server.faults.pop(0) if self.server.faults else None
        if isinstance(fault, int):
            return "status", fault
        return ("", 0) if fault is None else fault

    def _head(
        self, status: int, length: int, content_range: str | None = None, told: str | None = None
    ) -> None:
        self.send_response(status)
        if content_range:
            self.send_header("Content-Range", content_range)
        self._end(length if told is None else told)

    def _end(self, length: int | str) -> None:
        if self.server.lengths:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_) -> None:
        pass
