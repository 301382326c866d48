"""Measure the training step on a GPU in the forms that might be faster, at the real sizes of SD 2.1 and SDXL with random weights.

    python benchmarks/gpu/measure_gpu.py --out figures.jsonl
    python benchmarks/gpu/measure_gpu.py --tiny --device cpu         the whole flow on small models, to see that it works

Each form is first held against the eager step: the same weights after the same steps. Then it is timed at each batch: milliseconds a step
in all and until the host is free again, samples a second, peak memory, and the share of what a plain matrix product reaches on the same
card in the same run. `--peer-script` adds diffusers' script beside `decal train` on an SD 2.1 with random weights.
"""

import argparse
import gc
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import step_forms as forms
import torch
from random_sd import write_sd
from unets import CONFIGS

from decal import workflow

# A form does the same mathematics in another order, in bfloat16 on a GPU.
TOLERANCE = {"cuda": 0.1, "cpu": 0.02}


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small models of the same layout")
    parser.add_argument("--models", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--variants", nargs="+", choices=forms.VARIANTS, default=list(forms.VARIANTS))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--peer-script", type=Path)
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--out", type=Path, help="the figures as JSON lines")
    asked = parser.parse_args(arguments)
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device here; --tiny --device cpu shows the flow")
    device = torch.device(asked.device)
    card = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    limit = forms.ceiling(device, side=256 if asked.tiny else 8192)
    print(f"{card}, torch {torch.__version__}; a matrix product reaches {limit / 1e12:.3g} TFLOP/s")
    variants = [one for one in asked.variants if device.type == "cuda" or not one.startswith("graph")]
    for left in sorted(set(asked.variants) - set(variants)):
        print(f"{left}: not measured, a graph needs CUDA")
    figures = [one for model in asked.models for one in measured(model, variants, asked, device, limit)]
    if asked.out is not None:
        about = {"card": card, "torch": torch.__version__, "limit": limit}
        asked.out.write_text("".join(json.dumps(about | asdict(one), sort_keys=True) + "\n" for one in figures), "utf-8")
    if asked.peer_script is None:
        print("\ndiffusers script: not measured, because --peer-script names none")
    else:
        beside(asked)


def measured(model: str, variants: Sequence[str], asked: argparse.Namespace, device: torch.device, limit: float) -> Iterator[forms.Timed]:
    """The figures of one model in every form and batch, printed as they come. limit: operations a second, of a matrix product."""
    print(f"\n{model}\n{'form':20}{'batch':>6}{'ms':>9}{'host ms':>9}{'samples/s':>11}{'of limit':>10}{'peak GiB':>10}{'set-up s':>10}")
    for variant in variants:
        apart = 0.0 if variant == "eager" else forms.difference(model, variant, is_tiny=asked.tiny, device=device)
        if apart > TOLERANCE[device.type]:
            print(f"{variant:20}leads the weights {apart:.1%} astray from where the eager step leads them: not timed")
            continue
        for batch in asked.batches:
            gc.collect()
            try:
                one = forms.timed(model, variant, batch=batch, is_tiny=asked.tiny, device=device, steps=asked.steps)
            except torch.OutOfMemoryError:
                print(f"{variant:20}{batch:6}  does not fit")
                continue
            share = one.flops_per_second / limit
            print(
                f"{variant:20}{batch:6}{1e3 * one.step:9.1f}{1e3 * one.host:9.1f}{batch / one.step:11.2f}{share:10.1%}"
                f"{one.bytes / 2**30:10.2f}{one.setup:10.1f}"
            )
            yield one


def beside(asked: argparse.Namespace) -> None:
    """`decal train` beside diffusers' script, on an SD 2.1 with random weights."""
    with TemporaryDirectory(prefix="decal-gpu-") as folder:
        wish = workflow.BenchWish(
            base=str(write_sd(Path(folder), is_tiny=asked.tiny)),
            steps=(max(4, asked.steps),),
            batch=asked.batches[0],
            script=asked.peer_script,
            python=asked.peer_python,
        )
        for told in workflow.measure_training(wish, lambda: False):
            if isinstance(told, str):
                print(told)


if __name__ == "__main__":
    main()
