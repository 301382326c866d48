"""Masks: how they are found, what the check says of them, and that nothing is learnt of what lies under their black part."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageChops
from test_cache import base_of, data_of
from test_train import records_of, resolved_of, run_all, task_of

from decal import checks, contact, masks
from decal.batches import Sample
from decal.cache import Cache, Examples
from decal.dataset import bring_in, scan
from decal.errors import DataError, SettingsError
from decal.objective import loss_of
from decal.settings import parse, resolve
from decal.workflow.training import told_of


@pytest.fixture
def folder(shapes: Path, tmp_path: Path) -> Path:
    """The pictures of `shapes`, beside a folder in which every one has a mask whose left half is black."""
    (tmp_path / "masks").mkdir()
    for path in shapes.glob("*.png"):
        half(96).save(tmp_path / "masks" / path.name)
    return Path(shutil.copytree(shapes, tmp_path / "dataset"))


def half(side_px: int) -> Image.Image:
    mask = Image.new("L", (side_px, side_px), 255)
    mask.paste(0, (0, 0, side_px // 2, side_px))
    return mask


def examples(tiny: Path, folder: Path, **change: object) -> Examples:
    cache = Cache(folder.parent / "cache", base_of(tiny), data_of(**change))
    records = masks.given(records_of(folder)[:3], folder, "masks")
    list(cache.fill(folder, records))
    return cache.examples(records, budget=2**30)


def found(folder: Path, masks: str = "masks") -> list[tuple[str, str, str | None]]:
    settings = parse({"data": {"resolution": 64, "masks": masks}, "caption": {"keyword": "zorb"}})
    return [(one.level, one.check, one.file) for one in checks.run(folder, settings).findings if "mask" in one.check]


def test_a_mask_is_averaged_to_the_latents_and_mirrored_with_its_picture(tiny: Path, folder: Path) -> None:
    grey = half(96)
    grey.paste(153, (84, 0, 96, 96))  # the right eighth counts three fifths
    grey.save(folder.parent / "masks" / records_of(folder)[0].file)
    rows = examples(tiny, folder).batch([Sample(0, False, False), Sample(0, True, False)]).mask[:, 0, 4]
    wanted = torch.tensor([0, 0, 0, 0, 1, 1, 1, 0.6])
    # Resizing 96 px to 64 rings by a few levels of grey at an edge.
    assert torch.allclose(rows, torch.stack([wanted, wanted.flip(0)]), atol=0.03)


def test_a_mask_and_transparency_multiply(tiny: Path, folder: Path) -> None:
    cut = Image.new("RGBA", (96, 96), (255, 0, 0, 255))
    cut.paste((0, 0, 0, 0), (0, 48, 96, 96))
    cut.save(folder / records_of(folder)[0].file)
    mask = examples(tiny, folder, transparent_weight=0.25).batch([Sample(0, False, False)]).mask[0, 0]
    assert torch.allclose(mask[::7, ::7], torch.tensor([[0, 1], [0, 0.25]]), atol=0.02)


def test_gradients_do_not_depend_on_what_lies_under_the_black_part(tiny: Path, folder: Path) -> None:
    """What is to be found there is changed altogether; a mask of ones sees that."""
    mask = examples(tiny, folder).batch([Sample(0, False, False)]).mask
    predicted, wanted = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    other = torch.where(mask > 0, wanted, 7.0)

    def gradient(to: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
        leaf = predicted.clone().requires_grad_()
        found: torch.Tensor = torch.autograd.grad(loss_of(leaf, to, of).sum(), leaf)[0]
        return found

    assert torch.equal(gradient(wanted, mask), gradient(other, mask))
    assert not torch.equal(gradient(wanted, torch.ones_like(mask)), gradient(other, torch.ones_like(mask)))


def test_a_training_with_masks_ends_in_other_weights_and_a_whole_white_mask_in_the_same(tiny: Path, folder: Path, tmp_path: Path) -> None:
    def trained(name: str) -> str:
        base, task = task_of(tmp_path / name / "run", folder, resolved_of(tiny, steps=2, checkpoint_every=2), model=tiny)
        records = masks.given(task.train.records, folder, name)
        cache = Cache(tmp_path / "cache", base, task.settings.data)
        list(cache.fill(folder, records))
        return run_all(base, replace(task, train=cache.examples(records, budget=2**30)))[1][-1].sha256

    (tmp_path / "white").mkdir()
    for path in folder.glob("*.png"):
        Image.new("L", (96, 96), 255).save(tmp_path / "white" / path.name)
    plain, half_black, white = trained(""), trained("masks"), trained("white")
    assert (white == plain, half_black == plain) == (True, False)


def test_a_training_says_how_many_of_its_pictures_have_a_mask(folder: Path) -> None:
    settings = parse({"data": {"resolution": 64, "masks": "masks"}})
    records = masks.given(records_of(folder), folder, "masks")
    (folder.parent / records[0].mask).unlink()
    learnt = masks.given(records, folder, "masks")[:4]
    told = told_of(resolve(settings, 4), learnt, checks.run(folder, settings))
    assert [one.text for one in told] == ["  masks: 3 of the 4 pictures that are learnt have one"]


def test_another_mask_is_encoded_anew_and_the_mask_of_a_run_is_known_by_its_bytes(tiny: Path, folder: Path) -> None:
    cache = Cache(folder.parent / "cache", base_of(tiny), data_of())
    before = masks.given(records_of(folder)[:2], folder, "masks")
    list(cache.fill(folder, before))
    Image.new("L", (96, 96), 200).save(folder.parent / "masks" / before[0].file)
    after = masks.given(before, folder, "masks")
    assert [one.mask_sha256 == other.mask_sha256 for one, other in zip(before, after, strict=True)] == [False, True]
    assert [event.done for event in cache.fill(folder, after)] == [0, 1]


def test_the_check_names_masks_that_cannot_be_used(folder: Path) -> None:
    files = sorted(path.name for path in folder.glob("*.png"))
    where = folder.parent / "masks"
    half(48).save(where / files[0])  # half as large is as good
    Image.new("L", (96, 64), 255).save(where / files[1])
    Image.new("L", (96, 96), 0).save(where / files[2])
    (where / files[3]).write_bytes(b"no picture")
    faint = Image.new("L", (96, 96), 0)
    faint.putpixel((40, 40), 30)  # averaged over the pixels of a latent, a quarter of a level
    faint.save(where / files[5])
    (where / files[4]).rename(where / "plum.png")
    assert found(folder) == [
        ("error", "mask_shape", files[1]),
        ("error", "mask_empty", files[2]),
        ("error", "mask_unreadable", files[3]),
        ("error", "mask_empty", files[5]),
        ("warning", "mask_without_picture", None),
        ("note", "mask_missing", None),
        ("note", "masks_used", None),
    ]


def test_masks_beside_the_pictures_are_no_pictures_and_are_used_where_that_is_asked(folder: Path) -> None:
    for path in list(folder.glob("*.png")):
        half(96).save(path.with_name(f"{path.stem}-masklabel.png"))
    listing = scan(folder)
    assert len(listing.files) == len(listing.masks) == len(masks.found(folder, "dataset", listing.files)) == 16
    assert (found(folder, ""), found(folder, "dataset")) == ([("note", "masks_unused", None)], [("note", "masks_used", None)])
    assert found(folder, "elsewhere") == [("error", "no_masks", None)]


def test_the_sheet_veils_what_a_mask_leaves_out(folder: Path) -> None:
    checked = checks.run(folder, parse({"data": {"resolution": 64, "masks": "masks"}}))
    file = checked.listing.files[0]
    plain, veiled = (contact.sheet(folder, [file], one, "", is_first=False).convert("RGB") for one in (replace(checked, masks={}), checked))
    box = ImageChops.difference(plain, veiled).crop((0, 130, 400, 330)).getbbox()
    assert (checked.masks[file], box is not None) == (checks.Mask(f"masks/{file}", 0.5), True)


def test_new_counts_masks_apart(folder: Path, tmp_path: Path) -> None:
    for path in list(folder.glob("*.png"))[:3]:
        half(96).save(path.with_name(f"{path.stem}-masklabel.png"))
    half(96).save(folder / "plum-masklabel.png")  # of a picture that is not there
    brought = bring_in(folder, tmp_path / "project" / "dataset")
    assert (brought.pictures, brought.masks, brought.rows) == (16, 4, 16)
    assert len(list((tmp_path / "project" / "dataset").glob("*-masklabel.png"))) == 4


@pytest.mark.parametrize("folder", ["../masks", "/masks", "dataset/masks", "a\\b"])
def test_masks_lie_in_the_project_beside_the_pictures(folder: str) -> None:
    with pytest.raises(SettingsError, match="a folder beside it"):
        parse({"data": {"masks": folder}})


def test_a_mask_that_leaves_nothing_is_refused_by_the_cache_as_well(tiny: Path, folder: Path) -> None:
    Image.new("L", (96, 96), 0).save(folder.parent / "masks" / records_of(folder)[1].file)
    with pytest.raises(DataError, match="leaves nothing of it that counts"):
        examples(tiny, folder)
