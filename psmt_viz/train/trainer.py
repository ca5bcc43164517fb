"""What takes a run's steps: its networks, optimisers and loaders, whatever the method."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import torch

from psmt_viz.config import Config
from psmt_viz.data.dataset import SegmentationData
from psmt_viz.data.loader import Batch
from psmt_viz.methods.settings import LABELED, UNLABELED
from psmt_viz.metrics import IGNORE
from psmt_viz.models.build import build_networks
from psmt_viz.results import TrainingBatch
from psmt_viz.seeds import derived_seed
from psmt_viz.train.compiled import compile_network
from psmt_viz.train.engine import Engine
from psmt_viz.train.learner import Learner
from psmt_viz.train.loaders import open_feed, open_loaders
from psmt_viz.train.method import Setup, StepLog, TrainingMethod
from psmt_viz.train.methods import steps_of
from psmt_viz.train.micro_batches import MicroBatch
from psmt_viz.train.optim import make_optimizer
from psmt_viz.train.plan import Plan, resolve
from psmt_viz.train.random_draws import RandomDraws
from psmt_viz.train.waiting import Waiting


class Trainer:
    """Holds the networks, optimisers and loaders of a run and lets its method take the steps.

    Args:
        config: The run's settings.
        data: The data set.
        engine: Where to compute; by default in this process on the CPU.
        draws: What is random in a step beside its batches; by default it follows from the run's seed.
        method: Takes the steps; by default the one that `config` names.
    """

    def __init__(
        self,
        config: Config,
        data: SegmentationData,
        *,
        engine: Engine | None = None,
        draws: RandomDraws | None = None,
        method: type[TrainingMethod[Any]] | None = None,
    ) -> None:
        self.config, self.data = config, data
        self.engine = engine = engine or Engine(system=config.system)
        engine.launch()
        self.device = engine.device
        self.split = split = data.split(config.data.split)
        self.plan: Plan = resolve(config, split, devices=engine.world_size)
        settings = config.method
        self.networks = build_networks(
            config.model,
            data.classes,
            teachers=settings.teachers,
            **settings.start_of_teachers,
            seed=config.system.seed,
        ).to(self.device)
        if config.system.channels_last:
            self.networks.to(memory_format=torch.channels_last)
        self.learners: dict[str, Learner] = {}
        for role, network in self.networks.by_role().items():
            engine.convert(network)
            if role in settings.learners:
                self.learners[role] = engine.learner(network, make_optimizer(network, config.optim))
            if config.system.compile:
                compile_network(network, config.views.crop)
        self.loaders = open_loaders(
            config, self.plan, data, split, rank=engine.rank, world_size=engine.world_size, here=engine.here
        )
        self.feed = open_feed(config, self.plan, self.loaders, self.device, here=engine.here)
        self.waiting = Waiting(self.device)
        setup = Setup(
            config=config,
            plan=self.plan,
            engine=engine,
            networks=self.networks,
            learners=self.learners,
            draws=draws or RandomDraws(config),
        )
        self.method = (method or steps_of(settings.method))(setup)

    def steps(self, first: int, last: int) -> Generator[StepLog, None, None]:
        """Takes the steps first, ..., last - 1."""
        for step in range(first, last):
            with self.waiting.for_data():
                batches = self.feed.batches(step)
            yield self.take(step, batches)

    def take(self, step: int, batches: Mapping[str, Batch]) -> StepLog:
        """Takes one step with given batches.

        Args:
            step: Counted from the start of the warm-up; learning rate, weights and random draws follow from it.
            batches: Loader -> this process's share of its batch, for each that the method names for this step.
        """
        here = {name: batch.to(self.device) for name, batch in batches.items()}
        devices = [self.device] if self.device.type == "cuda" else []
        # Networks with dropout draw from torch's global generator, which belongs to the caller.
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(derived_seed(self.config.system.seed, "step", step, self.engine.rank))
            return self.method.step(step, here)

    @torch.no_grad()
    def picture(self, step: int, *, images: int = 4) -> TrainingBatch:
        """Returns some images of a step's batch as the networks see them; changes nothing."""
        needs_unlabeled = self.config.method.needs_unlabeled
        self.networks.eval()
        labeled = self._batch(LABELED, step)
        unknown = torch.full(labeled.label.shape, torch.nan, device=self.device)
        rows = [(labeled.weak, labeled.strong, labeled.label, unknown)]
        if needs_unlabeled:
            step = max(step, self.plan.warmup_steps)
            unlabeled = self._batch(UNLABELED, step)
            count = len(unlabeled.label)
            whole = MicroBatch(images=range(count), of=count, views=unlabeled, dtype=self.engine.dtype)
            target = self.method.target(step, whole)
            label = target.pseudo.target.masked_fill(~target.pseudo.passing, IGNORE)
            rows.append((unlabeled.weak, (target.images * 255).round().byte(), label, target.pseudo.confidence))
        weak, strong, label, confidence = (
            torch.cat([row[:images] for row in column]) for column in zip(*rows, strict=True)
        )
        with self.engine.autocast():
            prediction = self.networks.student(strong.to(self.engine.dtype) / 255).argmax(dim=1).byte()
        columns = {
            "weak view": weak.permute(0, 2, 3, 1),
            "strong view": strong.permute(0, 2, 3, 1),
            "truth or pseudo-label": label,
            "student's prediction": prediction,
        }
        return TrainingBatch(
            classes=self.networks.classes,
            columns={title: values.cpu().numpy() for title, values in columns.items()},
            confidence=confidence.cpu().numpy() if needs_unlabeled else None,
        )

    def _batch(self, loader: str, step: int) -> Batch:
        return self.loaders[loader].batch(step).to(self.device)
