from decal.wording import counted, folded


def test_one_thing_is_not_many() -> None:
    assert [counted(number, "other file") for number in (0, 1, 1200)] == ["0 other files", "1 other file", "1,200 other files"]


def test_a_long_line_goes_on_under_the_last_column_of_its_table() -> None:
    line = "  error    fox.png  has no caption and nothing to make one of"
    assert folded(line, 40) == [
        "  error    fox.png  has no caption and",
        "                    nothing to make one",
        "                    of",
    ]
    assert folded("           -> decal caption  takes captions", 34) == ["           -> decal caption  takes", "              captions"]
    assert folded("  " + 50 * "x" + "  text", 40) == ["  " + 50 * "x", "  text"]
