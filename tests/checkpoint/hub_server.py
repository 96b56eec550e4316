"""A hub of one process: the few answers of huggingface.co that a download asks for, on 127.0.0.1."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = hashlib.sha1(b"the only commit").hexdigest()


class Hub:
    """What the server holds, and which files were asked of it.

    Attributes:
        repos: files by their names, by "org/name".
        refused: "org/name" to the status and the X-Error-Code that every request for it gets.
        downloads: names of the files sent, in order.
    """

    def __init__(self, repos: Mapping[str, Mapping[str, bytes]]):
        self.repos = repos
        self.refused: dict[str, tuple[int, str]] = {}
        self.downloads: list[str] = []
        self.url = ""


@contextmanager
def serve(repos: Mapping[str, Mapping[str, bytes]]) -> Iterator[Hub]:
    """Serve repositories until the block ends."""
    hub = Hub(repos)

    class Handler(_Handler):
        held = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    held: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, *, with_body: bool) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        is_api = parts[:2] == ["api", "models"]
        parts = parts[2:] if is_api else parts
        repo, (verb, revision, *rest) = "/".join(parts[:2]), parts[2:]
        if repo in self.held.refused:
            return self._refuse(*self.held.refused[repo])
        if repo not in self.held.repos:
            return self._refuse(404, "RepoNotFound")
        if revision not in ("main", COMMIT):
            return self._refuse(404, "RevisionNotFound")
        files = self.held.repos[repo]
        if is_api and verb == "revision":
            siblings = [{"rfilename": name} for name in files]
            return self._send({"id": repo, "sha": COMMIT, "siblings": siblings}, {}, with_body)
        if is_api:
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": _oid(data)} for name, data in files.items()
            ]
            return self._send(tree, {}, with_body)
        name = "/".join(rest)
        if name not in files:
            return self._refuse(404, "EntryNotFound")
        if with_body:
            self.held.downloads.append(name)
        return self._send(files[name], {"ETag": f'"{_oid(files[name])}"'}, with_body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, content: object, headers: Mapping[str, str], with_body: bool) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(200)
        for key, value in {**headers, "X-Repo-Commit": COMMIT, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def _oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
