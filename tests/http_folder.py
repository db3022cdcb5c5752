"""A web server of a folder that can be asked for the rest of a file, as download sites can."""

import contextlib
import http.server
import pathlib
import threading
import urllib.parse
from collections.abc import Iterator


class _Handler(http.server.BaseHTTPRequestHandler):
    folder: pathlib.Path
    cut: int | None  # bytes after which the connection is closed
    asked: list[str]

    def do_GET(self) -> None:
        """The file, or what follows `Range: bytes=N-`."""
        asked = urllib.parse.unquote(self.path.split("?")[0]).lstrip("/")
        path, wanted = self.folder / asked, self.headers.get("Range", "")
        self.asked.append(wanted)
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if wanted and start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start:][: self.cut])

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def serve(folder: pathlib.Path, *, cut: int | None = None) -> Iterator[tuple[str, list[str]]]:
    """Yields the server's address, and the ranges that were asked for."""
    asked: list[str] = []
    handler = type("Handler", (_Handler,), {"folder": folder, "cut": cut, "asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
