import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps
from test_train import records_of

from decal import pictures
from decal.bases.sd import StableDiffusion
from decal.batches import Sample
from decal.cache import Cache, Examples, to_pixels
from decal.settings import ResolvedData, parse, resolve


@pytest.fixture
def folder(shapes: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shapes, tmp_path / "dataset"))


def data_of(**change: object) -> ResolvedData:
    return resolve(parse({"data": {"resolution": 64} | change}), 10).data


def base_of(tiny: Path) -> StableDiffusion:
    return StableDiffusion(str(tiny), device=torch.device("cpu"), dtype=torch.float32)


def fill(tiny: Path, folder: Path, **change: object) -> tuple[list[int], Cache]:
    cache = Cache(folder.parent / "cache", base_of(tiny), data_of(**change))
    return [event.done for event in cache.fill(folder, records_of(folder))], cache


def examples_of(tiny: Path, folder: Path, budget: int = 2**30) -> Examples:
    return fill(tiny, folder)[1].examples(records_of(folder), budget=budget)


def test_what_is_cached_is_what_the_vae_gives(tiny: Path, folder: Path) -> None:
    batch = examples_of(tiny, folder).batch([Sample(3, False, False), Sample(3, True, False)])
    picture, _ = pictures.square(pictures.load(folder / records_of(folder)[3].file, "white"), 64, "pad", "white")
    wanted = [base_of(tiny).encode_pictures(to_pixels(one)[None])[0][0] for one in (picture, ImageOps.mirror(picture))]
    assert torch.allclose(batch.mean, torch.stack(wanted), atol=1e-5)


def test_a_second_filling_encodes_nothing(tiny: Path, folder: Path) -> None:
    assert fill(tiny, folder)[0] == [0, 8, 16]
    assert fill(tiny, folder)[0] == []


def test_an_edited_picture_is_encoded_anew_and_no_other(tiny: Path, folder: Path) -> None:
    fill(tiny, folder)
    Image.new("RGB", (80, 80), "purple").save(folder / "red-circle.png")
    assert fill(tiny, folder)[0] == [0, 1]


@pytest.mark.parametrize("change", [{"ground": "black"}, {"fit": "crop"}, {"flip": False}, {"resolution": 32}, {"transparent_weight": 0.1}])
def test_another_preprocessing_is_another_key(change: dict[str, object], tiny: Path, folder: Path) -> None:
    fill(tiny, folder)
    assert fill(tiny, folder, **change)[0] == [0, 8, 16]


def test_transparent_places_count_as_much_as_asked_and_are_mirrored_with_the_picture(tiny: Path, folder: Path) -> None:
    cut = Image.new("RGBA", (64, 64), (255, 0, 0, 255))
    cut.paste((0, 0, 0, 0), (0, 0, 16, 64))  # the left quarter, two of eight places
    cut.save(folder / records_of(folder)[0].file)
    _, cache = fill(tiny, folder, transparent_weight=0.25)
    batch = cache.examples(records_of(folder), budget=2**30).batch(
        [Sample(0, False, False), Sample(0, True, False), Sample(1, False, False)]
    )
    assert batch.mask[:, 0, 4].tolist() == [[0.25] * 2 + [1.0] * 6, [1.0] * 6 + [0.25] * 2, [1.0] * 8]


def test_a_torn_cache_file_is_made_again(tiny: Path, folder: Path) -> None:
    fill(tiny, folder)
    torn = sorted((folder.parent / "cache" / "pictures").glob("*"))[0]
    torn.write_bytes(torn.read_bytes()[:50])
    assert fill(tiny, folder)[0] == [0, 1]


def test_beyond_the_budget_the_batches_are_the_same(tiny: Path, folder: Path) -> None:
    held, mapped = examples_of(tiny, folder), examples_of(tiny, folder, budget=0)
    samples = [Sample(5, True, False), Sample(0, False, True), Sample(15, False, False)]
    ours, theirs = held.batch(samples), mapped.batch(samples)
    assert (held.is_resident, mapped.is_resident) == (True, False)
    assert torch.equal(ours.mean, theirs.mean)
    assert torch.equal(ours.mask, theirs.mask)
    assert torch.equal(ours.conditioning["encoder_hidden_states"], theirs.conditioning["encoder_hidden_states"])


def test_a_blind_sample_has_the_empty_caption(tiny: Path, folder: Path) -> None:
    states = examples_of(tiny, folder).batch([Sample(0, False, True)]).conditioning["encoder_hidden_states"]
    assert torch.equal(states, base_of(tiny).encode_prompts([""])["encoder_hidden_states"])


def test_padding_is_masked_and_the_mask_is_flipped_with_the_picture(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    folder.mkdir()
    Image.new("RGB", (60, 36), "red").save(folder / "wide.png")
    (folder / "metadata.jsonl").write_text('{"file_name": "wide.png", "text": "a wide thing"}\n')
    record = records_of(folder)[0]
    cache = Cache(tmp_path / "cache", base_of(tiny), data_of())
    list(cache.fill(folder, [record]))
    batch = cache.examples([record], budget=0).batch([Sample(0, False, False), Sample(0, True, False)])
    # 60 x 36 becomes 64 x 38 with 13 px above and below: of eight rows of latents, one and five eighths on either side.
    assert batch.mask[0, 0, :, 0].tolist() == [0, 0, 1, 1, 1, 1, 0, 0]
    assert torch.equal(batch.mask[1], batch.mask[0].flip(-1))


def test_latents_that_are_not_finite_name_the_picture(tiny: Path, folder: Path, tmp_path: Path) -> None:
    from decal.errors import DataError

    base = base_of(tiny)
    torch.nn.init.constant_(base._vae.quant_conv.weight, float("nan"))
    cache = Cache(tmp_path / "poisoned", base, data_of())
    with pytest.raises(DataError, match=r"dataset/red-circle\.png: the VAE"):
        list(cache.fill(folder, records_of(folder)))


def test_the_caption_that_was_drawn_is_the_one_that_is_trained_on(tiny: Path, folder: Path) -> None:
    cache = fill(tiny, folder)[1]
    several = records_of(folder)[0].model_copy(update={"other_captions": ("a ring", "a red thing")})
    examples = cache.examples([several], budget=2**30)
    states = examples.batch([Sample(0, False, False, draw) for draw in (0, 1, 5)]).conditioning["encoder_hidden_states"]
    assert torch.equal(states, base_of(tiny).encode_prompts([several.caption, "a ring", "a red thing"])["encoder_hidden_states"])


def test_prompts_are_read_once_for_all_runs_and_are_told_as_they_were_read(tiny: Path, folder: Path) -> None:
    base = base_of(tiny)
    data = data_of()
    first = Cache(folder / "cache", base, data).texts(["a fox", "", "a fox"])
    read = base.encode_prompts(["", "a fox"])["encoder_hidden_states"]
    assert {text: told["encoder_hidden_states"].tolist() for text, told in first.items()} == {
        "": read[0].tolist(),
        "a fox": read[1].tolist(),
    }
    base.release_encoders()
    again = Cache(folder / "cache", base, data).texts(["a fox", ""])
    assert "_texts" not in base.__dict__, "the text encoder was loaded again"
    assert again["a fox"]["encoder_hidden_states"].equal(first["a fox"]["encoder_hidden_states"])
