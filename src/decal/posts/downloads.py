"""Addresses of strangers -> the bytes of pictures, politely and safely.

Nothing but pictures on public hosts is ever asked for: the name is resolved first, every address behind it must be global, and the
connection goes to the very address that was looked at, again for each redirect. So no post can make this machine talk to its own network. A
host gets few connections at a time with a pause between them, `noai` in its headers is honoured, and every limit ends in a status with a
reason.
"""

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urljoin, urlsplit

from decal.wording import printable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Status = Literal["there", "gone", "noai", "refused", "failed"]

USER_AGENT = "decal (a picture a post, noai honoured)"
PORTS = (80, 443)
REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 5
# A photograph of a phone has 5 MB, one of a good camera 15.
MAX_BYTES = 30 * 2**20
SECONDS = 30.0
AT_ONCE_A_HOST, PAUSE_SECONDS = 2, 0.1
LONGEST_WAIT_SECONDS = 30.0
# NAT64 carries an IPv4 address inside an IPv6 one that is global by itself.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
NOAI = re.compile(r"\b(noai|noimageai)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Got:
    """What came of an address. reason: why there is nothing. failed ones may go well another time; all others stay as they are."""

    status: Status
    reason: str = ""
    data: bytes = b""


def is_public(address: Address, port: int) -> bool:
    """Whether strangers may make this machine connect there: a global address, and a port of web pages."""
    return port in PORTS and all(_is_public(one) for one in (address, _inner(address)))


def _is_public(address: Address) -> bool:
    # Python calls the old addresses of sites, fec0::/10, global.
    is_of_a_site = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not (address.is_multicast or address.is_reserved or is_of_a_site)


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one carries inside, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or (address.teredo[1] if address.teredo else None) or address.sixtofour or address


def look_up(host: str, port: int) -> list[Address]:
    """All addresses of a host. Raises OSError where it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


class Downloader:
    """Gets pictures, from several threads at a time.

    may_connect: which addresses may be connected to. resolve: the addresses of a name. Only tests give others than these, so that they can
    use loopback; no setting, option or environment variable leads here. seconds: for one picture, redirects included, waiting for a turn
    at its host not.
    """

    def __init__(
        self,
        *,
        may_connect: Callable[[Address, int], bool] = is_public,
        resolve: Callable[[str, int], list[Address]] = look_up,
        seconds: float = SECONDS,
        max_bytes: int = MAX_BYTES,
    ):
        self._may_connect = may_connect
        self._resolve = resolve
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._hosts: dict[str, _Host] = {}
        self._guard = threading.Lock()
        self._tls = ssl.create_default_context()

    def get(self, url: str) -> Got:
        """The picture at an address, or why there is none; never raises for what a host or an address does."""
        until = time.monotonic() + self._seconds
        try:
            for _ in range(MAX_REDIRECTS + 1):
                parts, port = _checked(url)
                address = self._resolved(parts.hostname or "", port)
                asked = time.monotonic()
                with self._host(parts.hostname or ""):
                    until += time.monotonic() - asked
                    answer = self._once(parts, port, address, until)
                if isinstance(answer, Got):
                    return answer
                url = urljoin(url, answer)
        except _Refused as problem:
            return Got("refused", str(problem))
        except (OSError, http.client.HTTPException, ValueError) as problem:
            late = time.monotonic() >= until or isinstance(problem, TimeoutError)
            return Got("failed", f"no answer in {self._seconds:g} s" if late else printable(f"no connection ({problem})")[:200])
        return Got("refused", f"more than {MAX_REDIRECTS} redirects")

    def _once(self, parts: SplitResult, port: int, address: Address, until: float) -> "Got | str":
        """One request: what came of it, or where it sends on to."""
        host = parts.hostname or ""
        connection = _Pinned(host, port, address, max(0.1, until - time.monotonic()), self._tls if parts.scheme == "https" else None)
        # The timeout of a socket is one of each read; a host that sends a byte a second needs a clock of its own.
        watchdog = threading.Timer(max(0.1, until - time.monotonic()), connection.cut)
        watchdog.daemon = True
        watchdog.start()
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {"User-Agent": USER_AGENT, "Accept": "image/*", "Accept-Encoding": "identity", "Connection": "close"}
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            if response.status in REDIRECTS and (where := response.headers.get("Location")):
                return where
            return self._answer(response, until, host)
        finally:
            watchdog.cancel()
            connection.close()

    def _answer(self, response: http.client.HTTPResponse, until: float, host: str) -> Got:
        said = " ".join(response.headers.get_all("X-Robots-Tag", []))
        if NOAI.search(said) or (response.headers.get("TDM-Reservation") or "").strip() == "1":
            return Got("noai", "the host asks not to use it for training")
        if response.status in (429, 503):
            self._host(host).slow_down(response.headers.get("Retry-After"))
            return Got("failed", f"HTTP {response.status}, the host asks for patience")
        if response.status != 200:
            return Got("failed" if response.status >= 500 else "gone", f"HTTP {response.status}")
        kind = (response.headers.get("Content-Type") or "image/").split(";")[0].strip().lower()
        if not kind.startswith("image/") and kind not in ("application/octet-stream", "binary/octet-stream"):
            return Got("refused", f"no picture but {printable(kind)[:60]}")
        return self._body(response, until)

    def _body(self, response: http.client.HTTPResponse, until: float) -> Got:
        """The bytes of an answer, within their size and time."""
        if (length := response.headers.get("Content-Length", "")).isdigit() and int(length) > self._max_bytes:
            return Got("refused", f"{int(length):,} bytes, the limit is {self._max_bytes:,}")
        data = bytearray()
        while chunk := response.read1(2**16):
            data += chunk
            if len(data) > self._max_bytes:
                return Got("refused", f"more than {self._max_bytes:,} bytes")
            if time.monotonic() >= until:
                raise TimeoutError
        # A connection that was cut looks like the end of a body of unknown length.
        if time.monotonic() >= until:
            raise TimeoutError
        if response.length:
            return Got("failed", "the connection broke off")
        return Got("there", data=bytes(data))

    def _resolved(self, host: str, port: int) -> Address:
        """The address to connect to. Raises _Refused where any address of the host is not public."""
        addresses = self._resolve(host, port)
        for address in addresses:
            if not self._may_connect(address, port):
                raise _Refused(f"{printable(host)[:100]} is at {address} port {port}, which is no public web server")
        return addresses[0]

    def _host(self, host: str) -> "_Host":
        with self._guard:
            return self._hosts.setdefault(host, _Host())


class _Refused(Exception):
    """An address that is not asked."""


class _Host:
    """Lets few requests at a time through to one host, with a pause between them."""

    def __init__(self) -> None:
        self._places = threading.Semaphore(AT_ONCE_A_HOST)
        self._guard = threading.Lock()
        self._next = 0.0

    def slow_down(self, retry_after: str | None) -> None:
        """Let the host be for as long as it asks, or for a while."""
        seconds = float(retry_after) if retry_after and re.fullmatch(r"\d{1,6}", retry_after.strip()) else 5.0
        with self._guard:
            self._next = max(self._next, time.monotonic() + min(seconds, LONGEST_WAIT_SECONDS))

    def __enter__(self) -> None:
        self._places.acquire()
        with self._guard:
            wait = max(0.0, self._next - time.monotonic())
            self._next = time.monotonic() + wait + PAUSE_SECONDS
        time.sleep(wait)

    def __exit__(self, *_: object) -> None:
        self._places.release()


class _Pinned(http.client.HTTPConnection):
    """A connection to one address, whatever the name of the host means a moment later."""

    def __init__(self, host: str, port: int, address: Address, timeout: float, tls: ssl.SSLContext | None):
        super().__init__(host, port, timeout=timeout)
        self._address = str(address)
        self._context = tls
        self._watched: socket.socket | None = None
        if tls is not None:
            # Else the port is written behind the name of the host, which signed addresses do not have.
            self.default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        """Connect to the address that was looked at, with the certificate of the host."""
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        self._watched = self.sock
        if self._context is not None:
            self.sock = self._watched = self._context.wrap_socket(self.sock, server_hostname=self.host)

    def cut(self) -> None:
        """End the connection at once, from another thread."""
        # Where an answer ends with its connection, http.client has let go of the socket, but the body still comes through it.
        if self._watched is not None:
            try:
                self._watched.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


def _checked(url: str) -> tuple[SplitResult, int]:
    """The parts of an address and its port. Raises _Refused where it is none of a web page."""
    if any(ord(letter) <= 32 or ord(letter) == 127 for letter in url) or len(url) > 4096:
        raise _Refused("an address with spaces or control characters, or of more than 4,096 characters")
    if not url.isascii():
        raise _Refused("an address with characters that no address has")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        raise _Refused(f"no address ({problem})") from problem
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _Refused(f"{printable(parts.scheme or 'no scheme')[:20]} instead of http or https")
    if parts.username is not None or parts.password is not None:
        raise _Refused("an address with a name or a password in it")
    if port == 0:
        raise _Refused("port 0")
    return parts, port or (443 if parts.scheme == "https" else 80)
