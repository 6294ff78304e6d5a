"""Negatives that a user gives."""

import logging
import os
from typing import Any

from negsamp.errors import InputError
from negsamp.negatives import GivenNegatives, resolve_negatives
from negsamp.pools import Pools, given_pools
from negsamp.sampling.base import PoolNegativeSampler

__all__ = ["GivenNegativeSampler"]

logger = logging.getLogger(__name__)


class GivenNegativeSampler(PoolNegativeSampler):
    """Draw from the candidates that the user gives for a pair, such as negatives that experts have checked."""

    needs = "negatives"

    def __init__(self, *, negatives: GivenNegatives | str | os.PathLike[str] | None = None, **kwargs: Any) -> None:
        """Keep the negatives.

        :param negatives: the negatives, or the ``negatives.tsv`` that they are written in, inside a data-set folder,
            whose form :meth:`negsamp.GivenNegatives.from_file` tells; needed unless ``pools`` are given
        :param kwargs: passed on to :class:`PoolNegativeSampler`

        :raises InputError: if there are no negatives, they cannot be read, or they belong to other triples
        """
        self.negatives = negatives
        super().__init__(**kwargs)

    def build_pools(self) -> Pools:  # noqa: D102
        if self.negatives is None:
            raise InputError("given needs negatives: give negatives=... or pools=...")
        negatives = resolve_negatives(self.negatives, self.triples)
        if known := int(self.triples.contains(*negatives.triples.unbind(dim=-1)).sum()):
            logger.warning(
                "%d of %d given negatives are training triples, which are drawn only if filtered=False",
                known,
                negatives.rows.shape[1],
            )
        return given_pools(self.triples, negatives)
