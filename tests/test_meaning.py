"""Whether the base knows the keyword, told from pictures."""

from pathlib import Path

import pytest
from typed import Call

from decal.workflow.meaning import Meaning, told

INVENTED = [Meaning("blimmo", 0.16, 0.04, 0.52), Meaning("vuxler", 0.35, 0.26, 0.67)]


@pytest.mark.parametrize(
    ("own", "is_known"),
    [
        (Meaning("glossy", 0.38, 0.31, 0.60), True),  # moves what and how it is drawn further than both
        (Meaning("glossy", 0.20, 0.31, 0.46), True),
        (Meaning("zorb", 0.38, 0.20, 0.60), False),  # one of three may be chance
        (Meaning("zorb", 0.20, 0.10, 0.60), False),
    ],
)
def test_a_word_is_known_that_beats_all_invented_ones_in_two_of_three_ways(own: Meaning, is_known: bool) -> None:
    assert (
        told(own, INVENTED).splitlines()[-1].startswith(f"the base {'seems to know' if is_known else 'does not seem to know'} {own.word}")
    )


@pytest.mark.slow
def test_the_keyword_is_drawn_once_and_the_second_call_draws_nothing(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    call("new", folder, "--from", shapes, "--keyword", "zorb", "--base", tiny)
    first, second = (call("check", folder, "--keyword", "--set", "grid.steps=1") for _ in range(2))
    assert (first[0], second[0], (folder / "keyword.png").is_file()) == (0, 0, True)
    assert "drawing" in first[2]
    assert "drawing" not in second[2]
