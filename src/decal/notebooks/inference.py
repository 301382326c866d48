"""`inference.ipynb`: the chosen adapter in plain diffusers, why it was chosen, and the pictures of new prompts."""

from decal.checklist import plain
from decal.compare import telling
from decal.notebooks.cells import Cell, Subject, code, prose, table
from decal.records import Verdict

# So many prompts are drawn anew where the notebook is made, at every guidance; whoever opens it may raise the number.
PROMPTS_DRAWN = 2

# As `bases.sd.SAMPLERS`, by the names that a reader of diffusers knows.
SCHEDULERS = {
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_a": "EulerAncestralDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
}


def inference(subject: Subject) -> list[Cell]:
    """The cells that load the adapter with diffusers alone, show the comparison and draw new prompts."""
    settings = subject.about.settings
    keyword = settings.caption.keyword or subject.run
    cells = [
        prose(
            f"# Drawing with the LoRA {plain(keyword)}\n\n"
            + table(
                ("", ""),
                [("base", settings.base.model), ("LoRA", subject.adapter), ("checkpoint", f"step {subject.step:,}"), ("keyword", keyword)],
            )
        ),
        *_loading(subject),
        prose(f"## Which checkpoint to keep\n\n{plain(subject.why)}" + (f"\n\n{standings(subject.verdict)}" if subject.verdict else "")),
    ]
    if subject.sheets or subject.cells:
        cells += [
            code(
                """
                from IPython.display import Image, display


                def show(file, width_px=1400):
                    \"\"\"A sheet, no larger than a page needs.\"\"\"
                    with Pictures.open(file) as picture:
                        sheet = picture.convert("RGB")
                    sheet.thumbnail((width_px, 20 * width_px))
                    buffer = BytesIO()
                    sheet.save(buffer, "JPEG", quality=90)
                    display(Image(buffer.getvalue(), format="jpeg", alt=str(file)))
                """
            )
        ]
    for file, what in subject.sheets:
        cells += [prose(what), code("show(<<file>>)", {"file": file})]
    return [*cells, *_new_prompts(subject)]


def standings(verdict: Verdict) -> str:
    """The table of a verdict, as Markdown."""
    heads, *rows = telling.rows(verdict)
    return table(heads, rows)


STRENGTH = 'pipeline.set_adapters(pipeline.get_active_adapters(), adapter_weights=[cell["lora_strength"]])'
STRENGTH_BY_US = 'swapper.put_on(adapter, cell["lora_strength"])'
LOADING = """pipeline.load_lora_weights(LORA)
            pipeline.set_progress_bar_config(disable=True)
            pipeline = pipeline.to(device)
            print("adapters:", pipeline.get_active_adapters(), "on", device)"""
LOADING_BY_US = """pipeline.set_progress_bar_config(disable=True)
            pipeline = pipeline.to(device)

            from pathlib import Path

            from decal.adapters import Swapper, read

            parts = {name: part for name, part in pipeline.components.items() if name in ("unet", "text_encoder", "text_encoder_2")}
            swapper, adapter = Swapper(parts), read(Path(LORA), parts)
            swapper.put_on(adapter, 1.0)
            print(", ".join(adapter.kinds), "on", device)"""


PROGRESS = "pipeline.set_progress_bar_config(disable=True)\n"
# In diffusers' own way; SDXL has a table for each text encoder.
WORDS = """from pathlib import Path

            from safetensors.torch import load_file

            for word, file in <<learnt>>.items():
                for name, rows in load_file(Path(LORA).with_name(file)).items():
                    part = "_2" if name == "clip_g" else ""
                    place = {one: getattr(pipeline, one + part) for one in ("tokenizer", "text_encoder")}
                    pipeline.load_textual_inversion(rows, token=word, **place)
            """


def _is_lycoris(subject: Subject) -> bool:
    """Whether the adapter is of a kind that diffusers has no reader for."""
    return subject.about.settings.train.algorithm in ("loha", "lokr")


def _loading(subject: Subject) -> list[Cell]:
    sampler = SCHEDULERS[subject.cells[0].sampler] if subject.cells else SCHEDULERS["ddim"]
    kind, by = ("LoRA", "Nothing but diffusers.")
    if _is_lycoris(subject):
        kind, by = ("adapter", "Diffusers, and decal for the adapter, which is of a kind that diffusers does not read.")
    return [
        prose(f"## Load the base and the {kind}\n\n{by} {subject.base_note}"),
        code(
            f"""
            from io import BytesIO
            {"from importlib.resources import files" if "files(" in subject.base else ""}
            import diffusers
            import torch
            import transformers
            from PIL import Image as Pictures

            for library in (diffusers, transformers):
                library.utils.logging.set_verbosity_error()
                library.utils.logging.disable_progress_bar()

            from diffusers import {sampler}, AutoPipelineForText2Image

            BASE = {subject.base}
            LORA = <<adapter>>
            device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
            dtype = torch.float16 if device == "cuda" else torch.float32

            pipeline = AutoPipelineForText2Image.from_pretrained(
                BASE, torch_dtype=dtype, safety_checker=None, requires_safety_checker=False
            )
            pipeline.scheduler = {sampler}.from_config(pipeline.scheduler.config)
            pipeline.load_lora_weights(LORA)
            pipeline.set_progress_bar_config(disable=True)
            pipeline = pipeline.to(device)
            print("adapters:", pipeline.get_active_adapters(), "on", device)
            """.replace(LOADING, LOADING_BY_US if _is_lycoris(subject) else LOADING).replace(
                PROGRESS, (WORDS if subject.learnt else "") + PROGRESS
            ),
            {"adapter": subject.adapter, "learnt": dict(subject.learnt)},
        ),
    ]


def _new_prompts(subject: Subject) -> list[Cell]:
    if not subject.cells:
        return [prose("## New prompts\n\nNone were drawn; `checklist.md` says why.")]
    first = subject.cells[0]
    prompts = list(dict.fromkeys(cell.prompt for cell in subject.cells))
    guidance = list(dict.fromkeys(cell.guidance for cell in subject.cells))
    return [
        prose(
            f"""
            ## New prompts

            {len(prompts)} prompts that the LoRA was not trained on. Beside each stands the training caption that shares the most words with
            it, and the words of the prompt that no part of that caption holds.
            """
        ),
        prose(table(("prompt", "nearest training caption", "new in the prompt"), subject.nearest)),
        prose(
            f"""
            ## {len(prompts)} prompts x {len(guidance)} guidance scales = {len(subject.cells)} pictures

            Drawn with {first.sampler}, {first.steps} steps, {first.width_px} x {first.height_px} px.
            """
        ),
        code(
            """
            import json
            from pathlib import Path

            RUN = Path(<<run>>)
            kept = [json.loads(line) for line in (RUN / "generations.jsonl").read_text("utf-8").splitlines()]
            for number, one in enumerate(kept, start=1):
                cell = one["cell"]
                print(f"{number:3}  guidance {cell['guidance']:<4g}  seed {cell['seed']}  {cell['prompt']}")
            """,
            {"run": f"runs/{subject.run}"},
        ),
        code("show(<<file>>)", {"file": subject.grid_sheet}),
        prose(
            f"""
            ## Drawn again, here and now

            The pictures of the first prompts once more, with the pipeline above and the same seeds. `PROMPTS = {len(prompts)}` draws all.
            """
        ),
        code(
            """
            PROMPTS = <<prompts>>


            def draw(prompt, guidance, seed, steps, negative="", width=<<width>>, height=<<height>>):
                \"\"\"One picture.\"\"\"
                noise = torch.Generator("cpu").manual_seed(seed)
                return pipeline(
                    prompt, negative_prompt=negative, guidance_scale=guidance, num_inference_steps=steps, generator=noise,
                    width=width, height=height,
                ).images[0]


            first = list(dict.fromkeys(one["cell"]["prompt"] for one in kept))[:PROMPTS]
            again = [one for one in kept if one["cell"]["prompt"] in first]
            drawn = []
            for one in again:
                cell = one["cell"]
                pipeline.set_adapters(pipeline.get_active_adapters(), adapter_weights=[cell["lora_strength"]])
                drawn.append(draw(cell["prompt"], cell["guidance"], cell["seed"], cell["steps"], cell["negative"]))
            print(len(drawn), "pictures drawn")
            """.replace(STRENGTH, STRENGTH_BY_US if _is_lycoris(subject) else STRENGTH),
            {"prompts": PROMPTS_DRAWN, "width": first.width_px, "height": first.height_px},
        ),
        code(
            """
            import numpy

            side = 160
            pairs = Pictures.new("RGB", (len(drawn) * (side + 8), 2 * (side + 8)), "white")
            differences = []
            for column, (one, new) in enumerate(zip(again, drawn)):
                with Pictures.open(RUN / one["file"]) as picture:
                    old = picture.convert("RGB")
                differences.append(numpy.abs(numpy.asarray(old, float) - numpy.asarray(new, float)).mean())
                for row, picture in enumerate((old, new)):
                    pairs.paste(picture.resize((side, side)), (column * (side + 8), row * (side + 8)))
            print("above: the pictures that were kept; below: drawn now")
            print(f"mean difference of a picture: at most {max(differences):.2f} of 255")
            pairs
            """
        ),
    ]
