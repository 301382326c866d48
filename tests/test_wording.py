from decal.wording import counted


def test_one_thing_is_not_many() -> None:
    assert [counted(number, "other file") for number in (0, 1, 1200)] == ["0 other files", "1 other file", "1,200 other files"]
