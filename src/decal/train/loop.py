"""The loop.

`train` yields blocks of steps and checkpoints; whoever iterates prints, records, draws and stops. Losses stay on the device and are copied
back a block late, so no step waits for the host. A step whose loss or gradient is not finite leaves the weights alone: the flag goes to
fused AdamW as `found_inf`, on the device, as a gradient scaler would pass it.
"""

import gc
import logging
import math
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor

from decal import lora, objective, optimizers, processes, state
from decal.bases import FULL, Base, is_full
from decal.batches import Order, Sample, lowest_terms, seed_for, share
from decal.cache import Batch, Examples, to_device
from decal.errors import DivergedError, MemoryFullError, SettingsError
from decal.project import Run, sha256, staged_folder
from decal.records import Checkpoint, Rung, RungKind, Step
from decal.schedule import Rate
from decal.settings import Resolved
from decal.state import State
from decal.train import compiling, fitting
from decal.train.compiling import Compiler
from decal.train.device import keep_freed_memory

logger = logging.getLogger(__name__)

# cuBLAS reads it once, when CUDA starts; without it, matrix products on a GPU need not repeat to the bit.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

# A block ends after so many steps or seconds, whichever comes first, so that whoever watches sees slow steps one by one.
BLOCK_STEPS, BLOCK_SECONDS = 10, 1.0
HOLDOUT_TIMESTEPS = 8
# So many held-out samples of 512 px go through at once, of larger ones as many fewer, and of small ones as many as come to so many places
# of latents. Without gradients a pass is small, so this does not follow train.batch: two of SDXL at 1024 px hold half of what a step of
# one with gradient checkpointing does, counted on its layers. Small pictures in small passes take up to twice as long.
HOLDOUT_BATCH, LARGE_PLACES, HOLDOUT_PLACES = 8, 64 * 64, 24 * 16 * 16
MEASURING = " while held-out pictures were measured"
# fp16 starts with a scale that may be too large and needs up to 16 halvings; more skipped steps in a row than that is divergence.
UNFIT_LIMIT = 20
# As many as few-step models are drawn in at most; fewer steps visit some of the same timesteps.
FEW_STEPS = 4
STATES_KEPT = 2
STATE_FILE = "state.safetensors"


def measured_at_once(places: int) -> int:
    """How many held-out samples go through at once. places: of the largest latents, height times width."""
    return max(1, min(HOLDOUT_BATCH, HOLDOUT_BATCH * LARGE_PLACES // places), HOLDOUT_PLACES // places)


@dataclass(frozen=True)
class Task:
    """All that a training needs: what to learn from, how, where to put it, where to go on from, and when to stop.

    resume: the state to go on from; None at the beginning. stop: asked before every step. start: factors to begin with; None for new ones.
    prior: pictures of the kind in general, which every step learns as well so that they are not forgotten. rungs: what earlier sittings did
    for want of memory or for speed. spare_bytes: what may still be taken on a device; None where that is not known. compiler: for
    `train.compile`. compiled_after: the step after which an earlier sitting compiled; None where none did. pace: seconds of a step of
    earlier sittings, 0 where there is none. untrained: the line of step 0, where the base was measured on these held-out pictures before.
    sample_bytes: what is kept of a sample for its backward pass, by measuring it; it may know from another run.
    """

    run: Run
    settings: Resolved
    train: Examples
    holdout: Examples
    attempt: int
    resume: State | None
    stop: Callable[[], bool]
    start: Path | None = None
    prior: Examples | None = None
    rungs: tuple[RungKind, ...] = ()
    spare_bytes: Callable[[torch.device], int | None] = fitting.spare_bytes
    compiler: Compiler = compiling.INDUCTOR
    compiled_after: int | None = None
    pace: float = 0.0
    untrained: Step | None = None
    sample_bytes: Callable[[Callable[[], int]], int] = lambda measure: measure()


@dataclass(frozen=True)
class Pause:
    """A moment between two checkpoints at which whoever iterates may draw with the adapter. factors_sha256: of what it is then, hex."""

    step: int
    factors_sha256: str


Happening = list[Step] | Checkpoint | Pause | Rung
Result = TypeVar("Result")


def train(base: Base, task: Task) -> Iterator[Happening]:
    """Train a LoRA on the base; yields blocks of steps, checkpoints whose files are whole, pauses to draw in, and what want of memory did.

    When `task.stop` says so, the state to go on from is saved and the iteration ends. Raises DivergedError when `UNFIT_LIMIT` steps in a
    row were not finite, and MemoryFullError when memory is full and nothing is left to do about it. With several processes this is what the
    first one does; the others `assist`.
    """
    settings = task.settings.train
    loop = _Loop(base, task)
    yield from loop.fit()
    if task.resume is None:
        yield [(yield from loop.untrained())]
        loop.begin()
    loop.restart_clock()
    while loop.step < settings.steps and processes.first_says(not task.stop()):
        yield from loop.advance()
        if loop.step % settings.checkpoint_every == 0 or loop.step == settings.steps:
            loop.send()
            held = yield from loop.holdout()
            yield loop.read(late_blocks=0, held=held)
            checkpoint = loop.save(held.mean)
            # Whoever takes it may draw with the denoiser, and should see what was saved.
            with loop.average.shown():
                yield checkpoint
        elif settings.validate_every and loop.step % settings.validate_every == 0:
            loop.send()
            yield loop.read(late_blocks=0)
            with loop.average.shown():
                yield Pause(loop.step, lora.fingerprint(loop.factors))
        elif len(loop.block) == BLOCK_STEPS or time.perf_counter() - loop.clock >= BLOCK_SECONDS:
            loop.send()
            if steps := loop.read(late_blocks=int(base.device.type != "cpu")):
                yield steps
        yield from loop.consider_compiling()
        loop.restart_clock()
    if loop.send() or loop.sent:
        yield loop.read(late_blocks=0)
    if loop.step < settings.steps:
        loop.save_stop()


def assist(base: Base, task: Task) -> None:
    """Do the share of this process of every step that the first process does in `train`; measures, draws and writes nothing."""
    loop = _Loop(base, task)
    if task.resume is None:
        loop.begin()
    for rung in loop.fit():
        logger.info("%s", rung.told())
    while loop.step < task.settings.train.steps and processes.first_says(False):
        for rung in (*loop.advance(), *loop.consider_compiling()):
            logger.info("%s", rung.told())
        loop.block.clear()


@dataclass(frozen=True)
class _Done:
    """A step whose numbers may still be on the device. numbers: [loss, grad norm, 1 if not finite]."""

    step: int
    learning_rate: float
    numbers: Tensor


@dataclass(frozen=True)
class _Sent:
    """A block of steps whose numbers are on their way to the host. seconds: a step. arrived: set once they are there."""

    block: list[_Done]
    numbers: Tensor
    seconds: float
    arrived: torch.cuda.Event | None


@dataclass(frozen=True)
class _Held:
    """The loss on the held-out pictures. mean: None where there are none or it is not finite. each: of a picture, over all timesteps."""

    mean: float | None
    each: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Lesson:
    """Pictures that every step learns some of. what: keeps their random numbers apart from those of others. weight: of their loss."""

    examples: Examples
    order: Order
    what: tuple[str, ...]
    weight: float


@dataclass(frozen=True)
class _Part:
    """What one forward pass of a step is made of. noise: to be found; added: to the latents; all on the host."""

    samples: list[Sample]
    timesteps: Tensor
    posterior: Tensor
    noise: Tensor
    added: Tensor


class _Loop:
    """The training between two yields: the adapter, its optimizer, the step reached, and the numbers on their way back."""

    def __init__(self, base: Base, task: Task) -> None:
        settings = task.settings.train
        self.base, self.task, self.settings = base, task, settings
        if base.device.type == "cuda":
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.backends.cudnn.benchmark = False
        elif base.device.type == "cpu":
            keep_freed_memory()
        self.lessons = [_Lesson(task.train, self._order(task.train, settings.seed, settings.caption_dropout), (), 1.0)]
        self.order = self.lessons[0].order
        if task.prior is not None:
            # The empty caption is left to the pictures that are taught.
            order = self._order(task.prior, seed_for(settings.seed, "prior"), 0.0)
            self.lessons.append(_Lesson(task.prior, order, ("prior",), settings.prior_weight))
        words = lora.new_words(base, settings, task.settings.caption.keyword.strip()) if settings.learns_words else None
        base.speak(words)
        self.factors = lora.attach(base, settings, task.start)
        self.share = share(processes.index(), processes.count(), batch=settings.batch, accumulation=settings.accumulation)
        # What is trained is as it was set, and so are its samples; how many of this process's go through at once is as memory allows.
        self.fitted = fitting.lowered(fitting.of_share(settings, self.share), task.rungs)
        largest = max((math.prod(shape) for shape in task.holdout.shapes), default=HOLDOUT_PLACES)
        at_once = min(measured_at_once(largest), HOLDOUT_TIMESTEPS * len(task.holdout))
        self.measured_at_once = max(1, at_once >> task.rungs.count("measuring"))
        self.spread = lora.spreads(base, words) if words is not None else {}
        # From the next step on, embeddings stay as they are.
        self.pivot = max(1, round(settings.pivotal_share * settings.steps))
        self.signal = base.alphas_cumprod.to(base.device)
        # accelerate keeps one state a process and refuses another precision in it; each training begins with a fresh one.
        AcceleratorState._reset_state(reset_partial_state=True)
        precision = {torch.float32: "no", torch.bfloat16: "bf16", torch.float16: "fp16"}[base.dtype]
        self.accelerator = Accelerator(mixed_precision=precision, cpu=base.device.type == "cpu")
        self.optimizer = optimizers.make(self.fitted, lora.groups(self.factors, settings), base.device)
        self.stepped = self.accelerator.prepare_optimizer(self.optimizer)
        self.rate = Rate(
            settings.schedule,
            peak=settings.learning_rate,
            steps=settings.steps,
            warmup_steps=settings.warmup_steps,
            restarts=settings.restarts,
            final_share=settings.final_rate,
        )
        self.average = optimizers.Average(self.factors, self.optimizer, settings.ema_decay)
        self.step = self.unfit = 0
        if task.resume is not None:
            self.step, self.unfit = task.resume.step, task.resume.unfit
            state.restore(self._fitting(task.resume), self.factors, self.optimizer, self.average.ema)
            if self.accelerator.scaler is not None and task.resume.scaler:
                self.accelerator.scaler.load_state_dict(task.resume.scaler)
        self.pace = task.pace
        self.predict, self.is_proven = base.predict, True
        self.block: list[_Done] = []
        self.sent: list[_Sent] = []
        self.clock = time.perf_counter()

    def begin(self) -> None:
        """Put in the factors that the training begins with, where there are some; the base was measured before."""
        if self.task.start is not None:
            lora.begin_with(self.task.start, self.factors, self.settings.scale)
            self.average = optimizers.Average(self.factors, self.optimizer, self.settings.ema_decay)

    def _order(self, examples: Examples, seed: int, caption_dropout: float) -> Order:
        size = self.settings.batch * self.settings.accumulation
        repeats = lowest_terms([record.repeats for record in examples.records])
        shapes = examples.shapes
        buckets = tuple(sorted(set(shapes)).index(shape) for shape in shapes) if len(set(shapes)) > 1 else ()
        flip = self.task.settings.data.flip
        return Order(seed, len(examples), size, flip, caption_dropout, repeats, buckets, self.settings.batch)

    def fit(self) -> Iterator[Rung]:
        """Do what is needed so that a step fits the memory that is there, by the estimate of one sample; yields what was done."""
        spare = None if self.settings.fit_memory == "off" else self.task.spare_bytes(self.base.device)
        # One sample is measured without gradient checkpointing, which comes on only then.
        sample = 0 if spare is None else self._sample_bytes(spare)
        self._checkpoint()
        if self.settings.compile == "on" and (obstacle := self._obstacle()) is not None:
            raise SettingsError(f'train.compile = "on" cannot be: {obstacle}.\nWrite "auto" or "off".')
        after = self.task.compiled_after
        if self.settings.compile == "on" or (after is not None and self.step >= after and self._is_open and self._obstacle() is None):
            self._compile()
        if spare is None:
            return
        foreseen, numbers = fitting.foreseen_bytes, sum(factor.numel() for factor in self.factors.values())
        while (needed := foreseen(self.fitted, self.base.device, sample_bytes=sample, numbers=numbers)) > spare:
            kind = self._next_rung()
            if kind is None:
                logger.warning("a step is estimated to take %.2f GiB, and %.2f GiB are free", needed / 2**30, spare / 2**30)
                return
            yield self._lower(kind, f"a step is estimated to take {needed / 2**30:.2f} GiB of the {spare / 2**30:.2f} GiB that are free")

    def advance(self) -> Iterator[Rung]:
        """Do one optimizer step; nothing in it waits for the device. Where memory is full, yields what is done about it and begins anew.

        Every random number is drawn from a counter and weights move only at the end, so a step that is begun anew is the same step.
        """
        self.step += 1
        for name in self.spread:
            self.factors[name].requires_grad_(self.step <= self.pivot)
        loss = yield from self._unless_full(self._gradients, self._next_rung)
        processes.average([*(one.grad for one in self.factors.values() if one.grad is not None), loss])
        norm = self.accelerator.clip_grad_norm_(list(self.factors.values()), self.settings.max_grad_norm)
        is_unfit = (~(loss.isfinite() & norm.isfinite())).float()
        rate = self.rate.at(self.step - 1)
        yield from self._move(rate, is_unfit)
        self.stepped.zero_grad()
        if self.step <= self.pivot:
            lora.retract(self.factors, self.spread, is_unfit)
        self.average.follow(self.step)
        self.block.append(_Done(self.step, rate, torch.stack([loss.float(), norm.float(), is_unfit])))

    def _move(self, rate: float, is_unfit: Tensor) -> Iterator[Rung]:
        """Let the optimizer move the weights by their gradients. Where memory is full they move once all the same, or the training ends."""
        # An optimizer makes what it keeps of each factor in its first step; there memory may well run out between one factor and the next.
        is_first = any(one.grad is not None and one not in self.optimizer.state for one in self.factors.values())
        before = self._state() if is_first else None
        gradients: dict[str, Tensor] = {}
        is_spoilt = False

        def attempt() -> None:
            if is_spoilt:
                raise MemoryFullError(
                    f"{self.task.run.folder}, step {self.step}: memory ran out while the optimizer moved the weights, which are given up.\n"
                    "Free memory and repeat the command, which goes on from the last checkpoint."
                )
            for name, gradient in gradients.items():
                self.factors[name].grad = self._on_device(gradient)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group.get("share", 1.0)
            if self.accelerator.scaler is None:
                optimizers.skip_or_step(self.optimizer, self.stepped, is_unfit)
            else:
                self.stepped.step()

        def undo() -> None:
            nonlocal is_spoilt
            is_spoilt = before is None
            # With several processes they are the mean of all, which one cannot have again; they give way while memory is cleared.
            if not gradients:
                gradients.update({name: one.grad.cpu() for name, one in self.factors.items() if one.grad is not None})
            if before is not None:
                self.optimizer.state.clear()
                # By now it may be another optimizer, taken for want of memory.
                state.restore(self._fitting(before), self.factors, self.optimizer, self.average.ema)

        def ladder() -> RungKind | None:
            # A gradient scaler holds what it knows of this step by its optimizer.
            kind = self._next_rung()
            return None if kind == "adamw_8bit" and self.accelerator.scaler is not None else kind

        yield from self._unless_full(attempt, ladder, " in the optimizer's step", undo)

    def _unless_full(
        self, work: Callable[[], Result], ladder: Callable[[], RungKind | None], place: str = "", undo: Callable[[], None] = lambda: None
    ) -> Generator[Rung, None, Result]:
        """What the work gives; where memory is full, yields what is done about it, and the work is begun anew.

        ladder: what is still to be done. place: where the work stands in a step, in words. undo: takes back what the work did.
        Raises MemoryFullError where nothing is left to do. Where held-out pictures are measured, what is done changes nothing of the
        training, so it is done with train.fit_memory = "off" too.
        """
        while True:
            try:
                return work()
            except FULL as problem:
                if (self.settings.fit_memory == "off" and place != MEASURING) or not is_full(problem):
                    raise
            # Only here is the failed pass let go of, which the exception held.
            undo()
            self._let_go()
            why, kind = f"the {self.base.device.type} ran out of memory{place}", ladder()
            if kind is None:
                raise MemoryFullError(
                    f"{self.task.run.folder}, step {self.step}: {why}, and there is no way left to need less.\n"
                    f"Lower data.resolution (now {self.task.settings.data.resolution}) or train.rank (now {self.settings.rank}) with "
                    "--new-run, or free memory and repeat the command, which goes on from the last checkpoint."
                )
            yield self._lower(kind, why, before=max(1, self.step))

    def consider_compiling(self) -> Iterator[Rung]:
        """Once some steps have been watched, compile the rest where that pays; yields that it was done.

        It is decided once a run, and what was recorded is done again after the same step, so that a resumed run ends in the same bytes.
        """
        compiler, left = self.task.compiler, self.settings.steps - self.step
        if not self._is_open or self.predict != self.base.predict:
            return
        if self.step == self.task.compiled_after and self._obstacle() is None:
            self._compile()
        if self.step != compiling.WATCHED or self.task.compiled_after is not None:
            return
        # All processes know the same obstacles; how fast they are is what the first one sees.
        if not processes.first_says(compiler.pays(self.pace, left)):
            return
        if (obstacle := self._obstacle()) is not None:
            logger.warning("compiling would pay and is left out: %s", obstacle)
            return
        self._compile()
        yield self._rung("compiled", compiler.told(self.pace, left), self.step)

    @property
    def _is_open(self) -> bool:
        """Whether it was left to us to compile, and the device is one for which that may pay."""
        return self.settings.compile == "auto" and self.base.device.type in self.task.compiler.devices

    def _obstacle(self) -> str | None:
        """Why this training cannot be compiled."""
        shapes = {shape for lesson in self.lessons for shape in lesson.examples.shapes}
        return compiling.obstacle(self.settings, self.base.device, shapes, self.task.compiler)

    def _compile(self) -> None:
        self.predict = self.task.compiler(self.base.predict)
        self.is_proven = False

    def _gradients(self) -> Tensor:
        """As `_added_up`; where the pass turns out not to be compilable, or gives other gradients so, as it is from there on."""
        try:
            return self._added_up() if self.is_proven else self._proven()
        except RuntimeError as problem:
            if not compiling.is_refusal(problem):
                raise
            why = " ".join(str(problem).split("\n")[:2]).strip() or type(problem).__name__
            if self.settings.compile == "on":
                raise SettingsError(f'train.compile = "on": torch cannot compile this base ({why}).\nWrite "off".') from problem
            logger.warning("step %d goes on without compiling, because torch cannot compile this base (%s)", self.step, why)
        self._let_go()
        self.predict, self.is_proven = self.base.predict, True
        return self._added_up()

    def _proven(self) -> Tensor:
        """As `_added_up`, once as it is and then compiled; raises MiscompiledError where the gradients differ by more than rounding."""
        compiled, self.predict = self.predict, self.base.predict
        try:
            self._added_up()
        finally:
            self.predict = compiled
        wanted = {name: factor.grad.clone() for name, factor in self.factors.items() if factor.grad is not None}
        self._let_go()
        loss = self._added_up()
        found = {name: factor.grad for name, factor in self.factors.items() if factor.grad is not None}
        if wrong := cast(list[str], processes.from_first(compiling.wrong(found, wanted))):
            raise compiling.MiscompiledError(
                f"compiled, the gradients of {len(wrong)} of {len(wanted)} factors are wrong, {wrong[0]} first"
            )
        # In the first step half of the factors have none yet, and a loss scale that is too high leaves none to compare.
        self.is_proven = self.step > 1 and bool(torch.stack([one.isfinite().all() for one in wanted.values()]).all())
        return loss

    def _added_up(self) -> Tensor:
        """Add up the gradients of this process's share of this step; its loss, []."""
        losses, passes = [], len(self.share.passes) * len(self._starts)
        for lesson, part in ((one, part) for one in self.lessons for part in self._parts(one)):
            batch = self._batch(lesson.examples, part.samples)
            latents = batch.mean + batch.std * self._on_device(part.posterior)
            noises = self._on_device(part.noise), self._on_device(part.added)
            loss = self._losses(batch, latents, noises, self._on_device(part.timesteps)).mean() * lesson.weight
            self.accelerator.backward(loss / passes)
            losses.append(loss.detach())
        # What a step reports is of the pictures that are taught; what is only kept from being forgotten counts in the gradient.
        return torch.stack(losses[:passes]).mean()

    @property
    def _starts(self) -> range:
        """Where in a batch each pass of this process begins."""
        own = self.share.samples
        return range(own.start, own.stop, self.fitted.batch)

    def _next_rung(self) -> RungKind | None:
        """What is still to be done for less memory; the optimizer is the same in all processes, so none of several changes its own."""
        kind = fitting.next_rung(self.fitted, self.base.device)
        return None if kind == "adamw_8bit" and processes.count() > 1 else kind

    def _sample_bytes(self, most: int) -> int:
        """Bytes that are kept for the backward pass of one sample, of the largest shape; `most` where not even that fits."""
        examples, device = self.task.train, self.base.device
        sample = Sample(max(range(len(examples)), key=lambda index: math.prod(examples.shapes[index])), False, False)

        def forward() -> Tensor:
            batch = self._batch(examples, [sample])
            noise = torch.zeros_like(batch.mean)
            return self._losses(batch, batch.mean, (noise, noise), torch.zeros(1, dtype=torch.long, device=device))

        try:
            # Text encoders that are not trained are not even loaded.
            resident = self.base.parts.values() if self.settings.changes_texts else [self.base.denoiser]
            return self.task.sample_bytes(lambda: fitting.kept_bytes(forward, resident))
        except FULL as problem:
            if not is_full(problem):
                raise
        self._let_go()
        return most

    def _lower(self, kind: RungKind, why: str, *, before: int = 1) -> Rung:
        """Take a rung; before: the first step that is done with it."""
        self.fitted = fitting.lowered(self.fitted, [kind])
        if kind == "measuring":
            self.measured_at_once = max(1, self.measured_at_once // 2)
        self._checkpoint()
        if kind == "adamw_8bit":
            kept = self._fitting(self._state())
            self.optimizer = optimizers.make(self.fitted, lora.groups(self.factors, self.settings), self.base.device)
            self.stepped = self.accelerator.prepare_optimizer(self.optimizer)
            state.restore(kept, self.factors, self.optimizer, self.average.ema)
        return self._rung(kind, why, before - 1)

    def _rung(self, kind: RungKind, why: str, step: int) -> Rung:
        return Rung(
            step=step,
            attempt=self.task.attempt,
            kind=kind,
            batch=self.fitted.batch,
            accumulation=self.fitted.accumulation,
            why=why,
        )

    def _fitting(self, kept: State) -> State:
        """A state for the optimizer that memory allows."""
        is_other = self.fitted.optimizer != self.settings.optimizer and kept.optimizer == "AdamW"
        return state.without_moments(kept, "AdamW8bit") if is_other else kept

    def _checkpoint(self) -> None:
        """Compute parts of the forward pass twice from now on, where that is set or memory asks for it."""
        if self.fitted.gradient_checkpointing:
            cast(Any, self.base.denoiser).enable_gradient_checkpointing()

    def _let_go(self) -> None:
        """Let go of gradients, and of all memory that nothing needs."""
        self.stepped.zero_grad()
        gc.collect()
        if self.base.device.type == "cuda":
            torch.cuda.empty_cache()

    def untrained(self) -> Generator[Rung, None, Step]:
        """The line of step 0, which says what the base loses on the held-out pictures."""
        if (known := self.task.untrained) is not None:
            return known.model_copy(update={"attempt": self.task.attempt})
        held = yield from self.holdout()
        return Step(
            step=0,
            attempt=self.task.attempt,
            epoch=0,
            loss=None,
            grad_norm=None,
            learning_rate=0,
            seconds=0,
            holdout_loss=held.mean,
            holdout_losses=held.each,
        )

    def holdout(self) -> Generator[Rung, None, _Held]:
        """Loss on the held-out pictures, with the same noise and timesteps at every call; yields what want of memory did."""

        def ladder() -> RungKind | None:
            return "measuring" if self.measured_at_once > 1 else None

        losses = yield from self._unless_full(self._holdout_losses, ladder, MEASURING)
        if not losses.numel():
            return _Held(None)
        mean = float(losses.mean())
        if not math.isfinite(mean):
            logger.warning('the held-out loss at step %d is not finite; if it stays so, train.precision = "fp32" may help', self.step)
            return _Held(None)
        return _Held(mean, tuple(losses.mean(dim=0).tolist()))

    @torch.no_grad()
    def _holdout_losses(self) -> Tensor:
        """The loss at each timestep on each held-out picture, [timesteps, pictures]."""
        examples = self.task.holdout
        losses = torch.zeros(HOLDOUT_TIMESTEPS, len(examples), device=self.base.device)
        with self.average.shown():
            for of in examples.alike(len(examples)):
                pairs = list(product(range(HOLDOUT_TIMESTEPS), of))
                for first in range(0, len(pairs), self.measured_at_once):
                    asked = pairs[first : first + self.measured_at_once]
                    places, chosen = [place for place, _ in asked], [index for _, index in asked]
                    batch = self._batch(examples, [Sample(index, False, False) for index in chosen])
                    # The noise belongs to the picture and the timestep, so every run on this data set is measured alike.
                    shape = tuple(batch.mean.shape[1:])
                    noise = [objective.noise_for(0, shape, "holdout", examples.records[i].sha256, place) for place, i in asked]
                    timesteps = torch.tensor([(2 * place + 1) * len(self.signal) // (2 * HOLDOUT_TIMESTEPS) for place in places])
                    losses[places, chosen] = self._measured(batch, self._on_device(torch.stack(noise)), self._on_device(timesteps))
        return losses

    def read(self, *, late_blocks: int, held: _Held | None = None) -> list[Step]:
        """The steps of all blocks that were sent but the newest `late_blocks`, the last of them with the hold-out loss.

        Raises DivergedError when too many steps in a row were not finite.
        """
        ready = self.sent[: len(self.sent) - late_blocks]
        self.sent = self.sent[len(ready) :]
        steps = []
        for sent in ready:
            if sent.arrived is not None:
                sent.arrived.synchronize()
            for done, (loss, norm, is_unfit) in zip(sent.block, sent.numbers.tolist(), strict=True):
                steps.append(self._step(done, loss, norm, is_skipped=bool(is_unfit), seconds=sent.seconds))
        if steps and held is not None:
            steps[-1] = steps[-1].model_copy(update={"holdout_loss": held.mean, "holdout_losses": held.each})
        return steps

    def restart_clock(self) -> None:
        """Leave out of the steps' time what was done between two of them: drawing, saving, whatever the caller did."""
        if not self.block:
            self.clock = time.perf_counter()

    def send(self) -> bool:
        """Send the numbers of the steps done since the last time to the host; whether there were any."""
        if not self.block:
            return False
        seconds = (time.perf_counter() - self.clock) / len(self.block)
        numbers, arrived = torch.stack([done.numbers for done in self.block]), None
        if numbers.is_cuda:
            host = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
            numbers = host.copy_(numbers, non_blocking=True)
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
        self.pace = seconds
        self.sent.append(_Sent(self.block, numbers, seconds, arrived))
        self.block = []
        return True

    def save(self, holdout_loss: float | None) -> Checkpoint:
        """Write the checkpoint of the step reached, whole or not at all, and let go of the oldest states."""
        run = self.task.run
        target = run.checkpoint(self.step)
        settings, resolution = self.settings, self.task.settings.data.resolution
        about = {
            "modelspec.sai_model_spec": "1.0.1",
            "modelspec.title": f"{self.task.settings.caption.keyword or 'LoRA'} step {self.step}",
            "modelspec.implementation": "diffusers",
            "modelspec.resolution": f"{resolution}x{resolution}",
            "modelspec.trigger_phrase": self.task.settings.caption.keyword,
            "modelspec.prediction_type": {"epsilon": "epsilon", "v_prediction": "v"}[self.base.prediction],
            "decal.base": self.base.name,
        }
        with staged_folder(target) as staged:
            with self.average.shown():
                names = lora.names_of(self.base.denoiser)
                lora.save(staged / lora.PORTABLE_FILE, self.factors, scale=settings.scale, names=names, about=about)
            (staged / "state").mkdir()
            state.save(staged / "state" / STATE_FILE, self._state())
            hashes = sha256(staged / lora.PORTABLE_FILE), sha256(staged / "state" / STATE_FILE)
        run.stop_state.unlink(missing_ok=True)
        for old in sorted(target.parent.glob(f"step-*/state/{STATE_FILE}"))[:-STATES_KEPT]:
            old.unlink()
        file = (target / lora.PORTABLE_FILE).relative_to(run.folder).as_posix()
        return Checkpoint(
            step=self.step, attempt=self.task.attempt, file=file, sha256=hashes[0], state_sha256=hashes[1], holdout_loss=holdout_loss
        )

    def save_stop(self) -> None:
        """Write the state to go on from after a stop between two checkpoints."""
        with staged_folder(self.task.run.stop_state.parent) as staged:
            state.save(staged / self.task.run.stop_state.name, self._state())

    def _parts(self, lesson: _Lesson) -> Iterator[_Part]:
        """The samples of this step that are this process's, as many at a time as memory allows, with what is drawn for them.

        It is drawn for the whole step and cut, so that neither accumulation, nor the number of processes, nor less memory changes anything.
        """
        samples, size, what = lesson.order.at(self.step), self.settings.batch, lesson.what
        timesteps = self._timesteps(len(samples), *what)
        firsts = range(0, len(samples), size)
        shapes = [lesson.examples.shapes[samples[first].index] for first in firsts]
        drawn: Iterable[tuple[Tensor, ...]]
        if len(set(shapes)) == 1:
            drawn = zip(*(torch.split(tensor, size) for tensor in self._drawn(len(samples), shapes[0], *what)), strict=True)
        else:
            drawn = (self._drawn(size, shape, *what, part) for part, shape in enumerate(shapes))
        for place, (first, tensors) in enumerate(zip(firsts, drawn, strict=True)):
            for start in self._starts if place in self.share.passes else ():
                these, of = slice(first + start, first + start + self.fitted.batch), slice(start, start + self.fitted.batch)
                yield _Part(samples[these], timesteps[these], *(tensor[of] for tensor in tensors))

    def _drawn(self, count: int, shape: tuple[int, int], *part: str | int) -> tuple[Tensor, Tensor, Tensor]:
        """For samples of this step: what samples the posterior, the noise to be found, and the noise that is added, [B, C, h, w] each."""
        settings, what = self.settings, (self.step, *part)
        size = (count, self.base.latent_channels, *shape)
        posterior = objective.noise_for(settings.seed, size, "posterior", *what)
        noise = objective.noise_for(settings.seed, size, "noise", *what)
        if settings.pyramid_noise_levels:
            discount, levels = settings.pyramid_noise_discount, settings.pyramid_noise_levels
            noise = objective.pyramid_noise(noise, discount, levels, settings.seed, "pyramid", *what)
        if settings.noise_offset:
            noise = objective.offset_noise(noise, settings.noise_offset, settings.seed, "offset", *what)
        added = noise
        if settings.input_perturbation:
            added = noise + settings.input_perturbation * objective.noise_for(settings.seed, size, "perturbation", *what)
        return posterior, noise, added

    def _timesteps(self, count: int, *of: str) -> Tensor:
        """The timesteps of this step's samples, [B]."""
        seed, limit = self.settings.seed, len(self.signal)
        what: tuple[str | int, ...] = ("timesteps", self.step, *of)
        if self.settings.recipe == "few_steps":
            return objective.trailing_timesteps(seed, count, limit, FEW_STEPS, *what)
        match self.settings.timesteps:
            case "uniform":
                return objective.timesteps_for(seed, count, limit, *what)
            case "stratified":
                return objective.stratified_timesteps(seed, count, limit, *what)
            case "logit_normal":
                return objective.logit_normal_timesteps(seed, count, limit, self.settings.timestep_mean, *what)

    def _losses(self, batch: Batch, latents: Tensor, noises: tuple[Tensor, Tensor], timesteps: Tensor) -> Tensor:
        """The loss to learn from of each sample, [B]. noises: what is to be found, and what is added."""
        settings, prediction = self.settings, self.base.prediction
        signal = self.signal[timesteps]
        noisy = objective.add_noise(latents, noises[1], signal)
        predicted = self._predicted(batch, noisy, timesteps)
        if settings.recipe == "few_steps":
            # What the sampler lands on is what is seen, so a step counts by its picture, however noisy it is.
            landed = objective.clean(noisy, predicted.float(), signal, prediction)
            return objective.loss_of(landed, latents, batch.mask, settings.huber)
        losses = objective.loss_of(predicted, objective.target(latents, noises[0], signal, prediction), batch.mask, settings.huber)
        if settings.min_snr_gamma is not None:
            losses = losses * objective.min_snr_weight(signal, settings.min_snr_gamma, prediction)
        if settings.debiased:
            losses = losses * objective.debiased_weight(signal, prediction)
        return losses

    def _measured(self, batch: Batch, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The plain squared error of each sample, [B], whatever is learnt from; so runs can be compared by it."""
        signal = self.signal[timesteps]
        predicted = self._predicted(batch, objective.add_noise(batch.mean, noise, signal), timesteps)
        return objective.loss_of(predicted, objective.target(batch.mean, noise, signal, self.base.prediction), batch.mask)

    def _batch(self, examples: Examples, samples: list[Sample]) -> Batch:
        """The samples, with captions as trained text encoders read them now; what is cached of captions is older than the last step."""
        batch = examples.batch(samples)
        if not self.settings.changes_texts:
            return batch
        with self.accelerator.autocast():
            told = self.base.encode_prompts(examples.captions(samples))
        return replace(batch, conditioning={**batch.conditioning, **told})

    def _predicted(self, batch: Batch, noisy: Tensor, timesteps: Tensor) -> Tensor:
        with self.accelerator.autocast():
            # What is only measured comes in other sizes, each of which would be compiled for itself.
            predict = self.predict if torch.is_grad_enabled() else self.base.predict
            return predict(noisy, timesteps, batch.conditioning)

    def _on_device(self, tensor: Tensor) -> Tensor:
        return to_device(tensor, self.base.device)

    def _step(self, done: _Done, loss: float, norm: float, *, is_skipped: bool, seconds: float) -> Step:
        self.unfit = self.unfit + 1 if is_skipped else 0
        if self.unfit >= UNFIT_LIMIT:
            files = sorted({self.task.train.records[sample.index].file for sample in self.order.at(done.step)})
            raise DivergedError(
                f"The loss was not finite in {self.unfit} steps in a row, up to step {done.step}; the weights were left as they were.\n"
                f"Lower train.learning_rate (now {self.settings.learning_rate:g}) and begin with --new-run, or look at "
                f"the pictures of that step: {', '.join(files)}."
            )
        if is_skipped:
            logger.warning("step %d was skipped: its loss or gradient was not finite", done.step)
        return Step(
            step=done.step,
            attempt=self.task.attempt,
            epoch=self.order.epoch(done.step),
            loss=loss if math.isfinite(loss) else None,
            grad_norm=norm if math.isfinite(norm) else None,
            learning_rate=done.learning_rate,
            seconds=seconds,
            is_skipped=is_skipped,
        )

    def _state(self) -> State:
        scaler = self.accelerator.scaler
        return state.take(
            self.step, self.unfit, self.factors, self.optimizer, {} if scaler is None else scaler.state_dict(), self.average.ema
        )
