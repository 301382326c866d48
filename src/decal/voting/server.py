"""Serves the page of votes to this machine alone.

Only the loopback address is listened on, and the address holds a token that no other site or user can guess. The Host header must name this
server, so that a name which another site points here is refused, and a form that another site sends is refused by its Origin. Requests are
small and short; whoever sends more is cut off.
"""

import hmac
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import get_args
from urllib.parse import parse_qs, urlsplit

from decal.errors import ProjectError
from decal.records import Answer
from decal.voting import page
from decal.voting.box import Box

LOOPBACK = "127.0.0.1"
MAX_FORM_BYTES, MAX_FIELDS = 2048, 8
WAIT_SECONDS = 0.3
"""How long one look for a request takes, and so how soon a stop is heard."""
PATIENCE_SECONDS = 2.0
"""How long a silent connection is kept; browsers open some in advance."""


class Server:
    """A running page of votes. address: what to open in a browser."""

    def __init__(self, box: Box, port: int) -> None:
        self._token = secrets.token_urlsafe(16)
        token = self._token

        class Bound(_Handler):
            pass

        Bound.box, Bound.token = box, token
        try:
            self._http = ThreadingHTTPServer((LOOPBACK, port), Bound)
        except OSError as problem:
            raise ProjectError(
                f"The page cannot be served on port {port} ({problem.strerror}).\nTake another with --port, or leave it out for a free one."
            ) from problem
        Bound.port = str(self._http.server_port)
        # Threads are waited for at the end, so that the last page is sent whole.
        self._http.daemon_threads = False
        self._http.timeout = WAIT_SECONDS

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self._http.server_port}/{self._token}/"

    def serve(self) -> None:
        """Answer a request, or wait a moment for one."""
        self._http.handle_request()

    def close(self) -> None:
        """Answer what was asked and stop."""
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    box: Box
    token: str
    port: str
    timeout = PATIENCE_SECONDS
    server_version, sys_version = "Decal", ""

    def do_GET(self) -> None:
        """Show the next question, or with ?back the last one again."""
        if self._is_let_in():
            self._show(is_back=urlsplit(self.path).query == "back")

    def do_POST(self) -> None:
        """Keep an answer and show the next question."""
        if not self._is_let_in() or not self._is_own_form():
            return
        form = self._form()
        if form is None:
            return
        answer = next((one for one in get_args(Answer) if one == form.get("answer")), None)
        if answer is None:
            self._refuse(HTTPStatus.BAD_REQUEST, "This is no answer.")
            return
        self.box.cast(form.get("ballot", ""), answer, again=form.get("again") == "yes")
        # After a redirect, loading the page again asks for the next question and sends no answer.
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", f"/{self.token}/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the address in a log would let others in."""

    def _is_let_in(self) -> bool:
        host, _, port = (self.headers.get("Host") or "").rpartition(":")
        if host not in (LOOPBACK, "localhost") or port != self.port:
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "Not served under this name.")
            return False
        if not hmac.compare_digest(urlsplit(self.path).path.encode(), f"/{self.token}/".encode()):
            self._refuse(HTTPStatus.NOT_FOUND, "The address is not whole. Copy it from the terminal.")
            return False
        return True

    def _is_own_form(self) -> bool:
        """Whether an answer comes from this page and not from another site."""
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site")
        if origin not in (None, f"http://{self.headers['Host']}") or site not in (None, "same-origin"):
            self._refuse(HTTPStatus.FORBIDDEN, "Answers are taken from this page only.")
            return False
        return True

    def _form(self) -> dict[str, str] | None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_FORM_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This is no answer.")
            return None
        try:
            fields = parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace"), max_num_fields=MAX_FIELDS)
        except ValueError:
            self._refuse(HTTPStatus.BAD_REQUEST, "This is no answer.")
            return None
        return {name: values[-1] for name, values in fields.items()}

    def _show(self, *, is_back: bool) -> None:
        box, nonce = self.box, secrets.token_urlsafe(12)
        last = box.last()
        ballot = last if is_back and last is not None else box.next()
        if ballot is None:
            self._send(HTTPStatus.OK, page.end(box.given), "")
            box.has_said_goodbye = True
            return
        again = ballot is last
        number = box.given if again else box.given + 1
        text = page.question(ballot, number, box.wanted, again=again, can_go_back=last is not None and not again, nonce=nonce)
        self._send(HTTPStatus.OK, text, nonce)

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        self.close_connection = True
        self._send(status, page.refusal(words), "")

    def _send(self, status: HTTPStatus, text: str, nonce: str) -> None:
        data = text.encode()
        script = f"'nonce-{nonce}'" if nonce else "'none'"
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        # Not no-referrer: with it, browsers send no Origin with the form.
        self.send_header("Referrer-Policy", "same-origin")
        self.send_header(
            "Content-Security-Policy",
            f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {script}; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'",
        )
        self.end_headers()
        self.wfile.write(data)
