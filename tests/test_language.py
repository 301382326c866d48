"""The language client against servers on loopback: faults as they were recorded, answers of no use, secrets, stopping."""

import json
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from pydantic import BaseModel
from servers import Behaviour, Reply, failed, said, serving

from decal.errors import AnswerError, LanguageError, SettingsError, StoppedError
from decal.language import Client, Phrase, Prompt, plain_text
from decal.settings import LanguageSettings, parse

PROMPT = Prompt("You name animals.", "Name one.")


class Animal(BaseModel):
    name: Phrase
    legs: int


FOX = {"name": "a fox", "legs": 4}


def after(seconds: float) -> Behaviour:
    def answer(_body: dict[str, object]) -> Reply:
        time.sleep(seconds)
        return said(FOX)

    return answer


def ask(cache: Path, *behaviours: Behaviour, retries: int = 3, timeout: float = 5.0) -> tuple[Animal | str, int]:
    """What a client makes of a server's behaviours, the error's text where there is one, and how often it asked."""
    with serving(*behaviours) as served:
        client = Client(LanguageSettings(endpoint=served.url, model="m", retries=retries, timeout_seconds=timeout), cache)
        try:
            return client.complete(PROMPT, Animal), len(served.requests)
        except LanguageError as problem:
            return str(problem), len(served.requests)


@pytest.mark.parametrize(
    "fault",
    [
        failed(429, "rate limited", Retry_After="0"),
        failed(500, "internal error"),
        failed(503, "loading model"),
        Reply(200, "<html>not JSON"),
        Reply(200, '{"object": "chat.completion"}'),
        Reply(200, "[]"),
        said('{"name": "a fox", "legs"'),
        said("I am happy to help!"),
        said({"name": "a fox"}),
        said({"name": "a fox\u202eevil", "legs": 4}),
        said({"name": "x" * 401, "legs": 4}),
        said(""),
    ],
)
def test_a_fault_is_asked_again_and_only_a_valid_answer_comes_out(fault: Reply, tmp_path: Path) -> None:
    assert ask(tmp_path, fault, said(FOX)) == (Animal(name="a fox", legs=4), 2)


def test_json_between_fences_and_pleasantries_is_found(tmp_path: Path) -> None:
    assert ask(tmp_path, said(f"Sure!\n```json\n{json.dumps(FOX)}\n```"))[0] == Animal(name="a fox", legs=4)


def test_the_complaint_about_an_answer_is_told_to_the_model(tmp_path: Path) -> None:
    with serving(said({"name": "a fox", "legs": "four"}), said(FOX)) as served:
        Client(LanguageSettings(endpoint=served.url), tmp_path).complete(PROMPT, Animal)
        messages = served.requests[1][2]["messages"]
    assert isinstance(messages, list)
    assert messages[-1]["content"].startswith("Your last answer could not be used: legs: Input should be a valid integer")


def test_retries_end(tmp_path: Path) -> None:
    told, asked = ask(tmp_path, failed(500, "no"), retries=1)
    assert (asked, "HTTP 500, no (2 tries)" in str(told)) == (2, True)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (failed(401, "wrong key"), "the key was not accepted"),
        (failed(404, "no such model"), "Check language.endpoint"),
        (failed(400, "content too long"), "the question was refused (HTTP 400, content too long)"),
        (failed(429, "insufficient_quota: pay"), "the question was refused"),
        (failed(429, "later", Retry_After="3600"), "it asks to wait 3600 s"),
        (Reply(302, "", {"Location": "https://elsewhere.example/v1"}), "it sends on to https://elsewhere.example/v1"),
        (said("", message={"refusal": "I cannot do that"}), "the model refused (I cannot do that)"),
        (said("", finish_reason="content_filter"), "the model refused"),
    ],
)
def test_what_asking_again_cannot_mend_is_told_at_once(fault: Reply, told: str, tmp_path: Path) -> None:
    problem, asked = ask(tmp_path, fault)
    assert (asked, told in str(problem)) == (1, True), problem


def test_retry_after_is_honoured_as_seconds_and_as_a_date(tmp_path: Path) -> None:
    begun = time.monotonic()
    date = formatdate(time.time() + 3, usegmt=True)  # whole seconds, so 2 to 3 of them
    assert ask(tmp_path, failed(429, "slow", Retry_After="1"), failed(503, "slow", Retry_After=date), said(FOX))[1] == 3
    assert 1.9 <= time.monotonic() - begun < 6


@pytest.mark.parametrize("slow", [Reply(200, " " * 1000, drip_seconds=0.05), after(1.5)])
def test_a_slow_answer_ends_at_the_timeout(slow: Behaviour, tmp_path: Path) -> None:
    begun = time.monotonic()
    assert "no answer in 0.5 s" in str(ask(tmp_path, slow, retries=0, timeout=0.5)[0])
    assert time.monotonic() - begun < 1.4


def test_an_endless_answer_is_cut(tmp_path: Path) -> None:
    assert "longer than 4,194,304 bytes" in str(ask(tmp_path, Reply(200, "x" * 5_000_000), retries=0)[0])


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    client = Client(LanguageSettings(endpoint="http://127.0.0.1:9/v1", retries=0), tmp_path)
    with pytest.raises(LanguageError, match="no connection"):
        client.complete(PROMPT, Animal)


def test_fields_that_a_server_does_not_know_are_left_out_from_then_on(tmp_path: Path) -> None:
    def picky(body: dict[str, object]) -> Reply:
        unknown = [name for name in ("response_format", "seed") if name in body]
        return failed(400, f"Unsupported parameter: {unknown[0]}") if unknown else said(FOX)

    assert ask(tmp_path, picky) == (Animal(name="a fox", legs=4), 3)


def test_a_question_that_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    with serving(said(FOX)) as served:
        settings = LanguageSettings(endpoint=served.url, model="m")
        answers = [Client(settings, tmp_path).complete(PROMPT, Animal) for _ in range(2)]
        assert (answers[0] == answers[1], len(served.requests)) == (True, 1)
        next((tmp_path / "language").iterdir()).write_text("{damaged")
        assert (Client(settings, tmp_path).complete(PROMPT, Animal), len(served.requests)) == (answers[0], 2)


def test_the_schema_sent_is_strict_and_holds_no_keyword_that_servers_refuse(tmp_path: Path) -> None:
    with serving(said(FOX)) as served:
        Client(LanguageSettings(endpoint=served.url), tmp_path).complete(PROMPT, Animal)
        sent = served.requests[0][2]["response_format"]
    assert sent == {
        "type": "json_schema",
        "json_schema": {
            "name": "answer",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "legs": {"type": "integer"}},
                "required": ["name", "legs"],
                "additionalProperties": False,
            },
        },
    }


def test_the_key_goes_to_the_server_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MY_KEY", "canary-1234")
    with serving(failed(500, "canary-1234 is broken"), said(FOX), failed(401, "canary-1234 is no key")) as served:
        client = Client(LanguageSettings(endpoint=served.url, key_variable="MY_KEY"), tmp_path)
        client.complete(PROMPT, Animal)
        with pytest.raises(LanguageError) as raised:
            client.complete(Prompt("", ""), Animal)
    assert served.requests[0][1]["Authorization"] == "Bearer canary-1234"
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert "canary" not in str(raised.value) + caplog.text + written.decode()


def test_a_key_in_the_wrong_place_is_refused_without_being_repeated() -> None:
    for wrong in ({"key_variable": "sk-canary-1"}, {"endpoint": "https://me:canary@host/v1"}, {"endpoint": "sk-canary"}):
        with pytest.raises(SettingsError) as raised:
            parse({"language": wrong})
        assert "canary" not in str(raised.value)


def test_a_key_that_is_not_set_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"DECAL_NO_SUCH_KEY, named by language\.key_variable, is not set"):
        Client(LanguageSettings(endpoint="http://127.0.0.1:9", key_variable="DECAL_NO_SUCH_KEY"), tmp_path)


def test_questions_run_in_parallel_and_come_back_in_order(tmp_path: Path) -> None:
    def slow(body: dict[str, object]) -> Reply:
        time.sleep(0.3)
        return said(FOX) if "4" not in str(body["messages"])[-200:] else said("", message={"refusal": "no"})

    with serving(slow) as served:
        client = Client(LanguageSettings(endpoint=served.url, concurrency=4), tmp_path)
        questions = [lambda number=number: client.complete(Prompt("Animal", f"number {number}"), Animal).legs for number in range(8)]
        begun = time.monotonic()
        answers = list(client.in_parallel(questions, stop=lambda: False))
    assert [number for number, _ in answers] == list(range(8))
    assert [answer for number, answer in answers if number != 4] == [4] * 7
    assert isinstance(answers[4][1], AnswerError)
    assert time.monotonic() - begun < 8 * 0.3


def test_a_wish_to_stop_does_not_wait_for_a_slow_answer(tmp_path: Path) -> None:
    with serving(after(5)) as served:
        client = Client(LanguageSettings(endpoint=served.url), tmp_path)
        begun = time.monotonic()
        with pytest.raises(StoppedError):
            list(client.in_parallel([lambda: client.complete(PROMPT, Animal)], stop=lambda: time.monotonic() - begun > 0.3))
    assert time.monotonic() - begun < 2


def test_plain_text_is_one_line_without_hidden_characters() -> None:
    assert plain_text("  a cafe\u0301\n with  foxes ") == "a café with foxes"
    for odd in ("a\x1b[31mfox", "a\u200bfox", "a\u202efox", "a\ud800fox", "", "x" * 401):
        with pytest.raises(ValueError, match="it h"):
            plain_text(odd)
