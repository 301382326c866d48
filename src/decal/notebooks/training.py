"""`train.ipynb`: the data set, the command, the settings, the log and the losses of one run."""

from decal.checklist import plain
from decal.notebooks.cells import Cell, Subject, code, prose, table
from decal.presets import BASES

# More would make a notebook that no page shows.
SHOWN = 100
LOG_LINES = 60
LAYERS = {
    "attention": "the attention layers",
    "all": "attention, feed-forward and convolutions",
    "imported": "the layers of the LoRA it began with",
}


def training(subject: Subject) -> list[Cell]:
    """The cells that show how the LoRA was trained; the training cell goes on where the run stopped."""
    about, run = subject.about, subject.run
    settings = about.settings
    keyword = settings.caption.keyword or run
    state = (
        f"The training is finished: {settings.train.steps:,} steps."
        if subject.is_trained
        else f"The training is not finished: it is at step {subject.steps[-1].step if subject.steps else 0:,} of {settings.train.steps:,}. "
        "The cell below goes on; it was not run when this notebook was made."
    )
    cells = [
        prose(f"# Training the LoRA {plain(keyword)}\n\n" + table(("", ""), _facts(subject))),
        prose(
            """
            Every path below is relative to the folder of this notebook, so it runs wherever the folder lies. It needs
            `pip install decal`.
            """
        ),
        prose("## The data set"),
        code(
            """
            import json
            from html import escape
            from pathlib import Path

            from IPython.display import Markdown, display
            from PIL import Image, ImageDraw, ImageFont, ImageOps

            RUN = Path(<<run>>)
            SHOWN = <<shown>>

            rows = [json.loads(line) for line in Path("dataset/metadata.jsonl").read_text("utf-8").splitlines()]
            print(len(rows), "pictures with captions", f"(the first {SHOWN} are shown)" if len(rows) > SHOWN else "")
            """,
            {"run": f"runs/{run}", "shown": SHOWN},
        ),
        code(
            """
            def contact_sheet(files, side=140, columns=6):
                \"\"\"The pictures in rows, each with its number.\"\"\"
                columns, head, gap = min(columns, len(files)), 20, 12
                lines = -(-len(files) // columns)
                sheet = Image.new("RGB", (columns * (side + gap), lines * (side + head + gap)), "white")
                pen = ImageDraw.Draw(sheet)
                for place, file in enumerate(files):
                    x, y = place % columns * (side + gap), place // columns * (side + head + gap)
                    with Image.open(file) as picture:
                        whole = ImageOps.exif_transpose(picture).convert("RGBA")
                    whole.thumbnail((side, side))
                    pen.text((x, y), str(place + 1), fill="#6e7781", font=ImageFont.load_default(14))
                    sheet.paste(whole, (x, y + head), whole)
                return sheet


            contact_sheet([Path("dataset", row["file_name"]) for row in rows[:SHOWN]])
            """
        ),
        code(
            """
            from decal.captions import Tokenizer

            BASE = <<base>>
            captions = [text if isinstance(text := row["text"], str) else " / ".join(text) for row in rows]
            tokenizer = Tokenizer.of_base(BASE)
            tokens = tokenizer.counts(captions)
            print(f"Tokens of a caption: {min(tokens)} to {max(tokens)}, the base reads {tokenizer.limit} (begin and end included).")

            lines = ["| | file | caption | tokens |", "| --: | :-- | :-- | --: |"]
            for number, (row, caption, count) in enumerate(list(zip(rows, captions, tokens))[:SHOWN], start=1):
                told = [escape(text).replace("|", "&#124;").replace("$", "&#36;") for text in (row["file_name"], caption)]
                lines.append(f"| {number} | {told[0]} | {told[1]} | {count} |")
            display(Markdown("\\n".join(lines)))
            """,
            {"base": settings.base.model},
        ),
        prose(
            f"""
            ## The command

            In a terminal, in this folder:

            ```
            decal train . --run {run}
            ```

            It goes on where the training stopped, to the same weights as if it had never stopped; on a finished training it does nothing.
            `decal train . --new-run` begins another one. {state}
            """
        ),
        code(
            """
            import subprocess
            import sys

            command = [sys.executable, "-m", "decal", "train", ".", "--run", <<run>>]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8") as process:
                for line in process.stdout:
                    print(line, end="", flush=True)
            assert process.returncode == 0, f"the training ended with exit code {process.returncode}"
            """,
            {"run": run},
            is_run=subject.is_trained,
        ),
        prose("## The settings"),
        code(
            """
            about = json.loads((RUN / "run.json").read_text("utf-8"))
            print(Path("decal.toml").read_text("utf-8"))
            print("begun", about["begun"], "in", about["device"])
            print(", ".join(f"{name} {version}" for name, version in about["versions"].items()))
            """
        ),
        prose(
            """
            ## The log

            Every step stands in `steps.jsonl` of the run. Here the training loss is the mean over the steps since the line before; the
            held-out loss is measured at every checkpoint on pictures that were kept out of training, with the same noise every time.
            """
        ),
        code(
            """
            from statistics import fmean

            from decal.project import read_steps

            steps = read_steps(RUN / "steps.jsonl")
            every = max(1, steps[-1].step // <<lines>>)
            print("  step  epoch     loss  held-out  learning rate  gradient  seconds")
            losses = []
            for step in steps:
                losses += [] if step.loss is None else [step.loss]
                if step.step % every == 0 or step.holdout_loss is not None or step is steps[-1]:
                    loss = f"{fmean(losses):.4f}" if losses else "-"
                    held_out = "" if step.holdout_loss is None else f"{step.holdout_loss:.4f}"
                    gradient = "-" if step.grad_norm is None else f"{step.grad_norm:.3f}"
                    rate = f"{step.learning_rate:.3e}"
                    print(f"{step.step:6}  {step.epoch:5}  {loss:>7}  {held_out:>8}  {rate:>13}  {gradient:>8}  {step.seconds:7.2f}")
                    losses = []
            minutes = sum(step.seconds for step in steps) / 60
            skipped = sum(step.is_skipped for step in steps)
            sittings = len({step.attempt for step in steps})
            print(f"{steps[-1].step} steps in {minutes:.1f} minutes, {skipped} skipped, {sittings} sitting{'s' if sittings > 1 else ''}")
            """,
            {"lines": LOG_LINES},
        ),
        prose("## The losses"),
        code(
            """
            from decal.curves import Plot, draw_losses

            checkpoints = <<checkpoints>>
            held_out = {step.step: step.holdout_loss for step in steps if step.holdout_loss is not None and step.step in checkpoints}
            plot = Plot(label_width_px=210, left_px=250, right_px=1000, inset_px=14, unit=1.0)
            draw_losses(steps, plot, marks=checkpoints, best=min(held_out, key=held_out.get) if len(held_out) > 1 else None)
            """,
            {"checkpoints": [checkpoint.step for checkpoint in subject.checkpoints]},
        ),
        prose(
            "## The checkpoints\n\n"
            + table(
                ("step", "held-out loss", "sha256 of the LoRA"),
                [
                    (one.step, "-" if one.holdout_loss is None else f"{one.holdout_loss:.4f}", one.sha256[:16])
                    for one in subject.checkpoints
                ],
            )
            + f"\n\n{_note(subject)}"
        ),
        code(
            """
            from decal.project import read
            from decal.records import Generation
            from decal.sheets import compare_sheet

            drawn = {one.cell: RUN / one.file for one in read(RUN / "validation.jsonl", Generation)}
            print(f"{len(drawn)} pictures were drawn while it trained")
            if drawn:
                display(compare_sheet(list(drawn), drawn, steps=[], run=<<run>>, base=<<base>>))
            """,
            {"run": run, "base": settings.base.model.rpartition("/")[2]},
        ),
    ]
    return cells


def _facts(subject: Subject) -> list[tuple[str, str]]:
    """What is known at a glance."""
    settings, count = subject.about.settings, len(subject.records)
    held_out = sum(record.split == "holdout" for record in subject.records)
    train = settings.train
    licence = BASES[settings.base.model].licence if settings.base.model in BASES else "see its model card"
    return [
        ("base", f"{settings.base.model} ({licence}), {settings.data.resolution} px"),
        ("keyword", settings.caption.keyword or "none"),
        ("pictures", f"{count}, {held_out} of them held out" if held_out else f"{count}, none held out"),
        ("training", f"{train.steps:,} steps of {train.batch * train.accumulation}, a checkpoint every {train.checkpoint_every:,} steps"),
        ("LoRA", f"rank {train.rank}, alpha {train.alpha:g}, on {LAYERS[train.targets]}"),
        ("learning rate", f"{train.learning_rate:g}, {train.schedule}, {train.warmup_steps} warm-up steps"),
        ("run", f"{subject.run}, begun {subject.about.begun}, {subject.about.device}"),
    ]


def _note(subject: Subject) -> str:
    lost = "The lowest held-out loss does not name the best pictures; `inference.ipynb` compares the checkpoints on prompts they never saw."
    return lost if any(one.holdout_loss is not None for one in subject.checkpoints) else "`inference.ipynb` compares them."
