"""A thin client for any server that speaks OpenAI's HTTP interface: a question and a type go in, a validated value comes out.

Answers are untrusted: they are parsed as the type that was asked for and nothing else, so whoever asks never sees half an answer. Faults of
the server and answers of no use share one budget of retries. Good answers are kept below `cache/`, so a stopped table of a thousand
descriptions goes on where it was. The standard library's HTTP is used, because all that is needed is one POST; redirects are not followed,
since they could carry the key elsewhere.
"""

import contextlib
import email.utils
import hashlib
import http.client
import json
import logging
import os
import queue
import random
import threading
import time
import unicodedata
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError

from decal.errors import AnswerError, LanguageError, SettingsError
from decal.events import Stop, stop_if
from decal.project import fingerprint, write_text
from decal.settings import LanguageSettings
from decal.wording import printable

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer", bound=BaseModel)
Value = TypeVar("Value")

MAX_ANSWER_BYTES = 4 * 2**20
MAX_TOKENS = 2048
# A server that asks for more patience than this is not worth waiting for.
LONGEST_WAIT_SECONDS = 120.0
FIRST_WAIT_SECONDS = 0.5
# Timeouts, overload and faults of the server; 529 is what some hosts answer when they are overloaded.
PASSING_STATUS = {408, 409, 425, 429, 500, 502, 503, 504, 529}
# What not every server knows; one that complains of it is asked again without.
OPTIONAL_FIELDS = {
    "response_format": ("response_format", "json_schema"),
    "max_tokens": ("max_tokens",),
    "temperature": ("temperature",),
    "seed": ("seed",),
}
# Strict schemas of OpenAI and grammars of llama.cpp know only part of JSON Schema; the type checks what is taken out here all the same.
SCHEMA_KEYWORDS = frozenset("type properties required items enum const anyOf $defs $ref additionalProperties description".split())


@dataclass(frozen=True)
class Prompt:
    """A question. images: as data URLs, for models that see."""

    system: str
    user: str
    images: tuple[str, ...] = ()


def plain_text(text: str) -> str:
    """Text that may go into a caption: one line in NFC, without control, invisible or direction-changing characters.

    Raises ValueError where it holds any, or is empty or longer than 400 characters.
    """
    line = " ".join(unicodedata.normalize("NFC", text).split())
    odd = sorted({character for character in line if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn")})
    if odd:
        raise ValueError(f"it holds characters that cannot be seen ({', '.join(f'U+{ord(one):04X}' for one in odd[:3])})")
    if not 1 <= len(line) <= 400:
        raise ValueError(f"it has {len(line)} characters, not 1 to 400")
    return line


Phrase = Annotated[str, AfterValidator(plain_text)]
"""A field of an answer that holds one line of plain text."""


class Client:
    """Asks one model of one server.

    cache: folder for answers. Raises SettingsError where there is no endpoint, or where the key is not in the environment.
    """

    def __init__(self, settings: LanguageSettings, cache: Path) -> None:
        if not settings.endpoint:
            raise SettingsError(
                "language.endpoint is not set, so there is no model to ask.\n"
                "Write the address of an OpenAI-compatible server under [language] in decal.toml, such as http://127.0.0.1:8080/v1"
            )
        self._key = os.environ.get(settings.key_variable, "").strip() if settings.key_variable else ""
        if settings.key_variable and not self._key:
            raise SettingsError(
                f"The environment variable {settings.key_variable}, named by language.key_variable, is not set.\n"
                f"Put the key of {settings.endpoint} into it, or empty language.key_variable where the server needs none."
            )
        self._settings = settings
        self._cache = cache / "language"
        self._left_out: set[str] = set()
        self._stopped = threading.Event()
        host = urllib.parse.urlsplit(settings.endpoint).hostname or ""
        is_here = host in ("localhost", "::1") or host.startswith("127.")
        if self._key and settings.endpoint.startswith("http://") and not is_here:
            logger.warning("the key goes to %s without encryption; write https:// where the server has it", host)
        handlers = [_NoRedirect(), *([urllib.request.ProxyHandler({})] if is_here else [])]
        self._opener = urllib.request.build_opener(*handlers)

    @property
    def name(self) -> str:
        """What to call the model in a record."""
        return self._settings.model or self._settings.endpoint

    def complete(self, prompt: Prompt, answer: type[Answer]) -> Answer:
        """The model's answer as the type that was asked for.

        Raises AnswerError where it gives none of use or refuses, and LanguageError where no question has a chance.
        """
        schema = _plain_schema(answer.model_json_schema())
        system = f"{prompt.system}\nAnswer with JSON of this schema and nothing else: {json.dumps(schema, sort_keys=True)}"
        pictures = [{"type": "image_url", "image_url": {"url": url}} for url in prompt.images]
        body: dict[str, Any] = {
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": [{"type": "text", "text": prompt.user}, *pictures] if pictures else prompt.user},
            ],
            "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}},
            "max_tokens": MAX_TOKENS,
        }
        return self._ask("chat/completions", body, lambda text: answer.model_validate_json(_json_part(text)))

    def go_on(self, text: str, check: Callable[[str], Value], *, tokens: int) -> Value:
        """How the model goes on with a text, up to the end of the line.

        check: gives the value of an answer, or raises ValueError that says what is wrong with it. tokens: at most so many.
        Raises as `complete` does.
        """
        return self._ask("completions", {"prompt": text, "max_tokens": tokens, "stop": ["\n"]}, lambda more: check(more.strip()))

    def in_parallel(self, questions: Sequence[Callable[[], Value]], stop: Stop) -> Iterator[tuple[int, Value | AnswerError]]:
        """Ask several questions at a time; yields the number of each with its value, or with why it has none, in their order.

        Raises StoppedError within a second of `stop` saying so, however long the answers take.
        """
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        done: queue.SimpleQueue[tuple[int, Value | Exception]] = queue.SimpleQueue()
        for number in range(len(questions)):
            waiting.put(number)
        stopped = self._stopped

        def work() -> None:
            while not stopped.is_set() and not waiting.empty():
                with contextlib.suppress(queue.Empty):
                    number = waiting.get_nowait()
                    try:
                        done.put((number, questions[number]()))
                    except Exception as problem:  # Raised again where the results are read.
                        done.put((number, problem))

        # Daemons, because a request that is under way cannot be called back, and an exit must not wait for it.
        for _ in range(min(self._settings.concurrency, len(questions))):
            threading.Thread(target=work, daemon=True).start()
        early: dict[int, Value | AnswerError] = {}
        try:
            for number in range(len(questions)):
                while number not in early:
                    stop_if(stop, "what is answered is kept, and the same command goes on")
                    with contextlib.suppress(queue.Empty):
                        finished, result = done.get(timeout=0.2)
                        if isinstance(result, Exception) and not isinstance(result, AnswerError):
                            raise result
                        early[finished] = result
                yield number, early.pop(number)
        finally:
            stopped.set()
            self._stopped = threading.Event()

    def _ask(self, path: str, body: dict[str, Any], parse: Callable[[str], Value]) -> Value:
        """One question until there is an answer of use, or the retries are used up."""
        stopped = self._stopped
        body = {"model": self._settings.model, "temperature": self._settings.temperature, **body}
        if not self._settings.model:
            del body["model"]
        kept = self._cache / f"{fingerprint(self._settings.endpoint, path, body)}.json"
        if (before := _read_kept(kept)) is not None:
            try:
                return parse(before)
            except ValueError:
                kept.unlink(missing_ok=True)  # Of another version, or damaged.
        seed = int(hashlib.sha256(kept.stem.encode()).hexdigest()[:7], 16)
        why = ""
        for attempt in range(self._settings.retries + 1):
            try:
                text = self._text_of(self._post(path, _with_complaint(body, why) | {"seed": seed + attempt}, stopped))
                value = parse(text)
            except _Passing as problem:
                why = ""
                self._wait(problem, attempt, stopped)
            except ValueError as problem:
                why = _reason(problem)
                logger.debug("an answer of no use: %s", why)
            else:
                write_text(kept, json.dumps({"answer": text, "model": self._settings.model}, ensure_ascii=False, sort_keys=True) + "\n")
                return value
        told = self._told(f"the model gave no answer of use: {why}", "Try another model, or raise language.retries.")
        raise AnswerError(told, self._hidden(why))

    def _wait(self, problem: "_Passing", attempt: int, stopped: threading.Event) -> None:
        """Wait before the next attempt. Raises LanguageError where this was the last one."""
        if attempt == self._settings.retries:
            raise LanguageError(self._told(f"{problem} ({attempt + 1} tries)", "Try again later, or look at the server.")) from problem
        backoff = FIRST_WAIT_SECONDS * 2**attempt * random.uniform(1, 1.5)
        seconds = min(LONGEST_WAIT_SECONDS, backoff if problem.wait_seconds is None else problem.wait_seconds)
        if seconds >= 5:
            logger.warning("%s: %s; asking again in %.0f s", self._settings.endpoint, problem, seconds)
        if stopped.wait(seconds):
            raise LanguageError("stopped") from problem

    def _post(self, path: str, body: Mapping[str, Any], stopped: threading.Event) -> dict[str, Any]:
        """The server's JSON. Raises _Passing for what may be better next time, and LanguageError for what will not."""
        if stopped.is_set():
            raise LanguageError("stopped")
        sent = {name: value for name, value in body.items() if name not in self._left_out}
        request = urllib.request.Request(
            f"{self._settings.endpoint.rstrip('/')}/{path}",
            json.dumps(sent).encode(),
            {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "decal"}
            | ({"Authorization": f"Bearer {self._key}"} if self._key else {}),
        )
        until = time.monotonic() + self._settings.timeout_seconds
        try:
            with self._opener.open(request, timeout=self._settings.timeout_seconds) as response:
                data = _read_all(response, until)
        except urllib.error.HTTPError as problem:
            told = _said(problem)
            unknown = next((name for name, words in OPTIONAL_FIELDS.items() if name in sent and any(word in told for word in words)), None)
            if problem.code in (400, 422) and unknown is not None:
                self._left_out.add(unknown)
                return self._post(path, body, stopped)
            raise self._status(problem, told) from problem
        except (OSError, http.client.HTTPException) as problem:
            reason = problem.reason if isinstance(problem, urllib.error.URLError) else problem
            slow = isinstance(reason, TimeoutError)
            raise _Passing(f"no answer in {self._settings.timeout_seconds:g} s" if slow else f"no connection ({reason})") from problem
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as problem:
            raise _Passing("the server sent no JSON") from problem
        if not isinstance(value, dict):
            raise _Passing("the server sent no JSON object")
        return value

    def _status(self, problem: urllib.error.HTTPError, told: str) -> "LanguageError | _Passing":
        code, said = problem.code, f"HTTP {problem.code}" + (f", {told}" if told else "")
        if code in (401, 403):
            return LanguageError(
                self._told(f"the key was not accepted ({said})", "Put the right one into the variable of language.key_variable.")
            )
        if code == 404:
            return LanguageError(self._told(f"not found ({said})", "Check language.endpoint, which often ends in /v1, and language.model."))
        if 300 <= code < 400:
            where = printable(str(problem.headers.get("Location", "")))[:200]
            return LanguageError(self._told(f"it sends on to {where}", "Write the address that answers itself into language.endpoint."))
        if code in PASSING_STATUS and "insufficient_quota" not in told:
            wait = _retry_after(problem.headers.get("Retry-After"))
            if wait is not None and wait > LONGEST_WAIT_SECONDS:
                return LanguageError(self._told(f"it asks to wait {wait:.0f} s ({said})", "Call again then; what is answered is kept."))
            return _Passing(self._hidden(said), wait)
        return LanguageError(self._told(f"the question was refused ({said})", "Check language.model and what the server supports."))

    def _text_of(self, value: Mapping[str, Any]) -> str:
        """The text in an answer of the server. Raises ValueError where it holds none, and AnswerError where the model refuses."""
        try:
            choice = value["choices"][0]
            message = choice.get("message") or {}
            reason, refusal = choice.get("finish_reason"), message.get("refusal")
            text = choice["text"] if "text" in choice else message.get("content")
        except (KeyError, IndexError, TypeError, AttributeError) as problem:
            raise _Passing("the server's answer has no choices") from problem
        if refusal or reason == "content_filter":
            why = self._hidden(f"the model refused ({printable(str(refusal or reason))[:200]})")
            raise AnswerError(self._told(why, "Ask for something else."), why)
        if isinstance(text, list):
            text = "".join(part.get("text", "") for part in text if isinstance(part, dict))
        if not isinstance(text, str) or not text.strip():
            raise ValueError("the answer was empty")
        return text

    def _told(self, what: str, remedy: str) -> str:
        model = f", model {self._settings.model}" if self._settings.model else ""
        return self._hidden(f"{self._settings.endpoint}{model}: {what}.\n{remedy}")

    def _hidden(self, text: str) -> str:
        """Without the key, which a server may repeat in its complaint."""
        return text.replace(self._key, "***") if self._key else text


class _Passing(Exception):
    """A fault that may be gone when asked again. wait_seconds: what the server asked for."""

    def __init__(self, told: str, wait_seconds: float | None = None) -> None:
        super().__init__(told)
        self.wait_seconds = wait_seconds


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: object) -> None:
        return None


def _read_all(response: http.client.HTTPResponse, until: float) -> bytes:
    """The body, within its time and size: the timeout of a socket alone lets a server send a byte a minute."""
    data = bytearray()
    while chunk := response.read1(2**16):
        data += chunk
        if len(data) > MAX_ANSWER_BYTES:
            raise _Passing(f"the answer is longer than {MAX_ANSWER_BYTES:,} bytes")
        if time.monotonic() > until:
            raise TimeoutError
    return bytes(data)


def _said(problem: urllib.error.HTTPError) -> str:
    """What the server says of an error, on one short line."""
    try:
        text = problem.read(2**14).decode("utf-8", "replace")
        error = json.loads(text)
        error = error.get("error", error) if isinstance(error, dict) else error
        if isinstance(error, dict):
            text = " ".join(str(error[key]) for key in ("code", "message", "detail") if error.get(key))
    except (OSError, ValueError, RecursionError, http.client.HTTPException):
        pass
    return printable(" ".join(text.split()))[:300]


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait, from a number or a date; None where the header says nothing of use."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


def _read_kept(path: Path) -> str | None:
    try:
        answer = json.loads(path.read_text("utf-8"))["answer"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return answer if isinstance(answer, str) else None


def _with_complaint(body: dict[str, Any], why: str) -> dict[str, Any]:
    """The question, with what was wrong with the last answer where a chat was asked."""
    if not why or "messages" not in body:
        return body
    told = {"role": "user", "content": f"Your last answer could not be used: {why}. Answer again."}
    return body | {"messages": [*body["messages"], told]}


def _json_part(text: str) -> str:
    """The JSON of an answer; models like to put it between fences and pleasantries."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        raise ValueError("there is no JSON object in it")
    return text[start : end + 1]


def _reason(problem: ValueError) -> str:
    """Why an answer is of no use, in a line that can be shown and sent."""
    if isinstance(problem, ValidationError):
        first = problem.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return printable(f"{place}: {first['msg']}" if place else first["msg"])[:200]
    return printable(str(problem))[:200]


def _plain_schema(schema: Any, *, is_names: bool = False) -> Any:
    """The schema with only what servers know. is_names: the keys are names of fields or types rather than keywords."""
    if isinstance(schema, list):
        return [_plain_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _plain_schema(value, is_names=not is_names and key in ("properties", "$defs"))
        for key, value in schema.items()
        if is_names or key in SCHEMA_KEYWORDS
    }
    if not is_names and kept.get("type") == "object":
        kept |= {"additionalProperties": False, "required": list(kept.get("properties", {}))}
    return kept
