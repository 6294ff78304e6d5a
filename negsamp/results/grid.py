"""What an experiment compares."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Grid", "Study"]

#: data set, model, sampler, number of negatives
Study: TypeAlias = tuple[str, str, str, int]
#: the same; no number, and no study, where the data set cannot serve the sampler
Row: TypeAlias = tuple[str, str, str, int | None]


@dataclass(frozen=True)
class Grid:
    """What an experiment compares, or a part of it, in the order of its tables and figures."""

    datasets: Sequence[str] = ()
    models: Sequence[str] = ()
    samplers: Sequence[str] = ()
    #: numbers of negatives a positive
    negatives: Sequence[int] = ()
    seeds: Sequence[int] = ()
    #: the data sets and samplers that do not go together
    not_applicable: Collection[Sequence[str]] = ()
    #: the row that samples no negatives: the training loop, as ``sampler``, the ``models`` it is run for, and their
    #: ``loss`` and ``batch_size``
    reference: Mapping[str, Any] | None = None

    @property
    def dataset(self) -> str:
        """The data set of a grid that has one alone."""
        (dataset,) = self.datasets
        return dataset

    def applies(self, dataset: str, sampler: str) -> bool:
        """Tell whether a data set and a sampler go together."""
        return (dataset, sampler) not in set(map(tuple, self.not_applicable))

    def rows(self) -> list[Row]:
        """List the rows of a table: the studies, once for each model what is not applicable, and the reference."""
        return [
            (dataset, model, sampler, number)
            for dataset in self.datasets
            for model in self.models
            for sampler, numbers in [
                *((s, self.negatives if self.applies(dataset, s) else [None]) for s in self.samplers),
                *([(self.reference["sampler"], [0])] if self.reference and model in self.reference["models"] else []),
            ]
            for number in numbers
        ]

    def studies(self) -> list[Study]:
        """List the studies, the reference's among them."""
        return [
            (dataset, model, sampler, number) for dataset, model, sampler, number in self.rows() if number is not None
        ]
