"""Endless streams of training batches, each a pure function of (seed, stream, step)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from psmt_viz.config import ViewConfig
from psmt_viz.data.dataset import SegmentationData, read_pair
from psmt_viz.data.views import draw_views
from psmt_viz.errors import UserError
from psmt_viz.seeds import derived_seed


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Views of several images."""

    weak: Tensor
    """(B, 3, crop, crop) uint8."""
    strong: Tensor
    """(B, 3, crop, crop) uint8."""
    label: Tensor
    """(B, crop, crop) uint8 class ids; 255 where there is none, which in an unlabelled stream marks the padding."""

    def to(self, device: str | torch.device) -> Batch:
        """Returns the batch on a device."""
        return Batch(weak=self.weak.to(device), strong=self.strong.to(device), label=self.label.to(device))

    def parts(self, count: int) -> list[Batch]:
        """Returns the batch in equal parts, in order."""
        views = zip(self.weak.chunk(count), self.strong.chunk(count), self.label.chunk(count), strict=True)
        return [Batch(weak=weak, strong=strong, label=label) for weak, strong, label in views]


class Stream:
    """Draws images one after the other, every image once before any comes again, each time with fresh views.

    Draw k is element k modulo n of a permutation that belongs to round k // n, seen through views that belong to k. So
    a batch depends on its step alone: not on what was read before, the number of workers, or where a run was resumed.
    Processes that train together each read their own stretch of a step's batch, so none reads what another does.

    Args:
        data: The data set.
        ids: The images of the stream.
        labeled: Whether labels are read; without, a label is 0 inside the image and 255 in the padding.
        views: Crop and scales.
        batch: Images in a step's batch, over all processes.
        seed: The run's seed.
        name: Tells the run's streams apart.
        workers: Processes that prepare images.
        round_steps: Steps after which a new round begins, even if it leaves out some images; left out, a round ends
            with the last image. It must not need more images than there are, unless they are replayed.
        replay: Begin again with the first batch of a round, its views too, when its images are used up.
        rank: Which of the processes this one is.
        world: Processes that train together; a divisor of `batch`.
    """

    def __init__(
        self,
        data: SegmentationData,
        ids: Sequence[str],
        *,
        labeled: bool,
        views: ViewConfig,
        batch: int,
        seed: int,
        name: str,
        workers: int = 0,
        round_steps: int | None = None,
        replay: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._draws = _Draws(data, tuple(ids), labeled, views, derived_seed(seed, name))
        self._count, self._batch, self._workers = len(ids), batch, workers
        self._round_steps, self._replay = round_steps, replay
        share = batch // world
        self._own = range(rank * share, (rank + 1) * share)

    def ids(self, step: int) -> tuple[str, ...]:
        """Returns the images of this process's part of one step's batch."""
        return tuple(self._draws.id(draw) for draw in self._numbers(step))

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """Yields the batches of the steps first, ..., last - 1."""
        steps: list[list[int]] = [list(self._numbers(step)) for step in range(first, last)]
        # A loader draws a base seed for its workers on every pass; its own generator keeps the global one untouched.
        loader = DataLoader(
            self._draws,
            batch_sampler=steps,
            num_workers=self._workers,
            collate_fn=_collate,
            generator=torch.Generator(),
        )
        for batch in loader:
            if isinstance(batch, UserError):
                raise batch
            yield batch

    def _numbers(self, step: int) -> range:
        first = step * self._batch
        if self._round_steps is not None:
            turn, place = divmod(step, self._round_steps)
            if self._replay:
                place %= max(1, self._count // self._batch)
            first = turn * self._count + place * self._batch
        return range(first + self._own.start, first + self._own.stop)


_Item = tuple[Tensor, Tensor, Tensor]


class _Draws(Dataset[_Item | UserError]):
    def __init__(
        self, data: SegmentationData, ids: tuple[str, ...], labeled: bool, views: ViewConfig, seed: int
    ) -> None:
        self._data, self._ids, self._labeled, self._views, self._seed = data, ids, labeled, views, seed

    def id(self, draw: int) -> str:
        turn, place = divmod(draw, len(self._ids))
        order = np.random.default_rng(derived_seed(self._seed, "order", turn)).permutation(len(self._ids))
        return self._ids[order[place]]

    def __getitem__(self, draw: int) -> _Item | UserError:
        # A fault of the data travels as a value: torch rebuilds a worker's exceptions from their message alone.
        try:
            return self._views_of(draw)
        except UserError as error:
            return error

    def _views_of(self, draw: int) -> _Item:
        id = self.id(draw)
        if self._labeled:
            image, label = read_pair(self._data, id)
        else:
            image = self._data.image(id)
            label = np.zeros(image.shape[:2], dtype=np.uint8)
        pixels = torch.from_numpy(image).permute(2, 0, 1)
        views = draw_views(pixels, torch.from_numpy(label), self._views, seed=derived_seed(self._seed, "views", draw))
        return views.weak, views.strong, views.label


def _collate(items: list[_Item | UserError]) -> Batch | UserError:
    views: list[_Item] = []
    for item in items:
        if isinstance(item, UserError):
            return item
        views.append(item)
    weak, strong, label = (torch.stack(part) for part in zip(*views, strict=True))
    return Batch(weak=weak, strong=strong, label=label)
