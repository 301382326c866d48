import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageDraw
from sd_parsers import ParserManager

from decal.errors import SettingsError
from decal.grid import Nearest, compare_cells, grid_cells, nearest, png_text, propose, read_prompts, saying, seen, tensors_sha256
from decal.lettering import legible, one_font, width_px, wrap
from decal.records import Cell, Step
from decal.settings import ResolvedCompare, ResolvedGrid
from decal.sheets import compare_sheet, grid_sheet
from decal.subjects import SUBJECTS

COMPARE = ResolvedCompare(steps=20, guidance=3.0)
GRID = ResolvedGrid(steps=20, guidance=(1.0, 3.0, 5.0))
TEMPLATE = "{keyword} style sticker of {subject}"
CELL = Cell(
    prompt="glossy style sticker of a crying face",
    guidance=3.0,
    seed=7,
    steps=20,
    sampler="ddim",
    width_px=64,
    height_px=64,
    checkpoint=400,
)


def draw(cells: list[Cell], folder: Path) -> dict[Cell, Path]:
    """A plain picture for each cell, its shade from the checkpoint and the guidance."""
    pictures = {}
    for number, cell in enumerate(cells):
        picture = Image.new("RGB", (cell.width_px, cell.height_px), (200, cell.checkpoint % 256, int(cell.guidance * 10)))
        ImageDraw.Draw(picture).ellipse((8, 8, 56, 56), fill=(255, 200, 40))
        pictures[cell] = folder / f"{number}.png"
        picture.save(pictures[cell])
    return pictures


def training(last: int, every: int) -> Iterator[Step]:
    for step in range(last + 1):
        yield Step(
            step=step,
            attempt=1,
            epoch=0,
            loss=0.05 + step % 3 * 0.01 if step else None,
            grad_norm=None,
            learning_rate=1e-3,
            seconds=0.1,
            holdout_loss=0.04 + abs(step - 200) * 1e-5 if step % every == 0 else None,
        )


def test_words_are_said_where_captions_say_them() -> None:
    prompts = ["zorb boat", "zorb star", "zorb hat"]
    assert saying(prompts, ["wuxle", "vombi"], ["wuxle, zorb cat"]) == ["wuxle, zorb boat", "vombi, zorb star", "wuxle, zorb hat"]
    assert saying(prompts[:1], ["wuxle"], ["a zorb cat at wuxle", "zorb dog, wuxle"]) == ["zorb boat, wuxle"]
    assert saying(prompts, [], ["wuxle, zorb cat"]) == prompts
    assert saying(["wuxle, zorb boat"], ["wuxle"], ["wuxle, zorb cat"]) == ["wuxle, zorb boat"]


def test_the_nearest_caption_shares_the_rarest_word_and_the_new_words_are_named() -> None:
    captions = ["zorb sticker of a red fox on ice", "zorb sticker of a cat on ice", "zorb sticker of a cow on ice"]
    prompt = "zorb sticker of a jolly fox on ice"
    assert nearest([prompt], captions, ["zorb", "sticker"]) == [Nearest(prompt, captions[0], ("jolly",))]


def test_prompts_come_one_a_line_without_comments_whatever_editor_wrote_them(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_bytes("\ufeffa fox\r\n\r\n# later: a bear\r\n  ein Igel mit Äpfeln \r\n".encode())
    assert read_prompts(file) == ["a fox", "ein Igel mit Äpfeln"]


def test_a_prompt_file_that_is_missing_empty_or_repeats_itself_is_refused(tmp_path: Path) -> None:
    empty, twice = tmp_path / "empty.txt", tmp_path / "twice.txt"
    empty.write_text("# nothing yet\n")
    twice.write_text("a fox\na bear\na fox\n")
    for file, said in ((tmp_path / "no.txt", "cannot be read"), (empty, "holds no prompt"), (twice, "line 3 repeats line 1: a fox")):
        with pytest.raises(SettingsError, match=said):
            read_prompts(file)


def test_checkpoints_are_outermost_and_the_base_comes_first() -> None:
    cells = compare_cells(["a fox", "a bear"], [200, 100], COMPARE, 64)
    expected = [(checkpoint, prompt, 3.0, seed) for checkpoint in (0, 100, 200) for prompt in ("a fox", "a bear") for seed in (0, 1)]
    assert [(cell.checkpoint, cell.prompt, cell.guidance, cell.seed) for cell in cells] == expected


def test_ten_prompts_and_three_guidance_scales_make_thirty_different_cells() -> None:
    cells = grid_cells([f"a fox with {number} tails" for number in range(10)], 400, GRID, 64)
    assert len(cells) == len(set(cells)) == 30
    assert {(cell.checkpoint, cell.seed, cell.lora_strength) for cell in cells} == {(400, 0, 1.0)}


def test_cells_of_both_sheets_carry_the_drawing_settings_of_their_section() -> None:
    drawing = {"steps": 9, "sampler": "euler", "negative": "text"}
    compared = compare_cells(["a fox"], [], ResolvedCompare(guidance=2.0, seeds=(0,), **drawing), 96)
    gridded = grid_cells(["a fox"], 7, ResolvedGrid(guidance=(2.0,), lora_strength=(0.5,), **drawing), 96)
    shared = {"prompt": "a fox", "guidance": 2.0, "seed": 0, "width_px": 96, "height_px": 96, **drawing}
    assert compared == [Cell.model_validate({**shared, "checkpoint": 0})]
    assert gridded == [Cell.model_validate({**shared, "checkpoint": 7, "lora_strength": 0.5})]


def test_a_prompt_is_seen_where_one_caption_holds_all_its_content_words() -> None:
    captions = ["foo style sticker of two red apples", "foo style sticker of a green pear", "Foo, sticker: a CAT'S face!"]
    prompts = {
        "foo sticker of an apple": captions[0],
        "a Cat face": captions[2],
        "foo style sticker": captions[0],
        "foo style sticker of a green apple": None,
        "foo style sticker of a kitten": None,
    }
    expected = [(prompt, caption) for prompt, caption in prompts.items() if caption]
    assert seen(prompts, captions, ["foo", "sticker", "style"]) == expected


def test_proposed_prompts_are_new_different_and_the_same_on_every_call() -> None:
    captions = ["foo style sticker of a pizza", "foo style sticker of a winking face"]
    first = propose(captions, "foo", TEMPLATE, 10, [])
    second = propose(captions, "foo", TEMPLATE, 8, first)
    assert len(set(first + second)) == 18
    assert seen(first + second, captions, ["foo", "sticker", "style"]) == []
    assert "foo style sticker of a slice of pizza" not in first
    assert propose(captions, "foo", TEMPLATE, 10, []) == first


def test_prompts_are_still_proposed_where_every_subject_was_trained_on() -> None:
    captions = [TEMPLATE.replace("{keyword}", "foo").replace("{subject}", subject) for subject in SUBJECTS]
    proposed = propose(captions, "foo", TEMPLATE, 18, [])
    assert len(set(proposed)) == 18
    assert proposed[0] == "foo style sticker of a crying face and a green heart"


def test_another_programs_parser_reads_the_recipe_back(tmp_path: Path) -> None:
    cell = CELL.model_copy(update={"negative": "blurry, text", "sampler": "dpm++"})
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png", pnginfo=png_text(cell, base="mini", lora="foo", lora_sha256="0123abcd4567ef"))
    read = ParserManager().parse(tmp_path / "a.png")
    assert read is not None
    [sampler] = read.samplers
    assert sampler.parameters == {"cfg_scale": "3", "seed": "7", "steps": "20"}
    assert (sampler.name, sampler.model and sampler.model.name) == ("DPM++ 2M", "mini")
    assert [prompt.value for prompt in sampler.prompts] == ["glossy style sticker of a crying face <lora:foo:1>"]
    assert [prompt.value for prompt in sampler.negative_prompts] == ["blurry, text"]


def test_the_recipe_stands_in_the_png_as_a1111_writes_it_and_as_the_whole_cell(tmp_path: Path) -> None:
    cell = CELL.model_copy(update={"image_sha256": "ab" * 32, "image_strength": 0.6, "lora_strength": 0.8})
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png", pnginfo=png_text(cell, base="a/b: c", lora="my foo", lora_sha256="0123abcd4567ef"))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.info["parameters"] == (
            "glossy style sticker of a crying face <lora:my-foo:0.8>\n"
            'Steps: 20, Sampler: DDIM, CFG scale: 3, Seed: 7, Size: 64x64, Model: "a/b: c", '
            'Lora hashes: "my-foo: 0123abcd4567", Denoising strength: 0.6, RNG: CPU'
        )
        assert Cell.model_validate_json(picture.info["decal"]) == cell


def test_the_base_alone_names_no_lora(tmp_path: Path) -> None:
    text = png_text(CELL.model_copy(update={"checkpoint": 0}), base="mini", lora="foo", lora_sha256="0123abcd4567ef")
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png", pnginfo=text)
    assert b"lora:" not in (tmp_path / "a.png").read_bytes()


def test_metadata_of_a_lora_do_not_change_its_a1111_hash(tmp_path: Path) -> None:
    header = b'{"__metadata__":{"a":"b"}}'
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"tensors")
    assert tensors_sha256(tmp_path / "a.safetensors") == hashlib.sha256(b"tensors").hexdigest()


@pytest.mark.parametrize(("checkpoints", "prompts"), [(0, 1), (1, 3), (39, 2), (4, 32)])
def test_a_sheet_of_any_size_has_a_white_margin_all_around(checkpoints: int, prompts: int, tmp_path: Path) -> None:
    last = checkpoints * 50
    cells = compare_cells([f"a fox with {number} tails " * 20 for number in range(prompts)], range(0, last + 1, 50), COMPARE, 64)
    sheet = compare_sheet(cells, draw(cells, tmp_path), steps=list(training(last, 50)), run="r" * 200, base="b" * 100)
    left, top, right, bottom = ImageChops.difference(sheet, Image.new("RGB", sheet.size, "white")).getbbox() or (0, 0, 0, 0)
    assert min(left, top, sheet.width - right, sheet.height - bottom) >= 40
    assert sheet.width >= 192 * (checkpoints + 1)


def test_pictures_stand_in_the_row_of_their_prompt_and_the_column_of_their_guidance(tmp_path: Path) -> None:
    cells = grid_cells(["a fox", "a bear"], 100, GRID, 64)
    sheet = grid_sheet(cells, draw(cells, tmp_path), run="run-1", base="mini")
    # The colour of each picture's ground holds its guidance times 10; one line through the middle of the first row meets all three.
    colours = [sheet.getpixel((x, sheet.height // 2 - 30)) for x in range(sheet.width)]
    met = list(dict.fromkeys(colour for colour in colours if colour in {(200, 100, 10), (200, 100, 30), (200, 100, 50)}))
    assert met == [(200, 100, 10), (200, 100, 30), (200, 100, 50)]


def test_a_sheet_does_not_say_where_the_folder_of_a_base_lies(tmp_path: Path) -> None:
    (tmp_path / "sd-mine").mkdir()
    cells = grid_cells(["a fox"], 100, GRID, 64)
    here, elsewhere = (grid_sheet(cells, {}, run="run-1", base=base) for base in (str(tmp_path / "sd-mine"), "sd-mine"))
    assert here.tobytes() == elsewhere.tobytes()


def test_pictures_that_are_missing_or_damaged_leave_an_empty_frame(tmp_path: Path) -> None:
    cells = compare_cells(["a fox"], [100, 200], COMPARE, 64)
    pictures = draw(cells, tmp_path)
    pictures[cells[2]].write_bytes(pictures[cells[2]].read_bytes()[:90])
    whole = {cell: pictures[cell] for cell in cells if cell.checkpoint != 100}
    sheet = compare_sheet(cells, whole, steps=[], run="run-1", base="mini")
    counts = {colour: count for count, colour in sheet.getcolors(sheet.width * sheet.height) or []}
    # Two empty frames of 192 x 192 px, less the few letters in them.
    assert 2 * 192 * 192 * 0.97 < counts[(246, 247, 249)] <= 2 * 192 * 192


def test_no_character_of_a_prompt_turns_into_an_empty_box() -> None:
    font, text = legible("улыбка 笑う \U0010fffd fox", 15)
    boxes = [character for character in text if character != " " and bytes(font.getmask(character)) == bytes(font.getmask("\uffff"))]
    assert boxes == []
    assert text.endswith("\\U0010fffd fox")


def test_an_umlaut_changes_no_font_on_a_sheet() -> None:
    with one_font(["plain words", "größer"]):
        fonts = {legible(text, 15)[0].getname() for text in ("plain words", "größer", "words")}
    assert len(fonts) == 1
    assert legible("plain words", 15)[0].getname()[0] == "Aileron"


def test_wrapped_lines_keep_every_letter_and_fit_the_column() -> None:
    text = "a very long prompt about a fox " + "x" * 80 + " and 漫画風のステッカー"
    lines = wrap(text, 15, 200)
    assert max(width_px(line, 15) for line in lines) <= 200
    assert "".join(lines).replace(" ", "") == legible(text, 15)[1].replace(" ", "")
