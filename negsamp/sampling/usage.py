"""Slots counted by the stage that filled them, in memory that data-loader workers share."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import get_worker_info

__all__ = ["Usage"]

#: rows of the shared table beside that of the main process
MAX_WORKERS = 256


class Usage(Mapping[str, int]):
    """The slots of the current epoch by stage: the pool, each fallback, masked, rescued.

    Each worker adds to a row of its own in shared memory, so that no count is lost; reading sums the rows.
    """

    #: the counts of the finished epochs, see :meth:`end_epoch`
    epochs: list[dict[str, int]]

    def __init__(self, stages: Sequence[str]) -> None:
        """Start at zero.

        :param stages: the names of the stages
        """
        self.stages = tuple(stages)
        self.epochs = []
        self._counts = torch.zeros(MAX_WORKERS + 1, len(self.stages), dtype=torch.long).share_memory_()

    @property
    def counts(self) -> NDArray[np.int64]:
        """What this process has counted, to be added to; shape: (num_stages,).

        :raises RuntimeError: in a worker beyond the number that is provided for
        """
        worker = get_worker_info()
        row = 0 if worker is None else worker.id + 1
        if row > MAX_WORKERS:
            raise RuntimeError(f"slots are counted for at most {MAX_WORKERS} workers: use fewer")
        counts: NDArray[np.int64] = self._counts.numpy()[row]
        return counts

    def end_epoch(self) -> dict[str, int]:
        """Note the counts in :attr:`epochs`, start anew at zero, and return what was noted."""
        self.epochs.append(dict(self))
        self._counts.zero_()
        return self.epochs[-1]

    def total(self) -> dict[str, int]:
        """Return the counts of all epochs, the current one among them."""
        return {stage: sum(epoch[stage] for epoch in (*self.epochs, self)) for stage in self.stages}

    def __getitem__(self, stage: str) -> int:
        if stage not in self.stages:
            raise KeyError(stage)
        return int(self._counts[:, self.stages.index(stage)].sum())

    def __iter__(self) -> Iterator[str]:
        return iter(self.stages)

    def __len__(self) -> int:
        return len(self.stages)

    def __repr__(self) -> str:
        return f"Usage({dict(self)})"
