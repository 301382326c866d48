"""A hub in miniature: one data set served from a folder over HTTP, as far as huggingface_hub asks for it.

It answers with the description of a revision and its files, the paths of a tree, and files with ranges, and counts the bytes that it sends.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves `folder/<revision>/...` as the data set `own/set`; revisions are main and convert. licence: of its card."""

    def __init__(self, folder: Path, card: dict[str, object] | None = None):
        self.folder = folder
        self.card = card or {}
        self.sent_bytes = 0
        self.gated = False
        hub = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def do_HEAD(self) -> None:
                hub.answer(self, with_body=False)

            def do_GET(self) -> None:
                hub.answer(self, with_body=True)

            def do_POST(self) -> None:
                given = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                hub.paths(self, given)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def revision(self, text: str) -> Path | None:
        """The folder of a revision."""
        name = {"main": "main", "refs/convert/parquet": "convert", COMMIT: "main", COMMIT[::-1]: "convert"}.get(unquote(text))
        return self.folder / name if name and (self.folder / name).is_dir() else None

    def answer(self, request: BaseHTTPRequestHandler, *, with_body: bool) -> None:
        """Answer a question about the data set, or send a file of it."""
        path = urlsplit(request.path).path
        if match := re.fullmatch(r"/api/datasets/own/set(?:/revision/(.+))?", path):
            self._describe(request, self.revision(match.group(1) or "main"))
        elif match := re.fullmatch(r"/api/datasets/own/set/tree/([^/]+)(?:/(.*))?", path):
            root = self.revision(match.group(1))
            assert root is not None
            found = [self._entry(root, file) for file in sorted((root / unquote(match.group(2) or "")).iterdir())]
            self._send(request, 200, json.dumps(found).encode(), "application/json")
        elif match := re.fullmatch(r"/datasets/own/set/resolve/([^/]+)/(.+)", path):
            root = self.revision(match.group(1))
            assert root is not None
            self._file(request, root / unquote(match.group(2)), with_body=with_body)
        else:
            self._send(request, 404, b"", "text/plain", {"X-Error-Code": "RepoNotFound"})

    def paths(self, request: BaseHTTPRequestHandler, given: bytes) -> None:
        """Answer what is at some paths."""
        match = re.fullmatch(r"/api/datasets/own/set/paths-info/([^/]+)", urlsplit(request.path).path)
        root = self.revision(match.group(1)) if match else None
        assert root is not None
        text = given.decode()
        names = json.loads(text)["paths"] if text.startswith("{") else [unquote(one) for one in re.findall(r"paths=([^&]+)", text)]
        found = [self._entry(root, root / name) for name in ([names] if isinstance(names, str) else names) if (root / name).exists()]
        self._send(request, 200, json.dumps(found).encode(), "application/json")

    def _describe(self, request: BaseHTTPRequestHandler, root: Path | None) -> None:
        if self.gated:
            self._send(request, 403, b"", "text/plain", {"X-Error-Code": "GatedRepo"})
        elif root is None:
            self._send(request, 404, b"", "text/plain", {"X-Error-Code": "RevisionNotFound"})
        else:
            files = [path for path in sorted(root.rglob("*")) if path.is_file()]
            siblings = [{"rfilename": path.relative_to(root).as_posix(), "size": path.stat().st_size, "blobId": "0"} for path in files]
            sha = COMMIT if root.name == "main" else COMMIT[::-1]
            about = {"id": "own/set", "sha": sha, "siblings": siblings, "cardData": self.card, "tags": []}
            self._send(request, 200, json.dumps(about).encode(), "application/json")

    def _entry(self, root: Path, path: Path) -> dict[str, object]:
        kind = "directory" if path.is_dir() else "file"
        return {"type": kind, "path": path.relative_to(root).as_posix(), "size": path.stat().st_size, "oid": "0" * 40}

    def _file(self, request: BaseHTTPRequestHandler, path: Path, *, with_body: bool) -> None:
        data = path.read_bytes()
        headers = {"ETag": '"0"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        status, size = 200, len(data)
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", "")):
            first, last = int(match.group(1)), int(match.group(2) or size - 1)
            data, status = data[first : last + 1], 206
            headers["Content-Range"] = f"bytes {first}-{first + len(data) - 1}/{size}"
        self.sent_bytes += len(data) if with_body else 0
        self._send(request, status, data, "application/octet-stream", headers, with_body=with_body)

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        data: bytes,
        kind: str,
        headers: dict[str, str] | None = None,
        *,
        with_body: bool = True,
    ) -> None:
        request.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}.items():
            request.send_header(name, value)
        request.end_headers()
        if with_body:
            request.wfile.write(data)
