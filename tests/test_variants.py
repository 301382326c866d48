"""Variants: a few fixed crops or grounds of each picture, encoded once and learnt from in turn."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from test_cache import base_of, data_of
from test_train import records_of, resolved_of, run_all, stop_before, task_of

from decal import checks, masks, pictures, state, variants
from decal.bases.sdxl import StableDiffusionXL
from decal.batches import Order, Sample
from decal.cache import Cache, to_pixels
from decal.records import Record
from decal.settings import Resolved, parse


@pytest.fixture
def folder(shapes: Path, tmp_path: Path) -> Path:
    """The pictures of `shapes`: half of them twice as wide as high, and one of these cut out."""
    folder = Path(shutil.copytree(shapes, tmp_path / "dataset"))
    for place, record in enumerate(records_of(folder)):
        if place % 2 == 0:
            with Image.open(folder / record.file) as picture:
                picture.resize((192, 96)).convert("RGBA").save(folder / record.file)
    cut = Image.new("RGBA", (192, 96), (0, 0, 0, 0))
    cut.paste((255, 0, 0, 255), (60, 20, 130, 80))
    cut.save(folder / records_of(folder)[0].file)
    return folder


def filled(tiny: Path, folder: Path, records: list[Record], **change: object) -> Cache:
    cache = Cache(folder.parent / "cache", base_of(tiny), data_of(**change))
    list(cache.fill(folder, records))
    return cache


def test_each_variant_is_what_the_vae_gives_of_its_crop_and_ground(tiny: Path, folder: Path) -> None:
    record = records_of(folder)[0]
    batch = filled(tiny, folder, [record], fit="crop", variants=3).examples([record], budget=0)
    got = batch.batch([Sample(0, False, False, 0, way) for way in (0, 1, 2, 4)]).mean
    wanted = []
    for number in range(3):
        way = variants.variant(record.sha256, number, "white")
        picture, _ = pictures.fitted(pictures.load(folder / record.file, way.ground), 64, "crop", way.ground, way.at)
        wanted.append(base_of(tiny).encode_pictures(to_pixels(picture)[None])[0][0])
    assert torch.allclose(got, torch.stack([*wanted, wanted[1]]), atol=1e-5)
    assert not torch.allclose(wanted[0], wanted[1], atol=1e-2)


def test_pictures_with_and_without_variants_are_held_and_mapped_alike(tiny: Path, folder: Path) -> None:
    records = records_of(folder)[:4]
    cache = filled(tiny, folder, records, fit="crop", variants=2)
    held, mapped = cache.examples(records, budget=2**30), cache.examples(records, budget=0)
    samples = [Sample(index, index == 2, False, 0, way) for index in range(4) for way in (0, 1, 3)]
    ours, theirs = held.batch(samples), mapped.batch(samples)
    assert (held.is_resident, torch.equal(ours.mean, theirs.mean), torch.equal(ours.mask, theirs.mask)) == (True, True, True)
    # Squares have one variant and the wide ones two.
    assert [torch.equal(ours.mean[3 * index], ours.mean[3 * index + 1]) for index in range(4)] == [False, True, False, True]


def test_with_variants_as_many_fewer_pictures_are_encoded_at_a_time(tiny: Path, folder: Path) -> None:
    cache = Cache(folder.parent / "cache", base_of(tiny), data_of(fit="crop", variants=4))
    alike = [one for one in records_of(folder) if one.width_px == 192][:4]
    assert [event.done for event in cache.fill(folder, alike)] == [0, 2, 4]


def test_what_is_held_out_is_measured_as_without_variants(tiny: Path, folder: Path) -> None:
    records = [one.model_copy(update={"split": "holdout"}) for one in records_of(folder)[:2]]
    filled(tiny, folder, records, fit="crop")
    with_variants = Cache(folder.parent / "cache", base_of(tiny), data_of(fit="crop", variants=4))
    assert list(with_variants.fill(folder, records)) == []


def test_the_denoiser_is_told_where_each_variant_was_cropped_and_mirrored(tiny_xl: Path, folder: Path, tmp_path: Path) -> None:
    base = StableDiffusionXL(str(tiny_xl), device=torch.device("cpu"), dtype=torch.float32)
    record = records_of(folder)[0]
    cache = Cache(tmp_path / "cache", base, data_of(fit="crop", variants=2))
    list(cache.fill(folder, [record]))
    told = cache.examples([record], budget=2**30).batch([Sample(0, flipped, False, 0, way) for way in (0, 1) for flipped in (False, True)])
    across = variants.variant(record.sha256, 1, "white").at[0]
    # 192 x 96 px become 128 x 64, of which 64 px are cropped away.
    assert told.conditioning["sizes"][:, 3].tolist() == [32, 32, round(64 * across), round(64 * (1 - across))]


def test_a_crop_of_which_the_mask_lets_nothing_count_is_not_taken(tiny: Path, folder: Path) -> None:
    record = records_of(folder)[2]
    (folder.parent / "masks").mkdir()
    mask = Image.new("L", (192, 96), 0)
    mask.paste(255, (92, 0, 100, 96))  # eight px in the middle: crops at either end miss it
    mask.save(folder.parent / "masks" / record.file)
    records = masks.given([record], folder, "masks")
    examples = filled(tiny, folder, records, fit="crop", variants=12).examples(records, budget=2**30)
    counted = [examples.batch([Sample(0, False, False, 0, way)]).mask.sum().item() for way in range(12)]
    assert min(counted) > 0
    assert len({*counted}) > 1


def test_every_variant_comes_about_as_often_and_follows_from_the_step_alone() -> None:
    order = Order(seed=3, pictures=8, size=4, flip=False, caption_dropout=0.0)
    ways = [sample.variant % 4 for step in range(1, 201) for sample in order.at(step)]
    assert all(150 < ways.count(way) < 250 for way in range(4))
    assert order.at(77) == Order(seed=3, pictures=8, size=4, flip=False, caption_dropout=0.0).at(77)


def test_a_training_on_variants_resumes_to_the_same_bytes_and_ends_in_others_than_without(tiny: Path, folder: Path, tmp_path: Path) -> None:
    def settings(count: int) -> Resolved:
        plain = resolved_of(tiny, steps=6, checkpoint_every=6)
        return plain.model_copy(update={"data": plain.data.model_copy(update={"fit": "crop", "variants": count})})

    _, once = run_all(*task_of(tmp_path / "once", folder, settings(1), model=tiny))
    _, whole = run_all(*task_of(tmp_path / "whole", folder, settings(3), model=tiny))
    base, task = task_of(tmp_path / "cut", folder, settings(3), model=tiny)
    run_all(base, replace(task, stop=stop_before(4)))
    saved = state.load(task.run.stop_state)
    base, task = task_of(tmp_path / "cut", folder, settings(3), model=tiny)
    _, rest = run_all(base, replace(task, resume=saved, attempt=2))
    assert (rest[-1].sha256 == whole[-1].sha256, whole[-1].sha256 == once[-1].sha256) == (True, False)


@pytest.mark.parametrize(("fit", "is_refused"), [("pad", True), ("crop", True), ("bucket", False)])
def test_variants_that_would_all_be_the_same_are_an_error_of_the_check(fit: str, is_refused: bool, shapes: Path, tmp_path: Path) -> None:
    """Of squares nothing is cropped; of 200 x 96 px something is, whatever the bucket."""
    folder = Path(shutil.copytree(shapes, tmp_path / "dataset"))
    if fit == "bucket":
        Image.new("RGB", (200, 96), "red").save(folder / "red-circle.png")
    settings = parse({"data": {"resolution": 64, "fit": fit, "variants": 4}, "caption": {"keyword": "zorb"}})
    found = [one for one in checks.run(folder, settings).findings if one.check == "same_variants"]
    assert [one.level for one in found] == ["error"] * is_refused


def test_the_grounds_that_are_told_are_those_that_are_encoded() -> None:
    shas = {"a.png": "1f" * 32, "b.png": "2e" * 32}
    first, second = (variants.variant("1f" * 32, number, "white").ground for number in (1, 2))
    assert (
        variants.told(3, "white", shas) == f"2 transparent pictures, each on white and 2 pale colours of its own; a.png: {first}, {second}"
    )
