"""Commands of diffusers' scripts: every flag, the traps, what accelerate is told, and the contract of the folder at the end."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from accelerate.utils import write_basic_config
from models import build_xl, stock_pipeline
from PIL import Image
from safetensors.torch import load_file
from typed import Call

from decal import project
from decal.captions import Tokenizer
from decal.compat import FLAGS, TRAPS, Launch, Plan, Scene, Typed, launching, read, split, translate
from decal.compat import traps as the_traps
from decal.compat.layout import folders
from decal.dataset import scan
from decal.errors import SettingsError, StoppedError
from decal.pictures import Look, look
from decal.presets import MINI
from decal.project import Project
from decal.records import Generation, Record
from decal.runs import about, checkpoints
from decal.workflow import train_as_typed

# As they stand in the two documents, on one line each.
STICKERS = (
    "accelerate launch train_text_to_image_lora.py --pretrained_model_name_or_path=stabilityai/stable-diffusion-2-1 "
    "--train_data_dir=my_dataset/ --caption_column=text --resolution=your_resolution --random_flip --train_batch_size=1 "
    "--num_train_epochs=220 --checkpointing_steps=300 --learning_rate=your_lr --lr_scheduler=constant --lr_warmup_steps=50 --seed=42 "
    '--output_dir=tuned-model-lora-ski-fail --validation_prompt="MY VALIDATION PHRASE" --validation_epochs=25'
)
POSTS = (
    "accelerate launch train_text_to_image_lora.py --pretrained_model_name_or_path=stabilityai/sdxl-turbo "
    "--dataset_name=PromptEngForImageGen --mixed_precision=fp16 --dataloader_num_workers=8 --resolution=512 --center_crop --random_flip "
    "--train_batch_size=1 --gradient_accumulation_steps=4 --max_train_steps=15000 --learning_rate=1e-04 --max_grad_norm=1 "
    "--lr_scheduler=cosine --lr_warmup_steps=0 --output_dir=imgGenOutputs --push_to_hub --hub_model_id=OrionXV/sdxl-turbo-for-adobe-gen "
    '--checkpointing_steps=500 --validation_prompt="Make a picture to go along with the tweet -> Spend your weekend morning with a Ham, '
    'Egg ;; written by TimHortonsPH on 2020-12-12 00:47:00 with got 1 likes" --seed=42'
)
# Names of the flags of diffusers 0.42's scripts. In both of text to image and both of DreamBooth:
ALL = """pretrained_model_name_or_path revision variant validation_prompt num_validation_images validation_epochs output_dir seed resolution
    center_crop train_batch_size num_train_epochs max_train_steps gradient_accumulation_steps gradient_checkpointing learning_rate scale_lr
    lr_scheduler lr_warmup_steps use_8bit_adam allow_tf32 dataloader_num_workers adam_beta1 adam_beta2 adam_weight_decay adam_epsilon
    max_grad_norm push_to_hub hub_token hub_model_id logging_dir mixed_precision report_to local_rank checkpointing_steps
    checkpoints_total_limit resume_from_checkpoint enable_xformers_memory_efficient_attention rank image_interpolation_mode""".split()
# In all but the DreamBooth script of SD.
MOST = "dataset_name dataset_config_name cache_dir image_column caption_column random_flip snr_gamma".split()
PLAIN = "train_data_dir max_train_samples prediction_type noise_offset".split()
DREAMBOOTH = """instance_data_dir instance_prompt class_data_dir class_prompt with_prior_preservation prior_loss_weight num_class_images
    sample_batch_size lr_num_cycles lr_power prior_generation_precision lora_dropout train_text_encoder""".split()
FLAGS_OF = {
    "sd": [*ALL, *MOST, *PLAIN],
    "sdxl": [*ALL, *MOST, *PLAIN, *"pretrained_vae_model_name_or_path train_text_encoder enable_npu_flash_attention debug_loss".split()],
    "dreambooth": [
        *ALL,
        *DREAMBOOTH,
        *"""tokenizer_name pre_compute_text_embeddings tokenizer_max_length text_encoder_use_attention_mask validation_images
        class_labels_conditioning""".split(),
    ],
    "dreambooth_sdxl": [
        *ALL,
        *MOST,
        *DREAMBOOTH,
        *"""pretrained_vae_model_name_or_path repeats do_edm_style_training output_kohya_format text_encoder_lr optimizer prodigy_beta3
        prodigy_decouple adam_weight_decay_text_encoder prodigy_use_bias_correction prodigy_safeguard_warmup use_dora""".split(),
    ],
}


@pytest.fixture(autouse=True)
def without_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of accelerate but what a test writes."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))


def planned(command: str) -> tuple[Plan, tuple[str, ...]]:
    parts = split(shlex.split(command))
    return translate(read(parts.words, parts.script), parts.launch)


def typed(tiny: Path, data: Path, output: Path, *more: str) -> list[str]:
    """The flags that the example tests of diffusers use, on the random-weight model."""
    return [
        f"--pretrained_model_name_or_path={tiny}",
        f"--train_data_dir={data}",
        "--resolution=64",
        "--train_batch_size=1",
        "--seed=0",
        "--report_to=none",
        f"--output_dir={output}",
        *more,
    ]


@pytest.fixture(scope="session")
def tiny_xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight SDXL of 64 px."""
    return build_xl(tmp_path_factory.mktemp("tiny-xl") / "model")


def names(output: Path) -> set[str]:
    return {path.name for path in output.iterdir() if "checkpoint" in path.name}


def drawn_by_diffusers(tiny: Path, weights: Path) -> torch.Tensor:
    """What a stock pipeline draws with the LoRA of a folder."""
    pipeline = stock_pipeline(tiny)
    pipeline.load_lora_weights(weights)
    generator = torch.Generator().manual_seed(0)
    return torch.from_numpy(pipeline("a zorb", num_inference_steps=2, generator=generator, output_type="np").images)


def replaced(command: str, **values: object) -> list[str]:
    """The words of a command after the script's name, with these flags replaced, or left out for None."""
    words = []
    for word in shlex.split(command)[3:]:
        name = word.removeprefix("--").partition("=")[0]
        if name not in values:
            words.append(word)
        elif values[name] is not None:
            words.append(f"--{name}={values[name]}")
    return words


def test_every_flag_of_all_scripts_is_known() -> None:
    known = {script: {name for name, flag in FLAGS.items() if script in (flag.only or FLAGS_OF)} - {"dry_run"} for script in FLAGS_OF}
    assert known == {script: set(names) for script, names in FLAGS_OF.items()}
    assert {script: len(names) for script, names in FLAGS_OF.items()} == {"sd": 51, "sdxl": 55, "dreambooth": 59, "dreambooth_sdxl": 72}


def test_the_page_for_those_who_come_from_the_scripts_has_every_flag_as_it_is() -> None:
    page = (Path(__file__).parents[1] / "docs" / "diffusers.md").read_text("utf-8")
    told = dict(re.findall(r"^\| `--(\w+)`.*? \| .*? \| (.*) \|$", page, re.MULTILINE))
    assert told == {name: flag.does for name, flag in FLAGS.items()}


def test_the_command_of_stickers_is_understood_but_for_its_placeholders() -> None:
    plan, problems = planned(STICKERS)
    assert (plan.model, plan.output.name, plan.steps(35), plan.typed["validation_prompt"]) == (
        "sd2.1",
        "tuned-model-lora-ski-fail",
        7700,
        "MY VALIDATION PHRASE",
    )
    assert problems == (
        "--resolution=your_resolution is a placeholder. Write a whole number in its place, or leave it out, for the default.",
        "--learning_rate=your_lr is a placeholder. Write a number in its place, such as 0.0001.",
        "--train_data_dir=my_dataset/ is not there. Write the folder of your pictures.",
    )


def test_the_command_of_posts_is_understood_but_for_a_data_set_that_never_was() -> None:
    plan, problems = planned(POSTS)
    assert (plan.family, plan.steps(300_000), plan.typed.text("hub_model_id")) == ("sdxl", 15000, "OrionXV/sdxl-turbo-for-adobe-gen")
    assert plan.typed["validation_prompt"] == POSTS.partition('prompt="')[2].partition('"')[0]
    assert problems[-1].startswith("--dataset_name=PromptEngForImageGen is no folder here and no data set of the hub")


def test_every_flag_is_honoured_refused_or_explained(tiny: Path, shapes: Path) -> None:
    common = [f"--pretrained_model_name_or_path={tiny}", "--seed=1", "--validation_prompt=x"]
    seen = 0
    for purpose, more in COMMON.items():
        given = [*common, f"--{more[0]}={shapes}", *more[1:]]
        for name, flag in FLAGS.items():
            if purpose not in flag.purposes or name in ("with_prior_preservation", "train_text_encoder", "output_kohya_format"):
                continue
            values = {"whole": 8 * 7, "number": 0.25, "text": "latest"}
            value = next((choice for choice in flag.choices[::-1] if choice != flag.default), values.get(flag.kind))
            again = [*given, f"--{name}" if flag.kind == "switch" else f"--{name}={value}"]
            changed, usual = (translate(read(words, None), Launch()) for words in (again, given))
            seen += 1
            assert effect(changed) != effect(usual), name
    assert seen == 55 + 76


# What makes every flag of a purpose mean something.
COMMON = {
    "text to image": ("train_data_dir",),
    "DreamBooth": (
        "instance_data_dir",
        "--instance_prompt=a photo of sks dog",
        "--with_prior_preservation",
        "--class_prompt=a photo of a dog",
        "--train_text_encoder",
        "--lr_scheduler=cosine_with_restarts",
    ),
}


def effect(told: tuple[Plan, tuple[str, ...]]) -> object:
    """All that a plan says and does; flags that the workflow reads from it by name count as honoured."""
    plan, problems = told
    read_later = {
        name: plan.typed[name]
        for name in (
            "allow_tf32",
            "class_data_dir",
            "push_to_hub",
            "prediction_type",
            "logging_dir",
            "checkpoints_total_limit",
            "resume_from_checkpoint",
            "dry_run",
        )
    }
    settings = plan.settings(16, keyword="", has_cuda=True)
    return (
        settings,
        plan.notes,
        problems,
        plan.source,
        plan.caption_column,
        plan.limit,
        plan.output,
        plan.revision,
        plan.prompt,
        read_later,
    )


def test_text_encoders_learn_at_the_one_rate_of_the_script() -> None:
    plan, problems = planned(
        "accelerate launch train_text_to_image_lora_sdxl.py --pretrained_model_name_or_path=sdxl --dataset_name=a/b --train_text_encoder"
    )
    train = plan.settings(10, keyword="", has_cuda=False)["train"]
    assert (problems, train["text_learning_rate"]) == ((), train["learning_rate"])


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("--learnin_rate=1", "--learnin_rate is not a flag of these scripts. Did you mean --learning_rate?"),
        ("--network_dim=8", "--network_dim is not a flag of these scripts. Did you mean --rank?"),
        ("--class_prompt=a dog", "--class_prompt is not a flag of these scripts. It is one of those for DreamBooth."),
        ("--lr=1", "--lr may be --lr_scheduler or --lr_warmup_steps. Write it in full."),
        ("--train_batch_size=0", "--train_batch_size must be at least 1 (it is 0)."),
        ("--rank=four", "--rank must be a whole number (it is 'four')."),
        ("--lr_scheduler=cosin", "--lr_scheduler cannot be 'cosin'. Did you mean cosine?"),
        ("--resolution=500", "--resolution=500 is no multiple of 8. Write 496 or 504."),
        ("--random_flip=no", "--random_flip is a switch and takes no value (it has 'no'). Leave the value out, or the whole flag."),
        ("--seed", "--seed has no value. Write one after it."),
    ],
)
def test_a_flag_that_is_wrong_is_told_with_what_was_meant(word: str, told: str) -> None:
    assert read(["--pretrained_model_name_or_path=mini", "--train_data_dir=x", word]).problems == (told,)


def test_names_may_be_begun_only_and_values_stand_apart_as_argparse_allows() -> None:
    told = read(["--pretrained_model", "mini", "--train_data_dir", "x", "--max_train_st", "5", "--snr-gamma", "5"])
    assert (told.given, told.problems) == (
        {"pretrained_model_name_or_path": "mini", "train_data_dir": "x", "max_train_steps": 5, "snr_gamma": 5.0},
        (),
    )


def test_steps_are_counted_as_the_scripts_count_them() -> None:
    # 35 pictures in batches of 4 are 9 batches, 3 of them a step are 3 steps an epoch: by hand.
    plan, _ = planned("--train_batch_size=4 --gradient_accumulation_steps=3 --num_train_epochs=10")
    assert (plan.steps_an_epoch(35), plan.steps(35)) == (3, 30)


# What accelerate is told.


def test_a_configuration_of_accelerate_is_honoured(tmp_path: Path) -> None:
    path = tmp_path / "home" / "accelerate" / "default_config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("compute_environment: LOCAL_MACHINE\nmixed_precision: bf16\nnum_processes: 2\nuse_cpu: true\n")
    launch = split(["accelerate", "launch", "train_text_to_image_lora.py"]).launch
    assert (launch.precision, launch.is_cpu, launch.processes, launch.problems) == ("bf16", True, 2, ())


@pytest.mark.parametrize("words", [[], ["python"], ["python3"]])
def test_a_script_that_is_not_launched_by_accelerate_is_one_process_whatever_is_configured(words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "home" / "accelerate" / "default_config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("compute_environment: LOCAL_MACHINE\nnum_processes: 2\n")
    assert split([*words, "train_text_to_image_lora.py"]).launch.processes == 1


def test_a_configuration_of_fsdp_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("distributed_type: FSDP\nnum_processes: 2\nfsdp_config:\n  fsdp_sharding_strategy: FULL_SHARD\n")
    (problem,) = split(f"accelerate launch --config_file {tmp_path / 'own.yaml'} train_text_to_image_lora.py".split()).launch.problems
    assert problem.startswith(f"{tmp_path / 'own.yaml'} asks for FSDP, which spreads a model that is too large")


def test_what_write_basic_config_writes_is_honoured(tmp_path: Path) -> None:
    write_basic_config("fp16", str(tmp_path / "home" / "accelerate" / "default_config.yaml"))
    launch = split([]).launch
    assert (launch.precision, launch.processes, launch.problems) == ("fp16", 1, ())


def test_options_go_before_the_configuration_and_the_script_before_both(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("mixed_precision: fp16\n")
    words = f"accelerate launch --config_file {tmp_path / 'own.yaml'} --mixed_precision no train_text_to_image_lora.py"
    assert (split(words.split()).launch.precision, planned(f"{words} --mixed_precision=bf16")[0].precision(has_cuda=True)) == ("no", "bf16")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--num_machines=3", "3 machines were asked for, and training runs on one."),
        ("--use_deepspeed", "accelerate launch asks for DeepSpeed"),
        (
            "--mixed_precison fp16",
            "--mixed_precison is not an option of accelerate launch that Decal understands. Did you mean --mixed_prec",
        ),
    ],
)
def test_what_accelerate_cannot_have_here_is_refused(words: str, told: str) -> None:
    (problem,) = split(f"accelerate launch {words} train_text_to_image_lora.py".split()).launch.problems
    assert problem.startswith(told)


def test_each_process_has_the_batch_of_the_command_and_is_started_with_it() -> None:
    command = "accelerate launch --cpu --num_processes 2 --mixed_precision bf16 train_text_to_image_lora.py --train_batch_size=3"
    plan, _ = planned(f"{command} --gradient_accumulation_steps=2 --pretrained_model_name_or_path=mini --train_data_dir=.")
    train = plan.settings(60, keyword="", has_cuda=False)["train"]
    # 60 pictures in batches of 2 x 3 are 10, two of which are a step: by hand.
    assert (train["batch"], train["accumulation"], plan.steps_an_epoch(60)) == (3, 4, 5)
    program, environment = launching.to_start(plan.launch, ["compat", "--rank=2"], {})
    assert program[-5:] == ["--nproc-per-node=2", "-m", "decal", "compat", "--rank=2"]
    assert environment == {"ACCELERATE_USE_CPU": "True", "ACCELERATE_MIXED_PRECISION": "bf16"}


def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(SettingsError, match=r"bad\.yaml cannot be read"):
        split(["accelerate", "launch", "--config_file", str(tmp_path / "bad.yaml"), "train_text_to_image_lora.py"])


def test_another_script_is_not_taken_for_one_of_these() -> None:
    (problem,) = split(["accelerate", "launch", "train_dreambooth_lora_flux.py"]).launch.problems
    assert problem.startswith("train_dreambooth_lora_flux.py is not one of the scripts that Decal understands.")


# The traps.


def scene(*flags: str, captions: Sequence[str] = ("zorb of a pear",) * 40, pictures: Sequence[Look] = (), keyword: str = "") -> Scene:
    words = ["--pretrained_model_name_or_path=sd1.5", "--train_data_dir=.", "--seed=1", "--checkpointing_steps=100", *flags]
    plan, _ = translate(read(words), split([]).launch)
    looks = {str(number): one for number, one in enumerate(pictures)}
    return Scene(plan, looks, captions, Tokenizer.from_folder(Path(MINI.where), 77), {}, keyword, False)


def look_at(folder: Path, mode: str, size: tuple[int, int]) -> Look:
    Image.new(mode, size).save(folder / "one.png")
    return look(folder / "one.png", "white")


def test_a_plain_command_springs_no_trap(tmp_path: Path) -> None:
    assert [trap(scene(pictures=[look_at(tmp_path, "RGB", (64, 64))])) for trap in TRAPS] == [None] * len(TRAPS)


SPRUNG: dict[str, tuple[str, tuple[str, ...], str]] = {
    "dead_base": ("", ("--pretrained_model_name_or_path=runwayml/stable-diffusion-v1-5",), "has left the hub: sd1.5 is a mirror"),
    "ignored_warmup": ("", ("--lr_scheduler=constant", "--lr_warmup_steps=50"), "here the rate does rise over 50 steps"),
    "endless_warmup": ("", ("--lr_scheduler=cosine", "--max_train_steps=100"), "here there is no warm-up"),
    "checkpoints_apart": (
        "",
        ("--num_train_epochs=220", "--checkpointing_steps=300", "--train_batch_size=1"),
        "asks for one about every 400",
    ),
    "mirrored_letters": ("a logo with text", ("--random_flip",), "40 captions with a word such as logo or text"),
    "half_precision_vae": (
        "",
        ("--pretrained_model_name_or_path=stabilityai/stable-diffusion-xl-base-1.0", "--mixed_precision=fp16"),
        "here the VAE stays in float32",
    ),
    "half_precision_without_gpu": ("", ("--mixed_precision=fp16",), "it is computed in float32"),
    "wrong_sampler": (
        "",
        ("--pretrained_model_name_or_path=stabilityai/sdxl-turbo", "--validation_prompt=a pear"),
        "no Turbo model is made for",
    ),
    "truncated_prompt": ("", ("--validation_prompt=" + "pear " * 80,), "has 82 tokens and the base reads 77"),
    "truncated_captions": ("pear " * 80, (), "40 captions of 40 longer than the 77 tokens"),
    "without_caption": (" ", (), "40 pictures of 40 have no caption"),
    "hardly_shown": (
        "",
        ("--max_train_steps=4", "--train_batch_size=2"),
        "4 steps of 2 are 0.2 epochs, so 32 of 40 pictures are never shown",
    ),
}


@pytest.mark.parametrize("name", SPRUNG)
def test_a_trap_is_told_when_it_is_stepped_into(name: str) -> None:
    caption, flags, told = SPRUNG[name]
    trap = next(one for one in TRAPS if one.__name__ == name)
    assert told in (trap(scene(*flags, captions=[caption or "zorb of a pear"] * 40)) or "")


def test_pictures_that_are_cut_or_transparent_are_told_of(tmp_path: Path) -> None:
    odd = look_at(tmp_path, "RGBA", (80, 64))
    told = [the_traps.cut_borders(scene(pictures=[odd])), the_traps.transparent_ground(scene(pictures=[odd]))]
    assert [str(one).partition(":")[0].partition(";")[0] for one in told] == [
        "without --center_crop the scripts cut a square out of 1 picture at random, borders included",
        "1 picture with transparent pixels",
    ]
    assert "up to 20% of a side is lost" in str(the_traps.cut_borders(scene("--center_crop", pictures=[odd])))


def test_a_validation_prompt_without_the_keyword_is_told_of() -> None:
    assert 'does not hold "zorb"' in str(the_traps.prompt_without_keyword(scene("--validation_prompt=a pear", keyword="zorb")))


def test_every_trap_is_tested() -> None:
    assert {trap.__name__ for trap in TRAPS} == {*SPRUNG, "cut_borders", "transparent_ground", "prompt_without_keyword"}


# The contract that diffusers' example tests check of their own scripts: examples/text_to_image/test_text_to_image_lora.py.


def test_a_training_leaves_a_lora_that_diffusers_loads_and_draws_with(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    assert (
        call("compat", *typed(tiny, shapes, tmp_path / "out", "--max_train_steps=2", "--lr_warmup_steps=0", "--learning_rate=0.1"))[0] == 0
    )
    keys = load_file(tmp_path / "out" / "pytorch_lora_weights.safetensors").keys()
    assert all(key.startswith("unet.") and "lora" in key for key in keys)
    drawn = drawn_by_diffusers(tiny, tmp_path / "out")
    base = stock_pipeline(tiny)("a zorb", num_inference_steps=2, generator=torch.Generator().manual_seed(0), output_type="np").images
    assert float((drawn - torch.from_numpy(base)).abs().max()) > 1e-3


def test_only_so_many_checkpoints_are_kept(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    more = ("--max_train_steps=6", "--checkpointing_steps=2", "--checkpoints_total_limit=2")
    assert call("compat", *typed(tiny, shapes, tmp_path / "out", *more))[0] == 0
    assert names(tmp_path / "out") == {"checkpoint-4", "checkpoint-6"}
    assert drawn_by_diffusers(tiny, tmp_path / "out" / "checkpoint-4").shape == (1, 64, 64, 3)


def test_a_resumed_training_removes_several_checkpoints(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call("compat", *typed(tiny, shapes, out, "--max_train_steps=4", "--checkpointing_steps=2"))[0] == 0
    assert names(out) == {"checkpoint-2", "checkpoint-4"}
    more = ("--max_train_steps=8", "--checkpointing_steps=2", "--checkpoints_total_limit=2", "--resume_from_checkpoint=checkpoint-4")
    assert call("compat", *typed(tiny, shapes, out, *more))[0] == 0
    assert names(out) == {"checkpoint-6", "checkpoint-8"}
    assert [one.step for one in checkpoints(Project(out / "decal").runs()[-1])] == [2, 4, 6, 8]


def test_a_training_of_sdxl_keeps_so_many_checkpoints_that_diffusers_draws_with(
    call: Call, tiny_xl: Path, shapes: Path, tmp_path: Path
) -> None:
    more = ("--max_train_steps=6", "--checkpointing_steps=2", "--checkpoints_total_limit=2")
    assert call("compat", "train_text_to_image_lora_sdxl.py", *typed(tiny_xl, shapes, tmp_path / "out", *more))[0] == 0
    keys = load_file(tmp_path / "out" / "pytorch_lora_weights.safetensors").keys()
    assert (names(tmp_path / "out"), all(key.startswith("unet.") and "lora" in key for key in keys)) == (
        {"checkpoint-4", "checkpoint-6"},
        True,
    )
    assert drawn_by_diffusers(tiny_xl, tmp_path / "out").shape == (1, 64, 64, 3)


def test_either_script_detects_the_family(tiny: Path, tiny_xl: Path, shapes: Path) -> None:
    plans = [planned(f"{name} --pretrained_model_name_or_path={model} --train_data_dir={shapes}") for name, model in crossed(tiny, tiny_xl)]
    assert [(plan.family, problems, "it is trained as that, whichever script was named" in plan.notes[0]) for plan, problems in plans] == [
        ("sdxl", (), True),
        ("sd", (), True),
    ]


def crossed(tiny: Path, tiny_xl: Path) -> list[tuple[str, Path]]:
    return [("train_text_to_image_lora.py", tiny_xl), ("train_text_to_image_lora_sdxl.py", tiny)]


def test_a_training_goes_on_from_an_older_checkpoint_to_the_same_weights(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    out, more = tmp_path / "out", ("--max_train_steps=6", "--checkpointing_steps=2")
    assert call("compat", *typed(tiny, shapes, out, *more))[0] == 0
    before = (out / "pytorch_lora_weights.safetensors").read_bytes()
    assert call("compat", *typed(tiny, shapes, out, *more, "--resume_from_checkpoint=checkpoint-2"))[0] == 0
    known = [[one.step for one in checkpoints(run)] for run in Project(out / "decal").runs()]
    assert (known, (out / "pytorch_lora_weights.safetensors").read_bytes() == before) == ([[2, 4, 6], [4, 6]], True)


def test_a_checkpoint_to_go_on_from_that_is_not_there_is_told(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    code, _, err = call("compat", *typed(tiny, shapes, tmp_path / "out", "--max_train_steps=2", "--resume_from_checkpoint=checkpoint-9"))
    assert (code, err.splitlines()[-2:]) == (
        2,
        [f"--resume_from_checkpoint=checkpoint-9: {tmp_path / 'out' / 'checkpoint-9'} is not there.", "There are: none."],
    )


def test_a_checkpoint_of_the_scripts_themselves_is_not_gone_on_with(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "checkpoint-500").mkdir(parents=True)
    code, _, err = call("compat", *typed(tiny, shapes, tmp_path / "out", "--max_train_steps=2", "--resume_from_checkpoint=latest"))
    assert (code, "checkpoint-500 was not written by Decal" in err) == (2, True)


def test_a_folder_of_another_tool_is_moved_out_of_the_way_and_never_removed(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "out" / "checkpoint-2"
    theirs.mkdir(parents=True)
    (theirs / "optimizer.bin").write_bytes(b"theirs")
    more = ("--max_train_steps=4", "--checkpointing_steps=2", "--checkpoints_total_limit=1")
    assert call("compat", *typed(tiny, shapes, tmp_path / "out", *more))[0] == 0
    assert (names(tmp_path / "out"), (tmp_path / "out" / "checkpoint-2-before-1" / "optimizer.bin").read_bytes()) == (
        {"checkpoint-4", "checkpoint-2-before-1"},
        b"theirs",
    )


def test_a_second_call_does_nothing(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    words = typed(tiny, shapes, tmp_path / "out", "--max_train_steps=2", "--checkpointing_steps=2", "--validation_prompt=a zorb")
    assert call("compat", *words)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    code, out, _ = call("compat", *words)
    assert (code, "Nothing to train" in out) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_a_command_that_is_stopped_goes_on_to_the_same_weights(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    def plan(name: str) -> Plan:
        return translate(read(typed(tiny, shapes, tmp_path / name, "--max_train_steps=6", "--checkpointing_steps=3")), split([]).launch)[0]

    with pytest.raises(StoppedError):
        list(train_as_typed(plan("stopped"), (tmp_path / "stopped" / "checkpoint-3").is_dir))
    assert not (tmp_path / "stopped" / "pytorch_lora_weights.safetensors").exists()
    list(train_as_typed(plan("stopped"), lambda: False))
    list(train_as_typed(plan("whole"), lambda: False))
    files = [tmp_path / name / "pytorch_lora_weights.safetensors" for name in ("stopped", "whole")]
    assert project.sha256(files[0]) == project.sha256(files[1])


def test_a_prediction_that_is_not_the_bases_is_refused(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    words = typed(tiny, shapes, tmp_path / "out", "--max_train_steps=1", "--prediction_type=v_prediction")
    code, _, err = call("compat", *words)
    assert (code, "--prediction_type=v_prediction: the base predicts epsilon" in err) == (2, True)


def test_a_revision_that_cannot_be_had_is_told(call: Call, shapes: Path, tmp_path: Path) -> None:
    flags = ["--pretrained_model_name_or_path=sd1.5", f"--train_data_dir={shapes}", f"--output_dir={tmp_path}", "--revision=fp16"]
    code, _, err = call("compat", *flags)
    assert (code, "--revision=fp16 of stable-diffusion-v1-5/stable-diffusion-v1-5 cannot be had" in err) == (1, True)


def test_another_command_in_the_same_folder_is_asked_about(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    assert call("compat", *typed(tiny, shapes, tmp_path / "out", "--max_train_steps=2"))[0] == 0
    code, _, err = call("compat", *typed(tiny, shapes, tmp_path / "out", "--max_train_steps=2", "--learning_rate=0.5"))
    assert (code, err.splitlines()[-1]) == (
        2,
        "Add --resume_from_checkpoint=latest to go on with the new ones, or write another --output_dir.",
    )


def test_other_pictures_in_the_same_folder_are_asked_about(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    data = shutil.copytree(shapes, tmp_path / "data")
    assert call("compat", *typed(tiny, data, tmp_path / "out", "--max_train_steps=2"))[0] == 0
    (data / "red-circle.png").write_bytes((data / "blue-ring.png").read_bytes())
    code, _, err = call("compat", *typed(tiny, data, tmp_path / "out", "--max_train_steps=2"))
    assert (code, "was begun before those pictures changed" in err) == (2, True)
    shutil.copytree(data, tmp_path / "more")
    code, _, err = call("compat", *typed(tiny, tmp_path / "more", tmp_path / "out", "--max_train_steps=2"))
    assert (code, "was begun with other pictures" in err) == (2, True)


def test_all_pictures_are_trained_on_and_drawn_where_the_scripts_draw(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    more = ("--num_train_epochs=1", "--validation_prompt=a zorb", "--num_validation_images=2", "--logging_dir=logs/here")
    assert call("compat", *typed(tiny, shapes, tmp_path / "out", *more)[:-1], more[-1], "--report_to=tensorboard")[0] == 0
    (run,) = Project(tmp_path / "out" / "decal").runs()
    assert {line["split"] for line in map(json.loads, run.dataset.read_text().splitlines())} == {"train"}
    assert (about(run).settings.train.steps, len(project.read(run.validation, Generation))) == (16, 2)
    shown = sorted(path.name for path in (tmp_path / "out" / "validation").iterdir())
    assert (shown, len(list((tmp_path / "out" / "logs" / "here").rglob("events.*")))) == (["step-000016-0.png", "step-000016-1.png"], 2)


def test_a_dry_run_says_what_a_command_means_and_writes_nothing(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    code, out, _ = call("compat", *typed(tiny, shapes, tmp_path / "out", "--max_train_steps=2", "--dry_run"))
    assert (code, "  train.rank = 4" in out.splitlines(), (tmp_path / "out").exists()) == (0, True, False)


def test_a_dry_run_finds_what_the_command_would_stop_at(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    pictures = shutil.copytree(shapes, tmp_path / "messy")
    (pictures / "broken.png").write_bytes(b"no picture")
    code, out, err = call("compat", *typed(tiny, pictures, tmp_path / "out", "--max_train_steps=2", "--dry_run"))
    assert (code, "1 picture of 17 has no caption" in out, "1 picture (broken.png)" in err) == (3, True, True)


def test_a_picture_that_is_mended_is_taken_by_the_same_command(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    pictures = shutil.copytree(shapes, tmp_path / "messy")
    (pictures / "red-circle.png").write_bytes(b"no picture")
    command = typed(tiny, pictures, tmp_path / "out", "--max_train_steps=1")
    code, _, err = call("compat", *command)
    assert (code, f"Mend or take out each in {pictures}, and call again" in err) == (3, True)
    shutil.copy(shapes / "red-circle.png", pictures)
    code, out, _ = call("compat", *command)
    assert (code, "nothing is trained yet, so they are copied anew" in out) == (0, True)


def test_the_command_of_stickers_runs(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    changed = {"resolution": 64, "learning_rate": 1e-3, "num_train_epochs": 2, "validation_epochs": 1, "checkpointing_steps": 16}
    words = replaced(STICKERS, pretrained_model_name_or_path=tiny, train_data_dir=shapes, output_dir=tmp_path / "out", **changed)
    code, out, _ = call("compat", "accelerate", "launch", "train_text_to_image_lora.py", *words)
    assert (code, sorted(folders(tmp_path / "out"))) == (0, [16, 32])
    assert "warning  --lr_scheduler=constant ignores --lr_warmup_steps=50 in the scripts; here the rate does rise over 32 steps" in out


def test_the_command_of_posts_runs(call: Call, tiny_xl: Path, shapes: Path, tmp_path: Path) -> None:
    changed = {"resolution": 64, "max_train_steps": 2, "checkpointing_steps": 1, "push_to_hub": None, "hub_model_id": None}
    words = replaced(POSTS, pretrained_model_name_or_path=tiny_xl, dataset_name=shapes, output_dir=tmp_path / "out", **changed)
    code, out, _ = call("compat", "accelerate", "launch", "train_text_to_image_lora.py", *words)
    assert (code, sorted(folders(tmp_path / "out")), len(list((tmp_path / "out" / "validation").iterdir()))) == (0, [1, 2], 4)
    assert "2 steps of 4 are 0.5 epochs, so 8 of 16 pictures are never shown" in out


@pytest.mark.slow
def test_accelerate_launches_the_script_as_typed_in_two_processes(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "scripts" / "train_text_to_image_lora.py"
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--multi_gpu", str(script)]
    done = subprocess.run([*launcher, *typed(tiny, shapes, tmp_path / "out", "--max_train_steps=1")], capture_output=True, text=True)
    assert (done.returncode, (tmp_path / "out" / "pytorch_lora_weights.safetensors").is_file()) == (0, True), done.stderr
    assert "1 step of 2 on 16 pictures" in done.stdout


def test_a_token_is_neither_shown_nor_kept() -> None:
    told = read(["--hub_token=secret", "--pretrained_model_name_or_path=mini", "--train_data_dir=x"])
    assert (told.token, "secret" in repr(told), isinstance(told, Typed)) == ("secret", False, True)


# DreamBooth, and text encoders: examples/dreambooth/test_dreambooth_lora.py and the SDXL part of test_text_to_image_lora.py.


def dreambooth(model: Path, data: Path, output: Path, *more: str) -> list[str]:
    words = typed(model, data, output, "--instance_prompt=a photo of sks dog", *more)
    return [word.replace("--train_data_dir", "--instance_data_dir") for word in words]


def parts(output: Path) -> set[str]:
    """The parts of a model that the LoRA of a folder is of."""
    keys = load_file(output / "pytorch_lora_weights.safetensors").keys()
    assert all("lora" in key for key in keys)
    return {key.partition(".")[0] for key in keys}


def test_dreambooth_gives_every_picture_the_one_caption_and_keeps_the_kind(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    kind = tmp_path / "dogs"
    kind.mkdir()
    shutil.copy(shapes / "red-ring.png", kind / "one.png")
    more = ("--with_prior_preservation", "--class_prompt=a photo of a dog", "--num_class_images=2", f"--class_data_dir={kind}")
    words = dreambooth(tiny, shapes, tmp_path / "out", "--max_train_steps=2", *more)
    code, _, err = call("compat", "accelerate", "launch", "train_dreambooth_lora.py", *words)
    assert code == 0, err
    assert parts(tmp_path / "out") == {"unet"}
    (run,) = Project(tmp_path / "out" / "decal").runs()
    assert {record.caption for record in project.read(run.dataset, Record)} == {"a photo of sks dog"}
    first, second = project.read(run.prior, Record)
    assert (first.file, first.caption, second.file.startswith("cache/")) == ("prior/one.png", "a photo of a dog", True)
    assert about(run).settings.train.learning_rate == 5e-4
    assert (tmp_path / "out" / "decal" / "prompts.txt").read_text().count("a photo of sks dog beside ") == 10


def test_pictures_of_the_kind_are_brought_in_when_they_are_first_asked_for_and_others_until_something_is_trained(
    call: Call, tiny: Path, shapes: Path, tmp_path: Path
) -> None:
    kind = tmp_path / "dogs"
    kind.mkdir()
    shutil.copy(shapes / "red-ring.png", kind / "one.png")
    # A checkpoint that is not there ends each call once the pictures are in.
    words = ["train_dreambooth_lora.py", *dreambooth(tiny, shapes, tmp_path / "out", "--resume_from_checkpoint=checkpoint-9")]
    with_kind = [*words, "--with_prior_preservation", "--class_prompt=a photo of a dog", f"--class_data_dir={kind}"]
    told = [call("compat", *words)[2], call("compat", *with_kind)[2]]
    assert ["checkpoint-9 is not there" in one for one in told] == [True, True]
    assert os.listdir(tmp_path / "out" / "decal" / "prior") == ["one.png"]
    (kind / "one.png").rename(kind / "two.png")
    assert "checkpoint-9 is not there" in call("compat", *with_kind)[2]
    assert os.listdir(tmp_path / "out" / "decal" / "prior") == ["two.png"]
    trained = [one for one in with_kind if "resume" not in one]
    assert call("compat", *trained, "--num_class_images=1", "--max_train_steps=1")[0] == 0
    (kind / "two.png").rename(kind / "one.png")
    assert "was begun with other pictures in --class_data_dir" in call("compat", *trained, "--num_class_images=1", "--max_train_steps=1")[2]


def test_dreambooth_trains_a_text_encoder_that_diffusers_loads_and_draws_with(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    more = ("--max_train_steps=3", "--checkpointing_steps=1", "--checkpoints_total_limit=2", "--train_text_encoder")
    assert call("compat", *dreambooth(tiny, shapes, tmp_path / "out", *more))[0] == 0
    assert (parts(tmp_path / "out"), names(tmp_path / "out")) == ({"unet", "text_encoder"}, {"checkpoint-2", "checkpoint-3"})
    assert drawn_by_diffusers(tiny, tmp_path / "out").shape == (1, 64, 64, 3)


@pytest.mark.parametrize("script", ["train_text_to_image_lora_sdxl.py", "train_dreambooth_lora_sdxl.py"])
def test_text_encoders_of_sdxl_are_trained_and_kept_so_many_times(
    call: Call, tiny_xl: Path, shapes: Path, tmp_path: Path, script: str
) -> None:
    flags = typed if "text_to_image" in script else dreambooth
    more = ("--max_train_steps=7", "--checkpointing_steps=2", "--checkpoints_total_limit=2", "--train_text_encoder")
    assert call("compat", script, *flags(tiny_xl, shapes, tmp_path / "out", *more))[0] == 0
    assert (parts(tmp_path / "out"), names(tmp_path / "out")) == (
        {"unet", "text_encoder", "text_encoder_2"},
        {"checkpoint-4", "checkpoint-6"},
    )
    assert drawn_by_diffusers(tiny_xl, tmp_path / "out").shape == (1, 64, 64, 3)


def test_dreambooth_of_sdxl_takes_captions_of_their_own_and_writes_kohyas_form(
    call: Call, tiny_xl: Path, shapes: Path, tmp_path: Path
) -> None:
    words = dreambooth(tiny_xl, shapes, tmp_path / "out", "--max_train_steps=1", "--caption_column=text", "--output_kohya_format")
    words = [word.replace("--instance_data_dir", "--dataset_name") for word in words]
    assert call("compat", "train_dreambooth_lora_sdxl.py", *words)[0] == 0
    (run,) = Project(tmp_path / "out" / "decal").runs()
    assert len({record.caption for record in project.read(run.dataset, Record)}) == 16
    assert all(key.startswith("lora_unet_") for key in load_file(tmp_path / "out" / "pytorch_lora_weights_kohya.safetensors"))


def test_dreambooth_of_sdxl_gives_pictures_whose_caption_is_empty_the_one_for_all(
    call: Call, tiny_xl: Path, shapes: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(shapes, tmp_path / "data"))
    lines = [json.loads(line) for line in (data / "metadata.jsonl").read_text().splitlines()]
    lines[3]["text"] = ""
    (data / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = dreambooth(tiny_xl, data, tmp_path / "out", "--max_train_steps=1", "--caption_column=text")
    words = [word.replace("--instance_data_dir", "--dataset_name") for word in words]
    assert call("compat", "train_dreambooth_lora_sdxl.py", *words)[0] == 0
    told = {row.file: row.caption for row in scan(tmp_path / "out" / "decal" / "dataset").rows}
    assert told == {line["file_name"]: line["text"] or "a photo of sks dog" for line in lines}


def test_steps_of_dreambooth_are_counted_as_its_scripts_count_them() -> None:
    words = "train_dreambooth_lora_sdxl.py --instance_prompt=x --instance_data_dir=. --pretrained_model_name_or_path=sdxl --repeats=3"
    kind = "--with_prior_preservation --class_prompt=y --num_train_epochs=2"
    # 10 pictures three times are 30, in batches of 4 are 8 a pass; 100 of the kind are 25: by hand.
    assert (planned(words)[0].steps(10), planned(f"{words} {kind}")[0].steps(10)) == (8, 50)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("--train_data_dir=.", "--train_data_dir is not a flag of these scripts. Did you mean --instance_data_dir?"),
        ("--with_prior_preservation", "--with_prior_preservation needs --class_prompt, what the pictures are in general"),
        ("--lora_dropout=0.1", "--lora_dropout cannot be had: a LoRA is trained without dropout here. Leave it out."),
        ("--do_edm_style_training", "--do_edm_style_training cannot be had: Decal trains no EDM-style model. Leave it out."),
        ("--use_dora --train_text_encoder", "--use_dora and --train_text_encoder: diffusers leaves the DoRA of text encoders out."),
        ("--optimizer=lion", "--optimizer cannot be 'lion'. There are AdamW and prodigy."),
    ],
)
def test_what_dreambooth_cannot_have_here_is_told_by_name(more: str, told: str) -> None:
    words = ["--pretrained_model_name_or_path=mini", "--instance_data_dir=.", "--instance_prompt=x", *more.split()]
    (problem,) = read(words, "dreambooth_sdxl").problems
    assert problem.startswith(told)
