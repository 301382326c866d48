"""Keeps votes: each is on disk before the next question is shown, and a question is asked once.

A ballot that was answered is not asked again, in this sitting or a later one, and an answer that comes twice, because a button was pressed
twice or a browser asked again, counts once. Taking the last answer back shows its question again; the new answer then replaces it.
"""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from decal import project
from decal.records import Answer, Vote
from decal.voting.ballots import Ballot


class Box:
    """The ballots of a sitting and what was said to them.

    path: of `votes.jsonl`; its lock is the caller's. stop_after: answers that end the sitting; None for when all is asked.
    """

    def __init__(self, path: Path, ballots: Sequence[Ballot], *, shuffle: int, stop_after: int | None) -> None:
        self.path = path
        self._shuffle = shuffle
        self._ballots = {ballot.id: ballot for ballot in ballots}
        self._answered = {vote.ballot for vote in project.read(path, Vote)}
        self._now: list[str] = []
        self._stop_after = stop_after
        # Each request has a thread of its own.
        self._turn = threading.Lock()
        left = len(self._ballots.keys() - self._answered)
        self.has_said_goodbye = False
        self.wanted = left if stop_after is None else min(stop_after, left)

    @property
    def given(self) -> int:
        """Questions answered in this sitting."""
        return len(self._now)

    @property
    def is_done(self) -> bool:
        """Whether nothing more is asked in this sitting."""
        return self.given >= self.wanted

    def next(self) -> Ballot | None:
        """The question to ask now; None where the sitting is over."""
        if self.is_done:
            return None
        return next((ballot for ballot in self._ballots.values() if ballot.id not in self._answered), None)

    def last(self) -> Ballot | None:
        """The question that was answered last in this sitting; None where there is none."""
        return self._ballots[self._now[-1]] if self._now else None

    def cast(self, named: str, answer: Answer, *, again: bool) -> bool:
        """Keep an answer. again: it replaces the one given before. Returns whether it counts.

        Unknown ballots do not count, nor do answers to one that was answered, unless they come again from this sitting.
        """
        with self._turn:
            ballot = self._ballots.get(named)
            if ballot is None or ((named in self._answered) if not again else (named not in self._now)):
                return False
            project.append(self.path, self._vote(ballot, answer))
            self._answered.add(named)
            if named not in self._now:
                self._now.append(named)
            return True

    def _vote(self, ballot: Ballot, answer: Answer) -> Vote:
        return Vote(
            ballot=ballot.id,
            prompt=ballot.left.prompt,
            seed=ballot.left.seed,
            left=ballot.left.checkpoint,
            right=ballot.right.checkpoint,
            left_sha256=ballot.left.sha256,
            right_sha256=ballot.right.sha256,
            answer=answer,
            shuffle=self._shuffle,
            cast=datetime.now(UTC).isoformat(timespec="seconds"),
        )
