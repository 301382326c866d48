"""A server on loopback that behaves as it is told, one behaviour a request: what real servers were seen to do when they fail."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Reply:
    """status and body of an answer. drip_seconds: pause after each byte of the body."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)
    drip_seconds: float = 0.0


Behaviour = Reply | Callable[[dict[str, object]], Reply]


def said(content: object, **choice: object) -> Reply:
    """A chat answer with this content: a text, or anything else as JSON."""
    text = content if isinstance(content, str) else json.dumps(content)
    return Reply(200, json.dumps({"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"} | choice]}))


def failed(status: int, message: str, **headers: str) -> Reply:
    """An error as OpenAI words it."""
    return Reply(status, json.dumps({"error": {"message": message, "type": "error"}}), {k.replace("_", "-"): v for k, v in headers.items()})


@dataclass
class Served:
    """Where the server is, and what it was asked: path, headers and body of each request."""

    url: str
    requests: list[tuple[str, dict[str, str], dict[str, object]]]


@contextmanager
def serving(*behaviours: Behaviour) -> Iterator[Served]:
    """The server; the last behaviour goes on for ever."""
    left = list(behaviours)
    requests: list[tuple[str, dict[str, str], dict[str, object]]] = []
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with turn:
                requests.append((self.path, dict(self.headers), body))
                behaviour = left.pop(0) if len(left) > 1 else left[0]
            reply = behaviour if isinstance(behaviour, Reply) else behaviour(body)
            data = reply.body.encode("utf-8", "surrogatepass")
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for byte in data if reply.drip_seconds else []:
                    self.wfile.write(bytes([byte]))
                    time.sleep(reply.drip_seconds)
                if not reply.drip_seconds:
                    self.wfile.write(data)
            except OSError:
                pass  # The client had enough.

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_port}/v1", requests)
    finally:
        server.shutdown()
        server.server_close()
