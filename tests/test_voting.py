"""The page of votes: a real round trip on this machine, and no vote lost, counted twice or taken from elsewhere."""

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import numpy as np
import pytest
from evidence import Made
from judged import begun, judged, train
from PIL import Image

from decal import project, workflow
from decal.compare import votes
from decal.errors import ProjectError, SettingsError
from decal.events import Told
from decal.project import Project, Run
from decal.records import Gap, Generation, Suite, Trial, Verdict, Vote
from decal.voting.ballots import Ballot, Shown, ballots
from decal.voting.box import Box
from decal.voting.server import Server

CAPTIONS = {f"{number:02}.png": f"zorb style sticker of thing {number}" for number in range(12)}
PROMPTS = tuple(f"zorb <b>sticker</b> of wonder {number}" for number in range(8))
NEAR = {100: Made(style=0.5), 200: Made(style=0.9, wrong=0.05), 300: Made(style=0.95, wrong=0.1)}


def shown(folder: Path, checkpoints: tuple[int, ...] = (100, 200), prompts: int = 4) -> list[Shown]:
    """Pictures of some checkpoints; the higher the prompt's number, the more they differ."""
    found = []
    for checkpoint in checkpoints:
        for prompt in range(prompts):
            file = folder / f"{checkpoint}-{prompt}.png"
            grey = 100 + (prompt + 1) * (checkpoint - 100) // 10
            Image.fromarray(np.full((8, 8, 3), grey, np.uint8)).save(file)
            found.append(Shown(checkpoint, f"prompt {prompt}", 0, file, project.sha256(file)))
    return found


def box(folder: Path, *, stop_after: int | None = None) -> Box:
    return Box(folder / "votes.jsonl", ballots(shown(folder), shuffle=1), shuffle=1, stop_after=stop_after)


def asked(one: Box) -> Ballot:
    ballot = one.next()
    assert ballot is not None
    return ballot


@contextmanager
def served(one: Box) -> Iterator[Server]:
    """A server in a thread of its own."""
    server, is_over = Server(one, 0), threading.Event()

    def work() -> None:
        while not is_over.is_set():
            server.serve()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield server
    finally:
        is_over.set()
        thread.join()
        server.close()


def request(address: str, *, form: dict[str, str] | None = None, query: str = "", headers: dict[str, str] | None = None) -> tuple[int, str]:
    """The status and the text of an answer."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.netloc, timeout=20)
    method, body = ("GET", None) if form is None else ("POST", urlencode(form))
    kind = {} if form is None else {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://{place.netloc}"}
    connection.request(method, place.path + query, body, kind | (headers or {}))
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def ballot_in(page: str) -> str:
    found = re.search(r'name="ballot" value="(\w+)"', page)
    assert found is not None
    return found[1]


def test_the_pairs_that_differ_most_are_asked_first(tmp_path: Path) -> None:
    assert [ballot.left.prompt for ballot in ballots(shown(tmp_path), shuffle=1)] == ["prompt 3", "prompt 2", "prompt 1", "prompt 0"]


def test_every_pair_of_checkpoints_comes_once_a_round_and_the_seed_decides_order_and_sides(tmp_path: Path) -> None:
    there = shown(tmp_path, (100, 150, 200))
    once = ballots(there, shuffle=1)
    assert len(once) == 3 * 4
    assert [len({frozenset((one.left.checkpoint, one.right.checkpoint)) for one in once[i : i + 3]}) for i in (0, 3, 6, 9)] == [3] * 4
    assert ballots(list(reversed(there)), shuffle=1) == once
    others = ballots(there, shuffle=2)
    assert {one.id for one in others} == {one.id for one in once}
    assert others != once


def test_pictures_that_are_the_same_or_gone_are_not_asked_about(tmp_path: Path) -> None:
    there = shown(tmp_path, prompts=3)
    there[0].file.unlink()
    there[4].file.write_bytes(there[1].file.read_bytes())
    same = [*there[:4], Shown(200, "prompt 1", 0, there[4].file, there[1].sha256), there[5]]
    assert [ballot.left.prompt for ballot in ballots(same, shuffle=1)] == ["prompt 2"]


def test_an_answer_is_on_disk_at_once_and_counts_once(tmp_path: Path) -> None:
    one = box(tmp_path)
    ballot = asked(one)
    assert one.cast(ballot.id, "left", again=False)
    assert not one.cast(ballot.id, "left", again=False)
    kept = project.read(tmp_path / "votes.jsonl", Vote)
    assert [(vote.ballot, vote.left, vote.answer, vote.shuffle) for vote in kept] == [(ballot.id, ballot.left.checkpoint, "left", 1)]
    assert asked(one) != ballot


def test_an_answer_that_is_taken_back_is_replaced(tmp_path: Path) -> None:
    one = box(tmp_path)
    ballot = asked(one)
    one.cast(ballot.id, "left", again=False)
    assert one.last() == ballot
    assert one.cast(ballot.id, "same", again=True)
    assert [vote.answer for vote in project.read(one.path, Vote)] == ["left", "same"]
    assert one.given == 1


def test_another_sitting_asks_what_was_not_answered(tmp_path: Path) -> None:
    first = box(tmp_path, stop_after=3)
    order = []
    while (ballot := first.next()) is not None:
        order.append(ballot.id)
        first.cast(ballot.id, "same", again=False)
    second = box(tmp_path)
    assert (len(order), second.wanted) == (3, 1)
    assert asked(second).id not in order


def test_an_answer_of_an_earlier_sitting_is_not_replaced_by_a_page_that_was_left_open(tmp_path: Path) -> None:
    first = box(tmp_path)
    ballot = asked(first)
    first.cast(ballot.id, "left", again=False)
    assert not box(tmp_path).cast(ballot.id, "right", again=True)


def test_a_round_trip_in_a_browser_s_words(tmp_path: Path) -> None:
    one = box(tmp_path)
    with served(one) as server:
        status, page = request(server.address)
        assert (status, "1 of 4" in page, page.count("data:image/png")) == (200, True, 2)
        form = {"ballot": ballot_in(page), "answer": "right"}
        assert request(server.address, form=form)[0] == 303
        assert request(server.address, form=form)[0] == 303
        status, page = request(server.address)
        assert (status, "2 of 4" in page, ballot_in(page) != form["ballot"]) == (200, True, True)
        status, page = request(server.address, query="?back")
        assert (ballot_in(page), 'name="again"' in page) == (form["ballot"], True)
    assert [vote.answer for vote in project.read(one.path, Vote)] == ["right"]


def test_the_page_does_not_say_which_checkpoint_drew_what(tmp_path: Path) -> None:
    one = box(tmp_path)
    with served(one) as server:
        _, page = request(server.address)
    words = re.sub(r"data:image/png;base64,[\w+/=]+", "", page[page.index("<main>") : page.index("</main>")])
    assert not re.search(r"\b(100|200)\b|step|checkpoint|\.png", words)


def test_after_the_last_answer_the_page_says_so(tmp_path: Path) -> None:
    one = box(tmp_path, stop_after=1)
    with served(one) as server:
        _, page = request(server.address)
        request(server.address, form={"ballot": ballot_in(page), "answer": "same"})
        assert "Thank you." in request(server.address)[1]
    assert one.has_said_goodbye


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1:1"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Length": "999999"}, 413),
    ],
)
def test_other_sites_cannot_vote(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    one = box(tmp_path)
    with served(one) as server:
        form = {"ballot": asked(one).id, "answer": "left"}
        assert request(server.address, form=form, headers=headers)[0] == status
    assert one.given == 0


def test_without_the_token_there_is_nothing_to_see(tmp_path: Path) -> None:
    with served(box(tmp_path)) as server:
        whole = urlsplit(server.address)
        for path in ("/", "/guess/", whole.path[:-2] + "/", "/../etc/passwd"):
            assert request(f"http://{whole.netloc}{path}")[0] == 404


def test_what_is_no_answer_is_refused_and_an_unknown_ballot_is_not_kept(tmp_path: Path) -> None:
    one = box(tmp_path)
    with served(one) as server:
        assert request(server.address, form={"ballot": asked(one).id, "answer": "both"})[0] == 400
        assert request(server.address, form={"ballot": "made up", "answer": "left"})[0] == 303
    assert not one.path.exists()


def test_a_form_of_many_fields_is_refused_in_words(tmp_path: Path) -> None:
    one = box(tmp_path)
    with served(one) as server:
        form = {"ballot": asked(one).id, "answer": "left"} | {f"more{number}": "x" for number in range(7)}
        status, text = request(server.address, form=form)
    assert (status, "This is no answer." in text, one.given) == (400, True, 0)


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with served(box(tmp_path)) as server, pytest.raises(ProjectError, match="The page cannot be served on port"):
        Server(box(tmp_path), int(urlsplit(server.address).port or 0))


def compared(folder: Path) -> tuple[Project, Run, Verdict]:
    at, run = begun(folder / "stickers", CAPTIONS)
    train(run, NEAR)
    return at, run, judged(run, NEAR, PROMPTS)


def test_votes_join_the_verdict_and_voting_goes_on(tmp_path: Path) -> None:
    at, run, verdict = compared(tmp_path)
    told = []
    for event in workflow.vote(at, workflow.Choice(), lambda: False, stop_after=2, port=0):
        assert isinstance(event, Told)
        told.append(event.text)
        if found := re.search(r"http://\S+", event.text):
            thread = threading.Thread(target=answer_all, args=(found[0],))
            thread.start()
    thread.join()
    joined = project.read_record(run.verdict, Verdict)
    assert joined is not None
    assert joined.people is not None
    assert (joined.people.votes, len(project.read(run.votes, Vote))) == (2, 2)
    assert joined.people.measured == verdict.checkpoint
    assert "People and measures agree in" in told[-2]
    assert workflow.join_votes(run, joined) == joined


def answer_all(address: str) -> None:
    """Prefer the left picture until there is no question any more."""
    page = request(address)[1]
    while "Thank you." not in page:
        request(address, form={"ballot": ballot_in(page), "answer": "left"})
        page = request(address)[1]


def test_votes_on_pictures_that_are_no_longer_there_do_not_count(tmp_path: Path) -> None:
    at, run, verdict = compared(tmp_path)
    one = Box(run.votes, ballots(shown(tmp_path), shuffle=1), shuffle=1, stop_after=None)
    one.cast(asked(one).id, "left", again=False)
    assert workflow.join_votes(run, verdict) == verdict
    assert at.folder.exists()


def test_votes_on_pictures_of_weights_that_were_trained_anew_do_not_count(tmp_path: Path) -> None:
    at, run, verdict = compared(tmp_path)
    first, second = votes.candidates(verdict)
    one = Box(run.votes, ballots(drawn(run, (first, second)), shuffle=1), shuffle=1, stop_after=None)
    one.cast(asked(one).id, "left", again=False)
    assert workflow.join_votes(run, verdict).people is not None
    frozen = project.read_record(run.suite, Suite)
    assert frozen is not None
    anew = tuple(rival.model_copy(update={"sha256": "1" * 64}) for rival in frozen.rivals)
    project.write_record(run.suite, frozen.model_copy(update={"rivals": anew}))
    assert workflow.join_votes(run, verdict) == verdict
    with pytest.raises(ProjectError, match="or was trained anew since"):
        list(workflow.vote(at, workflow.Choice(), lambda: True, stop_after=None, port=0))


def test_a_stop_ends_the_sitting_and_loses_nothing(tmp_path: Path) -> None:
    at, run, verdict = compared(tmp_path)
    list(workflow.vote(at, workflow.Choice(), lambda: True, stop_after=None, port=0))
    assert project.read_record(run.verdict, Verdict) == verdict


def test_without_a_verdict_or_two_candidates_there_is_nothing_to_vote_on(tmp_path: Path) -> None:
    at, run = begun(tmp_path / "stickers", CAPTIONS)
    with pytest.raises(ProjectError, match="has no verdict yet"):
        list(workflow.vote(at, workflow.Choice(), lambda: True, stop_after=None, port=0))
    train(run, {100: Made(style=0.9)})
    judged(run, {100: Made(style=0.9)}, PROMPTS)
    with pytest.raises(SettingsError, match="has no two checkpoints to choose between"):
        list(workflow.vote(at, workflow.Choice(), lambda: True, stop_after=None, port=0))


def test_what_to_draw_with_follows_the_choice_of_people(tmp_path: Path) -> None:
    _, run, verdict = compared(tmp_path)
    first, second = votes.candidates(verdict)
    tried = [trial(step, guidance, better) for step in (first, second) for guidance, better in ((3.0, None), (5.0, step == second))]
    verdict = verdict.model_copy(update={"trials": tuple(tried), "guidance": 3.0, "strength": 1.0, "guidances": (3.0, 3.0)})
    asked_about = ballots(drawn(run, (first, second)), shuffle=1)
    one = Box(run.votes, asked_about, shuffle=1, stop_after=None)
    while (ballot := one.next()) is not None:
        one.cast(ballot.id, "left" if ballot.left.checkpoint == second else "right", again=False)
    joined = workflow.join_votes(run, verdict)
    assert (joined.checkpoint, joined.guidance) == (second, 5.0)
    assert "Draw it at guidance 5, strength 1" in joined.reason
    assert workflow.join_votes(run, joined) == joined


def trial(step: int, guidance: float, better: bool | None) -> Trial:
    gap = None if better is None else Gap(gap=0.1, low=0.05 if better else -0.05, high=0.2, error=0.05)
    return Trial(
        checkpoint=step, guidance=guidance, strength=1.0, pictures=8, utility=0.5, low=0.4, high=0.6, style=0.5, adherence=0.5,
        better=gap, complaints=(),
    )  # fmt: skip


def drawn(run: Run, checkpoints: tuple[int, ...]) -> list[Shown]:
    """The pictures of some checkpoints of a run."""
    return [
        Shown(one.cell.checkpoint, one.cell.prompt, one.cell.seed, run.folder / one.file, one.sha256)
        for one in project.read(run.generations, Generation)
        if one.cell.checkpoint in checkpoints
    ]


def test_a_vote_while_a_comparison_runs_is_kept_and_told(tmp_path: Path) -> None:
    at, run, verdict = compared(tmp_path)
    with project.lock(run.verdict, "comparing"), pytest.raises(ProjectError, match="The answers are kept, but not joined yet"):
        list(workflow.vote(at, workflow.Choice(), lambda: True, stop_after=None, port=0))
    assert project.read_record(run.verdict, Verdict) == verdict
