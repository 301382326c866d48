"""Captioners: a model behind an endpoint, weights on this machine, and a part of one's own."""

import base64
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image
from servers import Reply, said, serving

from decal import workflow
from decal.captioners import load, words_of
from decal.captioners.endpoint import data_url
from decal.errors import BaseModelError, SettingsError
from decal.events import Stop
from decal.project import Project
from decal.settings import Settings, parse


def settings(captioner: str, **caption: object) -> Settings:
    return parse({"caption": {"captioner": captioner, "keyword": "zorb", **caption}, "language": {"endpoint": "http://127.0.0.1:9/v1"}})


@pytest.fixture
def pictures(tmp_path: Path) -> Project:
    """A project of two pictures whose names say nothing, and one that is no picture."""
    at = Project(tmp_path)
    at.dataset.mkdir()
    camera = Image.Exif()
    camera[0x010F] = "a camera"
    for number, colour in enumerate(("red", "blue"), start=1):
        Image.new("RGB", (600, 300), colour).save(at.dataset / f"IMG_{number}.jpg", exif=camera)
    (at.dataset / "IMG_3.png").write_bytes(b"no picture")
    return at


class ByColour:
    """A captioner as a user might write one."""

    def __init__(self, settings: Settings, cache: Path) -> None:
        pass

    def look(self, files: Sequence[Path], stop: Stop) -> Iterator[tuple[Path, str]]:
        for file in files:
            if file.suffix == ".jpg":
                yield file, "a red sheet" if Image.open(file).getpixel((0, 0))[0] > 128 else "a blue sheet"  # type: ignore[index]


def test_what_models_put_around_their_words_is_taken_off() -> None:
    said_of = {
        "there is a cat on a mat": "a cat on a mat",
        "arafed cat with a hat": "cat with a hat",
        "A sticker of a smiling fox.": "a smiling fox",
        "The image shows a red boat": "a red boat",
    }
    assert {text: words_of(text) for text in said_of} == said_of
    for useless in ("", "   ", "a a a a a a", "word " * 41, "a fox\x1b[2J"):
        with pytest.raises(ValueError, match="it "):
            words_of(useless)


def test_pictures_go_out_small_and_without_their_metadata(pictures: Project) -> None:
    head, _, data = data_url(pictures.dataset / "IMG_1.jpg", "white").partition(",")
    seen = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (head, seen.size, len(seen.getexif())) == ("data:image/jpeg;base64", (512, 256), 0)


def test_an_endpoint_says_what_is_to_be_seen(pictures: Project) -> None:
    def answer(body: dict[str, object]) -> Reply:
        messages = body["messages"]
        assert isinstance(messages, list)
        url = messages[1]["content"][1]["image_url"]["url"]
        red = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB").getpixel((0, 0))
        return said({"description": "This is a red sheet" if isinstance(red, tuple) and red[0] > 128 else "a blue sheet."})

    with serving(answer) as served:
        told = parse(
            {"caption": {"captioner": "endpoint", "keyword": "zorb"}, "language": {"endpoint": served.url}},
        )
        captioned = workflow.caption(pictures, told, adds_keyword=False, stop=lambda: False)
    assert captioned.written == {"IMG_1.jpg": ("zorb style sticker of a red sheet",), "IMG_2.jpg": ("zorb style sticker of a blue sheet",)}
    assert captioned.without == ["IMG_3.png"]


def test_a_captioner_of_ones_own_goes_through_the_same_door(pictures: Project) -> None:
    captioned = workflow.caption(pictures, settings(f"{__name__}:ByColour"), adds_keyword=False, stop=lambda: False)
    assert captioned.written == {"IMG_1.jpg": ("zorb style sticker of a red sheet",), "IMG_2.jpg": ("zorb style sticker of a blue sheet",)}


def test_a_captioner_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ("nowhere:Nothing", "json:Nothing"):
        with pytest.raises(SettingsError, match=rf"{name}.* cannot be loaded"):
            load(settings(name), tmp_path)
    with pytest.raises(SettingsError, match="must be names, endpoint, local or module:Name"):
        settings("blip")


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight BLIP with the layout of the published ones, whose 40 words are all it can say."""
    import torch
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessorPil, BlipProcessor

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("blip")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]", *(f"word{number}" for number in range(33))]
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**size, "vocab_size": 40, "encoder_hidden_size": 32, "bos_token_id": 5, "sep_token_id": 3, "eos_token_id": 3, "pad_token_id": 0}
    config = BlipConfig(text_config={**text, "max_position_embeddings": 64}, vision_config={**size, "image_size": 32, "patch_size": 8})
    BlipForConditionalGeneration(config).save_pretrained(folder)
    tokenizer = BertTokenizer(vocab={word: place for place, word in enumerate(words)}, extra_special_tokens=["[DEC]", "[ENC]"])
    processor = BlipImageProcessorPil(size={"height": 32, "width": 32})
    BlipProcessor(processor, tokenizer).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_local_weights_caption_and_leave_out_what_is_no_picture(blip: Path, pictures: Project, caplog: pytest.LogCaptureFixture) -> None:
    captioner = load(settings("local", captioner_model=str(blip)), pictures.folder)
    files = sorted(pictures.dataset.iterdir())
    first, again = (dict(captioner.look(files, lambda: False)) for _ in range(2))
    assert (first == again, sorted(path.name for path in first)) == (True, ["IMG_1.jpg", "IMG_2.jpg"])
    assert all(word.startswith("word") for text in first.values() for word in text.split())
    assert "IMG_3.png" in caplog.text


def test_weights_that_are_not_there_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    with pytest.raises(BaseModelError, match="Name a hub id or a folder of an image-to-text model"):
        load(settings("local", captioner_model=str(tmp_path)), tmp_path)
