"""Embedders and readers that a user brings, as random-weight models built in code."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from decal import embedders, project
from decal.errors import BaseModelError
from decal.presets import MINI
from decal.viewing import Reader, Shown, Viewer, identify

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2}
SIGHT = SMALL | {"image_size": 32, "patch_size": 8}


def pictures(count: int) -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8)) for _ in range(count)]


def build(kind: str, folder: Path) -> Path:
    """A model of that kind with everything that transformers needs to load it."""
    torch.manual_seed(0)
    size = {"height": 32, "width": 32}
    if kind == "dinov2":
        transformers.Dinov2Model(transformers.Dinov2Config(**SIGHT)).save_pretrained(folder)
        processor = {"image_processor_type": "BitImageProcessor", "crop_size": size, "size": {"shortest_edge": 32}}
    elif kind == "clip":
        words = SMALL | {"vocab_size": 49408, "max_position_embeddings": 77, "bos_token_id": 49406, "eos_token_id": 49407}
        config = transformers.CLIPConfig(text_config=words, vision_config=SIGHT, projection_dim=16)
        transformers.CLIPModel(config).save_pretrained(folder)
        processor = {"image_processor_type": "CLIPImageProcessor", "crop_size": size, "size": {"shortest_edge": 32}}
        shutil.copytree(Path(MINI.where) / "tokenizer", folder, dirs_exist_ok=True)
    else:
        config = transformers.SiglipConfig(text_config=SMALL | {"vocab_size": 100}, vision_config=SIGHT)
        transformers.SiglipModel(config).save_pretrained(folder)
        processor = {"image_processor_type": "SiglipImageProcessor", "size": size}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


@pytest.fixture(scope="module", params=["clip", "siglip", "dinov2"])
def brought(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(request.param, tmp_path_factory.mktemp(request.param) / "model")


def test_a_model_of_the_users_looks_at_pictures_one_by_one(brought: Path) -> None:
    seen = embedders.load(str(brought), "cpu").embed(pictures(3))
    alone = embedders.load(str(brought), "cpu").embed(pictures(3)[2:])
    assert [len(row) for row in (seen.content, seen.style)] == [3, 3]
    assert np.allclose(np.linalg.norm(seen.content, axis=1), 1, atol=1e-5)
    assert np.allclose(seen.content[2], alone.content[0], atol=1e-5)
    assert np.allclose(seen.style[2], alone.style[0], atol=1e-5)


def test_other_weights_are_another_embedder(brought: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(brought, tmp_path / "model"))
    (other / "preprocessor_config.json").write_text('{"image_processor_type": "CLIPImageProcessor"}')
    assert identify(str(brought)).startswith("model@")
    assert identify(str(brought)) != identify(str(other))


def test_a_reader_holds_pictures_against_text_and_remembers(tmp_path: Path) -> None:
    model = build("clip", tmp_path / "model")
    pictures(1)[0].save(tmp_path / "picture.png")
    reader = Reader(tmp_path / "cache", str(model), "cpu")
    texts = reader.texts(["a cat", "a heart"])
    content = reader.viewer.looks([Shown(tmp_path / "picture.png", project.sha256(tmp_path / "picture.png"))]).content
    assert (content @ texts.T).shape == (1, 2)
    shutil.move(model / "model.safetensors", tmp_path / "kept")
    shutil.copy(tmp_path / "kept", model / "model.safetensors")
    assert np.array_equal(Reader(tmp_path / "cache", str(model), "cpu").texts(["a cat", "a heart"]), texts)


def test_a_model_that_reads_no_text_cannot_be_a_reader(tmp_path: Path) -> None:
    model = build("dinov2", tmp_path / "model")
    with pytest.raises(BaseModelError, match="reads no text"):
        Reader(tmp_path, str(model), "cpu").texts(["a cat"])


def test_a_folder_without_weights_is_no_embedder(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"config.json or \*.safetensors is missing"):
        Viewer(tmp_path, str(tmp_path), "cpu")


def test_a_model_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    model = build("clip", tmp_path / "model")
    (model / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(BaseModelError, match="of the kind 'bert', which Decal cannot look with"):
        embedders.load(str(model), "cpu")


def test_a_model_that_lacks_weights_is_refused_and_not_made_up(tmp_path: Path) -> None:
    model = build("clip", tmp_path / "model")
    weights = load_file(model / "model.safetensors")
    save_file({name: tensor for name, tensor in weights.items() if "visual_projection" not in name}, model / "model.safetensors")
    with pytest.raises(BaseModelError, match=r"lacks visual_projection.weight"):
        embedders.load(str(model), "cpu")
