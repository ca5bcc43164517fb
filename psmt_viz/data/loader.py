"""Infinite loaders of training batches, each a pure function of (seed, loader, step)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from psmt_viz.config import ViewConfig
from psmt_viz.data.dataset import SegmentationData, read_pair
from psmt_viz.data.views import Views, draw_views, use_one_thread
from psmt_viz.methods.settings import VIEWS, View
from psmt_viz.seeds import derived_seed


@dataclass(frozen=True, kw_only=True)
class Batch(Views):
    """Views of several images; 255 in a label marks the padding of unlabelled images too."""

    def to(self, device: str | torch.device) -> Batch:
        """Returns the batch on a device; a GPU's copy of pinned memory goes on while other work is queued."""
        # From memory that is not pinned, others than CUDA may read what is overwritten by then.
        ahead = torch.device(device).type == "cuda"
        images = {name: view.to(device, non_blocking=ahead) for name, view in self.images.items()}
        return Batch(images=images, label=self.label.to(device, non_blocking=ahead))

    def pin_memory(self) -> Batch:
        """Returns the batch in memory from which a GPU copies by itself."""
        return Batch(
            images={name: view.pin_memory() for name, view in self.images.items()}, label=self.label.pin_memory()
        )

    def chunks(self, count: int) -> list[Batch]:
        """Returns the batch in equal chunks, in order."""
        images = {name: view.chunk(count) for name, view in self.images.items()}
        return [
            Batch(images={name: views[number] for name, views in images.items()}, label=label)
            for number, label in enumerate(self.label.chunk(count))
        ]


class InfiniteLoader:
    """Loads random images one after the other, every image once before any comes again, each time in fresh views.

    Image i of epoch e is element i of a permutation that belongs to e, in views that belong to both. So a batch depends
    on its step alone: not on what was read before, which process makes it, or where a run was resumed. Processes that
    train together each read their own stretch of a step's batch, so none reads what another does. An epoch here is one
    pass over this loader's images, which need not be the run's epoch.

    Args:
        data: The data set.
        ids: The images.
        labeled: Whether labels are read; without, a label is 0 inside the image and 255 in the padding.
        views: Crop and scales.
        batch: Images in a step's batch, over all processes.
        seed: The run's seed.
        name: Tells the run's loaders apart.
        stages: First step and steps of an epoch of each stage of the training in which epochs begin and end with a
            batch: (0, 20), (100, 310) for epochs of 20 steps up to step 100 and of 310 from there on. An epoch that is
            longer than its images repeats its batches, views too. By default an epoch ends with its last image,
            wherever in a batch that is.
        epoch_batches: Batches in which all images of an epoch come once, with `stages`.
        keep_last: Let the last batch of an epoch be smaller, with `stages`; otherwise an epoch that needs more images
            than there are begins them again.
        rank: Which of the processes this one is.
        world_size: Processes that train together; a divisor of `batch`.
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
        stages: Sequence[tuple[int, int]] = (),
        epoch_batches: int = 1,
        keep_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._images = _Images(data, tuple(ids), labeled, views, derived_seed(seed, name))
        self._count, self._batch = len(ids), batch
        self._stages, self._epoch_batches, self._keep_last = tuple(stages), max(1, epoch_batches), keep_last
        share = batch // world_size
        self._own = range(rank * share, (rank + 1) * share)

    def ids(self, step: int) -> tuple[str, ...]:
        """Returns the images of this process's share of one step's batch."""
        return tuple(self._images.id(place) for place in self._places(step))

    def batch(self, step: int, views: Collection[View] = VIEWS) -> Batch:
        """Returns this process's share of one step's batch.

        Raises:
            UserError: if an image or a label cannot be read.
        """
        seen = [self._images.seen(place, views) for place in self._places(step)]
        images = {name: torch.stack([each.images[name] for each in seen]) for name in VIEWS if name in views}
        return Batch(images=images, label=torch.stack([each.label for each in seen]))

    def _places(self, step: int) -> list[Place]:
        """Returns the places of the images of this process's share of a step's batch."""
        if not self._stages:
            first = step * self._batch
            return [divmod(first + number, self._count) for number in self._own]
        epoch, position = self._position(step)
        first = position % self._epoch_batches * self._batch
        last = min(first + self._own.stop, self._count) if self._keep_last else first + self._own.stop
        return [(epoch, number) for number in range(first + self._own.start, last)]

    def _position(self, step: int) -> tuple[int, int]:
        """Returns the number of a step's epoch, counted over all stages, and its position in the epoch."""
        epochs = 0
        for (first, steps), (end, _) in zip(self._stages, [*self._stages[1:], (step + 1, 0)], strict=True):
            if step < end:
                epoch, position = divmod(step - first, steps)
                return epochs + epoch, position
            epochs += -(-(end - first) // steps)
        raise AssertionError(step)


Place = tuple[int, int]
"""Number of an epoch, and of the image in it."""


class _Images:
    def __init__(
        self, data: SegmentationData, ids: tuple[str, ...], labeled: bool, views: ViewConfig, seed: int
    ) -> None:
        self._data, self._ids, self._labeled, self._config, self._seed = data, ids, labeled, views, seed
        self._orders: dict[int, NDArray[np.int64]] = {}
        use_one_thread()

    def id(self, place: Place) -> str:
        epoch, number = place
        return self._ids[self._order(epoch)[number % len(self._ids)]]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            # A batch may reach into the next epoch, so two are kept.
            for known in list(self._orders)[:-1]:
                del self._orders[known]
            self._orders[epoch] = np.random.default_rng(derived_seed(self._seed, "order", epoch)).permutation(
                len(self._ids)
            )
        return self._orders[epoch]

    def seen(self, place: Place, views: Collection[View]) -> Views:
        id = self.id(place)
        if self._labeled:
            image, label = read_pair(self._data, id)
        else:
            image = self._data.image(id)
            label = np.zeros(image.shape[:2], dtype=np.uint8)
        pixels = torch.from_numpy(image).permute(2, 0, 1)
        seed = derived_seed(self._seed, "views", *place)
        return draw_views(pixels, torch.from_numpy(label), self._config, seed=seed, views=views)
