"""Pictures of posts: only pictures on public hosts are asked for, and whatever a host does ends in a status."""

import contextlib
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from typed import Call

from decal import project, workflow
from decal.pictures import shape_for
from decal.posts.crops import crops, nearest_shape
from decal.posts.downloads import Address, Downloader, _Pinned, is_public
from decal.project import Project
from decal.records import PostPicture, PostRow
from decal.settings import read


def png(colour: str = "red") -> bytes:
    data = BytesIO()
    Image.new("RGB", (60, 40), colour).save(data, "PNG")
    return data.getvalue()


def on_loopback(address: Address, port: int) -> bool:
    return address.is_loopback and port > 1024


# What the host answers by path: status, headers, body.
ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/1.png": (200, {"Content-Type": "image/png"}, png()),
    "/noai": (200, {"Content-Type": "image/png", "X-Robots-Tag": "somebot: noai, noimageai"}, png()),
    "/page": (200, {"Content-Type": "text/html"}, b"<html>"),
    "/fake": (200, {"Content-Type": "image/png"}, b"no picture at all"),
    "/loop": (302, {"Location": "/loop"}, b""),
    "/to-1": (302, {"Location": "/1.png"}, b""),
    "/to-10": (302, {"Location": "http://10.0.0.1/secret.png"}, b""),
    "/gone": (404, {}, b""),
    "/large": (200, {"Content-Type": "image/png", "Content-Length": "99999999"}, png()),
    "/endless": (200, {"Content-Type": "image/png", "Content-Length": "300000"}, b"0" * 300_000),
    "/slow": (200, {"Content-Type": "image/png", "Drip": "0.05"}, png()),
    "/flaky": (200, {"Content-Type": "image/png"}, png()),
}


@contextmanager
def hosting() -> Iterator[tuple[str, list[str]]]:
    """A host on loopback with good and bad answers; its address, and the paths it was asked for. The first time, `/flaky` fails."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_first, path = self.path not in asked, self.path.partition("?")[0]
            asked.append(self.path)
            status, headers, body = ANSWERS[path] if path != "/flaky" or not is_first else (500, {}, b"")
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # The client had enough.
                for byte in body if "Drip" in headers else b"":
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.05)
                self.wfile.write(b"" if "Drip" in headers else body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


HOSTILE = (
    "http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://0.0.0.0/", "http://10.0.0.1/", "http://192.168.1.1/x.png",
    "http://169.254.169.254/latest/meta-data/", "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/",
    "http://2130706433/", "http://0x7f.1/", "http://[fe80::1]/", "http://[fec0::1]/", "http://100.64.0.1/", "http://224.0.0.1/", "http://93.184.216.34:22/",
    "file:///etc/passwd", "ftp://example.com/x.png", "http://user:word@93.184.216.34/", "http://93.184.216.34/a\r\nHost: x",
)  # fmt: skip


def test_hostile_addresses_are_refused_without_a_connection() -> None:
    began = time.monotonic()
    downloader = Downloader()  # whose list of certificates takes a tenth of a CPU second to read
    found = [downloader.get(url) for url in HOSTILE]
    assert len(found) == 21
    assert {one.status for one in found} == {"refused"}
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("address", "port", "may"), [("93.184.216.34", 443, True), ("93.184.216.34", 8080, False), ("2606:2800:220:1::1", 80, True)]
)
def test_only_public_web_servers_may_be_connected_to(address: str, port: int, may: bool) -> None:
    assert is_public(ipaddress.ip_address(address), port) is may


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/1.png", "there", ""),
        ("/to-1", "there", ""),
        ("/gone", "gone", "HTTP 404"),
        ("/noai", "noai", "the host asks not to use it for training"),
        ("/page", "refused", "no picture but text/html"),
        ("/large", "refused", "99,999,999 bytes, the limit is 200,000"),
        ("/endless", "refused", "300,000 bytes, the limit is 200,000"),
        ("/loop", "refused", "more than 5 redirects"),
        ("/flaky", "failed", "HTTP 500"),
        ("/slow", "failed", "no answer in 1 s"),
    ],
)
def test_whatever_a_host_does_ends_in_a_status(path: str, status: str, reason: str) -> None:
    with hosting() as (url, _):
        got = Downloader(may_connect=on_loopback, seconds=1, max_bytes=200_000).get(f"{url}{path}")
    assert (got.status, got.reason, got.data == png()) == (status, reason, status == "there")


def test_an_answer_that_comes_byte_by_byte_ends_in_time_wherever_it_drips() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):  # The client had enough.
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1;")
                for _ in range(100):  # The length of a chunk, read as one line.
                    connection.sendall(b"a")
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        got = Downloader(may_connect=on_loopback, seconds=0.5).get(f"http://127.0.0.1:{server.getsockname()[1]}/")
    assert (got.status, got.reason) == ("failed", "no answer in 0.5 s")
    assert time.monotonic() - began < 3


def test_waiting_for_a_turn_at_a_host_does_not_count() -> None:
    with hosting() as (url, _):
        downloader = Downloader(may_connect=on_loopback, seconds=0.5)
        with ThreadPoolExecutor(8) as pool:
            # Two at a time with 0.1 s between them, so the last one waits for longer than a picture may take.
            found = list(pool.map(downloader.get, [f"{url}/1.png?{number}" for number in range(8)]))
    assert [one.status for one in found] == ["there"] * 8


def test_the_usual_port_is_not_told_to_a_host() -> None:
    here, there = socket.socketpair()
    with here, there:
        connection = _Pinned("pictures.example", 443, ipaddress.ip_address("127.0.0.1"), 1, ssl.create_default_context())
        connection.sock = here
        connection.request("GET", "/")
        assert b"Host: pictures.example\r\n" in there.recv(1000)


def test_a_redirect_to_another_network_is_looked_at_again() -> None:
    with hosting() as (url, asked):
        got = Downloader(may_connect=on_loopback).get(f"{url}/to-10")
    assert (got.status, asked) == ("refused", ["/to-10"])
    assert got.reason == "10.0.0.1 is at 10.0.0.1 port 80, which is no public web server"


def test_the_connection_goes_to_the_address_that_was_looked_at() -> None:
    looked_up: list[str] = []

    def resolve(host: str, port: int) -> list[Address]:
        looked_up.append(host)
        return [ipaddress.ip_address("127.0.0.1")]

    # No name server knows this name, so a second look at it, which could tell another address, would find nothing.
    with hosting() as (url, _):
        got = Downloader(may_connect=on_loopback, resolve=resolve).get(url.replace("127.0.0.1", "rebinding.invalid") + "/1.png")
    assert (got.status, looked_up) == ("there", ["rebinding.invalid"])


def test_nothing_is_downloaded_twice_and_what_failed_is_asked_for_again(tmp_path: Path) -> None:
    with hosting() as (url, asked):
        at = posts(tmp_path, [f"{url}/1.png", f"{url}/gone", f"{url}/flaky", f"{url}/fake", f"{url}/1.png?again"])
        downloader = Downloader(may_connect=on_loopback)
        list(workflow.get_pictures(at, None, downloader, lambda: False))
        assert [one.status for one in pictures(at)] == ["there", "gone", "failed", "refused", "there"]
        list(workflow.get_pictures(at, None, downloader, lambda: False))
        list(workflow.get_pictures(at, None, downloader, lambda: False))
    assert [one.status for one in pictures(at)] == ["there", "gone", "there", "refused", "there"]
    assert sorted(asked) == ["/1.png", "/1.png?again", "/fake", "/flaky", "/flaky", "/gone"]
    assert len(list((at.posts / "files").glob("*/*.png"))) == 1


def test_pictures_come_from_a_folder_by_the_names_in_their_addresses(tmp_path: Path, call: Call) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given/EpX.jpg").write_bytes(png())
    at = posts(tmp_path, ["https://pictures.example/media/EpX?format=jpg&name=large", "https://pictures.example/other.png"])
    code, out, _ = call("posts", "media", at.folder, "--from", tmp_path / "given")
    assert (code, [one.status for one in pictures(at)]) == (0, ["there", "gone"])
    assert "1 there, 1 gone" in out


def test_what_a_folder_had_stays_when_the_rest_is_downloaded(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given/mine.png").write_bytes(png("blue"))
    with hosting() as (url, asked):
        at = posts(tmp_path, [f"{url}/1.png", "https://pictures.example/mine.png"])
        for folder in (tmp_path / "given", None, tmp_path / "given"):
            list(workflow.get_pictures(at, folder, Downloader(may_connect=on_loopback), lambda: False))
    assert [(one.number, one.status) for one in pictures(at)] == [(1, "there"), (2, "there")]
    assert asked == ["/1.png"]


def test_a_data_set_is_built_checked_and_not_built_again(tmp_path: Path, call: Call) -> None:
    (tmp_path / "given").mkdir()
    for number in range(60):
        dice = Image.effect_noise((96 + number, 96), 60 + number)
        dice.convert("RGB").save(tmp_path / f"given/{number}.png")
    at = posts(tmp_path, [f"https://pictures.example/{number}.png" for number in range(60)])
    call("posts", "plan", at.folder)
    call("posts", "media", at.folder, "--from", tmp_path / "given")
    assert call("posts", "build", at.folder)[0] == 0
    lines = [json.loads(line) for line in (at.dataset / "metadata.jsonl").read_text("utf-8").splitlines()]
    assert 0 < len(lines) < 60
    assert all((at.dataset / line["file_name"]).is_file() and line["provenance"]["made_by"] == "taken from a post" for line in lines)
    assert call("check", at.folder)[0] == 0
    before = (at.dataset / "metadata.jsonl").stat().st_mtime_ns
    assert "all there already" in call("posts", "build", at.folder)[1]
    assert (at.dataset / "metadata.jsonl").stat().st_mtime_ns == before


def test_metadata_that_somebody_edited_is_left_alone(tmp_path: Path, call: Call) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given/0.png").write_bytes(png())
    at = posts(tmp_path, ["https://pictures.example/0.png"])
    for words in (["plan"], ["media", "--from", tmp_path / "given"], ["build"]):
        call("posts", words[0], at.folder, *words[1:])
    (at.dataset / "metadata.jsonl").write_text('{"file_name": "00000/0000001.png", "text": "mine"}\n')
    call("posts", "plan", at.folder, "--set", "posts.seed=1")
    code, _, err = call("posts", "build", at.folder, "--set", "posts.seed=1", "--set", "caption.template=a {subject}")
    assert (code, "made with other settings" in err) == (1, True)
    call("posts", "plan", at.folder, "--set", "caption.template=a {subject}")
    code, _, err = call("posts", "build", at.folder, "--set", "caption.template=a {subject}")
    assert (code, "was changed since it was built" in err) == (1, True)
    assert "mine" in (at.dataset / "metadata.jsonl").read_text()


def test_crops_hold_what_is_to_be_seen() -> None:
    picture = Image.new("RGB", (400, 100), "white")
    picture.paste(Image.effect_noise((90, 90), 90).convert("RGB"), (305, 5))
    left, top, right, bottom = crops(picture)["1:1"]
    assert (top, right - left, bottom) == (0, 100, 100)
    assert left <= 305 <= 395 <= right
    assert [nearest_shape(1200, 675), nearest_shape(500, 500), nearest_shape(400, 500)] == ["16:9", "1:1", "4:5"]


def test_the_crops_become_the_three_shapes_that_training_takes(tmp_path: Path, call: Call) -> None:
    shapes = {"wide.png": (300, 100), "square.png": (90, 90), "upright.gif": (60, 120), "card.jpg": (320, 180)}
    (tmp_path / "pictures").mkdir()
    for name, size in shapes.items():
        Image.effect_noise(size, 90).save(tmp_path / "pictures" / name)
    at = posts(tmp_path, [f"https://pictures.example/{name}" for name in shapes])
    for words in (["plan"], ["media", "--from", tmp_path / "pictures"], ["build"]):
        assert call("posts", words[0], at.folder, *words[1:])[0] == 0
    rows = project.read(at.posts / "built/00000.jsonl", PostRow)
    assert [(row.file[-4:], row.shape, row.width_px, row.height_px, row.cut is None) for row in rows] == [
        (".png", "16:9", 178, 100, False), (".png", "1:1", 90, 90, True), (".png", "4:5", 60, 75, False), (".jpg", "16:9", 320, 180, True)
    ]  # fmt: skip
    assert [Image.open(at.dataset / row.file).size for row in rows] == [(row.width_px, row.height_px) for row in rows]
    settings = read(at.settings)
    told = {shape_for(row.width_px, row.height_px, 512, settings.data.fit) for row in rows}
    assert told == {(512, 512), (640, 384), (448, 576)}


def posts(folder: Path, urls: list[str]) -> Project:
    """A project of posts with these pictures."""
    things = ("pizza", "penguin", "bicycle", "rainbow", "guitar", "tulip")
    lines = [
        {"content": f"Look at our {things[number % 6]} {number * 7919}", "media": [url], "username": f"shop{number % 12}", "likes": number,
         "date": f"2020-01-{number % 28 + 1:02}"}
        for number, url in enumerate(urls)
    ]  # fmt: skip
    (folder / "shop.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    order = workflow.PostOrder(folder / "shop.jsonl", {})
    at = workflow.begin_posts(folder / "shop", order)
    list(workflow.import_posts(at, workflow.settings_of(at, []), order, lambda: False))
    return at


def pictures(at: Project) -> list[PostPicture]:
    return [PostPicture.model_validate_json(line) for line in (at.posts / "pictures/00000.jsonl").read_text("utf-8").splitlines()]
