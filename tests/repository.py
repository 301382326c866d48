"""A hub in miniature that takes a model: it makes a repository, and keeps what each commit brings."""

import base64
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Repository:
    """Answers as the hub does when a model is pushed. is_public: it is there already, for all to read. refuses: lets nobody write."""

    def __init__(self, *, is_public: bool = False, refuses: bool = False):
        self.is_public, self.refuses = is_public, refuses
        self.made: list[dict[str, object]] = []
        self.commits: list[dict[str, bytes]] = []
        self.tokens: set[str] = set()
        hub = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                about = {"id": "me/zorb", "sha": "0" * 40, "private": not hub.is_public, "tags": [], "siblings": []}
                hub.say(self, 200, about)

            def do_POST(self) -> None:
                hub.tokens.add(self.headers.get("Authorization", ""))
                hub.take(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def take(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Answer what is sent."""
        path = urlsplit(request.path).path
        if self.refuses:
            self.say(request, 403, {"error": "this token may not write"})
        elif path == "/api/repos/create":
            self.made.append(json.loads(body))
            self.say(request, 200, {"url": f"{self.address}/me/zorb"})
        elif path == "/api/validate-yaml":
            self.say(request, 200, {"errors": [], "warnings": []})
        elif re.fullmatch(r"/api/models/me/zorb/preupload/main", path):
            modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in json.loads(body)["files"]]
            self.say(request, 200, {"files": modes})
        else:
            assert path == "/api/models/me/zorb/commit/main", path
            lines = [json.loads(line) for line in body.splitlines()]
            files = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"}
            self.commits.append(files)
            self.say(request, 200, {"commitUrl": f"{self.address}/me/zorb/commit/1", "commitOid": "1" * 40, "pullRequestUrl": None})

    def say(self, request: BaseHTTPRequestHandler, status: int, told: object) -> None:
        """Send JSON."""
        data = json.dumps(told).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)
