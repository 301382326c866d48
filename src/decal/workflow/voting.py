"""Asking people: pairs of pictures, blind, and what the answers mean for the verdict."""

import secrets
from collections.abc import Iterator

from decal import judging, project, runs, suite
from decal.compare import votes
from decal.errors import ProjectError, SettingsError
from decal.events import Event, Stop, Told
from decal.project import Project, Run
from decal.records import Generation, Score, Suite, Verdict, Vote
from decal.voting.ballots import Shown, ballots
from decal.voting.box import Box
from decal.voting.server import Server
from decal.wording import counted
from decal.workflow.choice import Choice, run_of
from decal.workflow.reporting import told_in_report


def vote(at: Project, choice: Choice, stop: Stop, *, stop_after: int | None, port: int) -> Iterator[Event]:
    """Serve pairs of pictures of the best checkpoints until `stop` says so or enough is answered; then join the votes to the verdict.

    stop_after: answers that end it; None for when all is asked. port: of the page; 0 for a free one. Raises SettingsError where there is
    nothing to vote on, and ProjectError where nothing was compared.
    """
    run = run_of(at, choice.name)
    verdict = runs.verdict_of(run)
    if verdict is None:
        raise ProjectError(
            f"{run.folder} has no verdict yet, or was trained anew since, so it is not known what to ask.\n"
            f"Compare first:  decal compare {at.folder}"
        )
    among = votes.candidates(verdict)
    if not among:
        raise SettingsError(f"{run.folder} has no two checkpoints to choose between.\n{verdict.reason}")
    with project.lock(run.votes, "asking for votes"):
        cast = project.read(run.votes, Vote)
        shuffle = cast[-1].shuffle if cast else secrets.randbelow(2**31)
        asked = ballots(_shown(run, among), shuffle=shuffle)
        box = Box(run.votes, asked, shuffle=shuffle, stop_after=stop_after)
        if not asked:
            raise SettingsError(f"{run.folder}: no pictures of these checkpoints differ.\nDraw them again with  decal compare {at.folder}")
        if box.wanted:
            yield from _ask(box, Server(box, port), len(among), stop)
        else:
            yield Told(f"all {counted(len(asked), 'pair')} have an answer already")
    try:
        with project.lock(run.verdict, "joining votes"):
            yield from _told(at, run)
    except ProjectError as problem:
        raise ProjectError(f"The answers are kept, but not joined yet.\n{problem}") from problem


def join_votes(run: Run, verdict: Verdict) -> Verdict:
    """A verdict with the votes of its run; those on pictures that are no longer there do not count."""
    frozen = project.read_record(run.suite, Suite)
    if frozen is None:
        return verdict
    there = {one.sha256 for one in project.read(run.generations, Generation) if _is_of(one, frozen)}
    standing = [vote for vote in project.read(run.votes, Vote) if {vote.left_sha256, vote.right_sha256} <= there]
    joined = votes.join(verdict, standing, project.read(run.scores, Score))
    if joined.checkpoint == verdict.checkpoint or not joined.trials:
        return joined
    # What to draw with was found for the checkpoint that was chosen before.
    return judging.advised(joined.model_copy(update={"guidance": None, "strength": None, "guidances": None}), joined.trials, frozen)


def _ask(box: Box, server: Server, candidates: int, stop: Stop) -> Iterator[Event]:
    yield Told(
        f"{counted(box.wanted, 'pair')} of {counted(candidates, 'checkpoint')}, without their names; Ctrl-C ends it, every answer is kept"
    )
    yield Told(f"open in a browser on this machine:  {server.address}")
    try:
        # The last answer is followed by a page that says so.
        while not stop() and not box.has_said_goodbye:
            server.serve()
    finally:
        server.close()
    yield Told(f"{counted(box.given, 'answer')} kept in {box.path}")


def _told(at: Project, run: Run) -> Iterator[Event]:
    """Join the votes to the verdict, keep it, and say what they mean."""
    before = project.read_record(run.verdict, Verdict)
    assert before is not None, "what was voted on had a verdict"
    verdict = join_votes(run, before)
    project.write_record(run.verdict, verdict)
    people = verdict.people
    if people is not None:
        for favour in people.favours:
            told = f"  step {favour.checkpoint:,}: preferred in {favour.won}, not in {favour.lost}, as good in {favour.same}; "
            yield Told(told + f"the best with a chance of {favour.best_share:.0%}, before the votes {favour.best_share_before:.0%}")
        for agreement in people.agreements:
            told = f"  people and {agreement.measure} agree in {agreement.agreed} of {agreement.of}"
            yield Told(f"{told} (95 %: {agreement.low:.0%} to {agreement.high:.0%})")
    yield Told(verdict.reason)
    yield told_in_report(at, run)


def _shown(run: Run, among: tuple[int, ...]) -> list[Shown]:
    """The pictures of the comparison that these checkpoints drew."""
    frozen, folder = project.read_record(run.suite, Suite), run.folder.resolve()
    found = []
    for generation in runs.drawn(run, run.generations).values():
        cell = generation.cell
        if cell.checkpoint not in among or generation.is_broken:
            continue
        if frozen is None or not _is_of(generation, frozen) or cell != suite.cell(frozen, cell.prompt, cell.seed, cell.checkpoint):
            continue
        if cell.prompt in {prompt.text for prompt in frozen.prompts} and cell.seed in frozen.seeds:
            found.append(Shown(cell.checkpoint, cell.prompt, cell.seed, folder / generation.file, generation.sha256))
    return found


def _is_of(generation: Generation, frozen: Suite) -> bool:
    """Whether a picture was drawn by the weights that are compared; after a training anew, those of the old ones lie there still."""
    adapters = {rival.checkpoint: rival.sha256 for rival in frozen.rivals}
    adapter = adapters.get(generation.cell.checkpoint, "")
    return generation.fingerprint == runs.cell_fingerprint(generation.cell, frozen.base_sha256, adapter)
