"""The one vectorised sampler; a subclass only describes its pool."""

from __future__ import annotations

import inspect
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from class_resolver import HintOrType
from numpy.typing import NDArray
from pykeen.sampling import NegativeSampler
from pykeen.sampling.filtering import Filterer
from pykeen.triples.instances import BatchedSLCWAInstances
from pykeen.typing import BoolTensor, LongTensor, MappedTriples
from torch.utils.data import get_worker_info

from negsamp.errors import InputError
from negsamp.kernels import replace, tally
from negsamp.pools import MASKED, Exclusions, Pools, Queries, Slots, Stage, load_stage
from negsamp.sampling.fallback import Fallback, fallback_names, fill, named_pools
from negsamp.sampling.handle import SamplerHandle
from negsamp.sampling.sides import Corruption, assign_sides, head_probabilities
from negsamp.sampling.stand_in import stand_ins
from negsamp.sampling.usage import Usage
from negsamp.schema import Schema, resolve_schema
from negsamp.triples import TripleSet

__all__ = ["PoolNegativeSampler"]

logger = logging.getLogger(__name__)


#: nothing; a schema's classes, or its domains and ranges; a trained auxiliary model; negatives that the user gives; or
#: the model in training, before which there are no pools
Need = Literal["nothing", "classes", "domains_and_ranges", "auxiliary", "negatives", "training"]


class _Drawn(NamedTuple):
    negatives: LongTensor
    #: None: all are
    is_valid: BoolTensor | None
    #: the stage that filled each slot, see :class:`negsamp.pools.Slots`
    filled_by: NDArray[np.int16]


class PoolNegativeSampler(NegativeSampler, ABC):
    """Replace the head or the tail of each triple by an entity drawn exactly from a pool; subclasses say which pool.

    The draw is uniform over the pool less what must not come out, without rejection: with ``filtered=True`` no training
    triple is ever given as a negative, and no slot is lost to a filter. A drawn rank is shifted past the exclusions by
    a guide table, with one comparison on average [chen1974]_.

    A stage of a fallback that holds at least the negatives still wanted of one positive on one side draws them with
    replacement; a smaller one gives each of its entities once and passes the rest on; the last stage that holds
    anything draws with replacement. Where no stage holds anything, the slot is masked: the mask given beside the
    negatives is False, and the slot holds some entity that makes no training triple, or repeats the positive where
    there is none.

    .. note ::
        PyKEEN's pipeline keeps the class and the options of a sampler alone, and its training loop makes an instance,
        which a :class:`negsamp.SamplerHandle` shows.
    """

    #: the pools that ``fallback="semantic"`` means, by name; see :meth:`PoolNegativeSampler.stages_named`
    semantic_fallback: ClassVar[tuple[str, ...]] = ("typed", "corrupt", "everything")

    #: what the pool is built from beside the triples
    needs: ClassVar[Need] = "nothing"

    #: slots by the stage that filled them, in the current epoch
    usage: Usage

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Show the options of all ancestors in the signature.

        PyKEEN's hyper-parameter search looks for an option in the signatures of a class and its direct parent only.
        """
        super().__init_subclass__(**kwargs)
        own = [inspect.signature(vars(base)["__init__"]) for base in reversed(cls.__mro__) if "__init__" in vars(base)]
        keywords = {p.name: p for s in own for p in s.parameters.values() if p.kind is p.KEYWORD_ONLY}
        cls.__signature__ = inspect.Signature(list(keywords.values()))  # type: ignore[attr-defined]

    def __init__(
        self,
        *,
        mapped_triples: MappedTriples,
        num_entities: int | None = None,
        num_relations: int | None = None,
        num_negs_per_pos: int | None = None,
        filtered: bool = True,
        filterer: HintOrType[Filterer] = None,
        filterer_kwargs: Mapping[str, Any] | None = None,
        fallback: Fallback = None,
        corruption: Corruption = "balanced",
        pools: Pools | str | os.PathLike[str] | None = None,
        schema: Schema | str | os.PathLike[str] | None = None,
        infer_schema: float | None = None,
        sub_batch_size: int | None = None,
        handle: SamplerHandle | None = None,
    ) -> None:
        """Find or build the pools, and their exclusions.

        :param mapped_triples: shape: (num_triples, 3), the training triples; artificial inverses are recognised
        :param num_entities: the number of entities; None: inferred from the triples
        :param num_relations: the number of relations, artificial inverses counted; None: inferred from the triples
        :param num_negs_per_pos: how many negatives a positive gets; None: 1
        :param filtered: whether all known positives are excluded. If not, only the replaced entity itself is.
        :param filterer: one of PyKEEN's filterers, to mask known positives after the draw; not with ``filtered``
        :param filterer_kwargs: its options
        :param fallback: what a pool that is too small falls back to: None, ``"random"`` (all entities), ``"semantic"``
            (wider and wider sets of plausible entities, then all entities), or pools by name in the order of their
            turns, see :func:`negsamp.sampling.fallback.named_pools`
        :param corruption: ``"balanced"``: half of each positive's negatives on each side, an odd one by a fair coin;
            ``"bernoulli"``: the side of each negative drawn by the relation's cardinality [wang2014]_; ``"head"`` or
            ``"tail"``: this side only
        :param pools: pools built before, or the file they are stored in; None: built here
        :param schema: what is known of the entities' classes and the relations' domains and ranges, or the data-set
            folder that it is written in
        :param infer_schema: the share of a relation's heads (tails) that a class must cover to be taken for a domain
            (range) that the schema lacks, see :meth:`negsamp.Schema.infer_domains_and_ranges`; None: none is inferred
        :param sub_batch_size: the training loop's sub-batch size, if it has one: each sub-batch then gets at least one
            valid negative, as each batch does
        :param handle: shows this sampler to whoever holds it

        :raises InputError: if a file cannot be used, or belongs to other triples
        :raises ValueError: if an option has no such value, or the schema or the pools belong to other triples
        """
        for name, value in (("num_negs_per_pos", num_negs_per_pos), ("sub_batch_size", sub_batch_size)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be 1 or more, or None")
        if filtered and filterer is not None:
            raise ValueError("filtered=True already excludes every known positive: leave out filterer")
        # exact filtering happens in the draw; PyKEEN's own would come after it and lose slots
        super().__init__(
            mapped_triples=mapped_triples,
            num_entities=num_entities,
            num_relations=num_relations,
            num_negs_per_pos=num_negs_per_pos,
            filtered=False,
            filterer=filterer,
            filterer_kwargs=filterer_kwargs,
        )
        self.filtered = filtered
        self.corruption = corruption
        self.sub_batch_size = sub_batch_size
        self.triples = TripleSet(mapped_triples, self.num_entities, self.num_relations)
        self.schema = resolve_schema(schema, self.triples)
        if infer_schema is not None:
            if self.schema is None:
                raise InputError("infer_schema needs a schema with classes: give schema=...")
            self.schema = self.schema.infer_domains_and_ranges(self.triples, infer_schema)
        self.head_probabilities = head_probabilities(self.triples, corruption)
        names = fallback_names(fallback, self.semantic_fallback, self.schema)
        self.stages = [self._first_stage(pools), *self._fallback_stages(names)]
        self.usage = Usage(["masked", *(stage.name for stage in self.stages), "rescued"])
        # workers share it, so that all of them together warn once
        self._has_warned = torch.zeros(1, dtype=torch.bool).share_memory_()
        # loads the compiled loops, or else each data-loader worker would for itself
        with torch.random.fork_rng(devices=[]):
            self._draw(mapped_triples[:0], None)
        if handle is not None:
            handle.sampler = self

    @abstractmethod
    def build_pools(self) -> Pools:
        """Describe the pool of every query of ``self.triples``, before exclusions."""

    def stages_named(self, name: str) -> Iterator[tuple[str, Pools]]:
        """Give the pools that a name in a fallback stands for, each with the name by which its slots are counted.

        :raises InputError: if the pool needs a schema and there is none
        :raises ValueError: if there is no such name
        """
        return named_pools(name, self.triples, self.schema)

    @property
    def pools(self) -> Pools:
        """The sampler's own pools, before exclusions."""
        return self.stages[0].pools

    @property
    def inferred(self) -> dict[str, int] | None:
        """How many domains and ranges that the sampler's own pools rest on are inferred; None: it asks for none."""
        if self.needs != "domains_and_ranges" or self.schema is None or not len(self.schema.inferred):
            return None
        ranges = int((self.schema.inferred % 2).sum())
        return {"domains": len(self.schema.inferred) - ranges, "ranges": ranges}

    def filtered_stage(self) -> Stage:
        """Return the sampler's own pools less all known positives, whether or not it is filtered: what is counted."""
        if self.filtered:
            return self.stages[0]
        return Stage("pool", Exclusions.build(self.pools, self.triples))

    def _first_stage(self, pools: Pools | str | os.PathLike[str] | None) -> Stage:
        if isinstance(pools, str | os.PathLike):
            return load_stage(pools, self.triples, name="pool", filtered=self.filtered)
        pools = self.build_pools() if pools is None else pools
        found = (pools.num_entities, pools.num_relations)
        if found != (self.triples.num_entities, self.triples.num_relations):
            raise ValueError(
                f"the pools cover {found[0]} entities and {found[1]} relations, the triples "
                f"{self.triples.num_entities} and {self.triples.num_relations}: rebuild the pools"
            )
        return self._stage("pool", pools)

    def _fallback_stages(self, names: Iterable[str]) -> list[Stage]:
        return [self._stage(label, pools) for name in names for label, pools in self.stages_named(name)]

    def _stage(self, name: str, pools: Pools) -> Stage:
        return Stage(name, Exclusions.build(pools, self.triples, filtered=self.filtered))

    def sample(self, positive_batch: LongTensor) -> tuple[LongTensor, BoolTensor | None]:
        """Draw negatives.

        :param positive_batch: shape: (batch_size, 3)

        :returns: the negatives, shape: (batch_size, num_negs_per_pos, 3); and which of them are valid, shape:
            (batch_size, num_negs_per_pos), or None if all are
        """
        self._warn_of_workers()
        drawn = self._draw(positive_batch, self.filterer)
        return drawn.negatives, drawn.is_valid

    def sample_with_stages(self, positive_batch: LongTensor) -> tuple[LongTensor, LongTensor]:
        """Draw negatives, and tell what filled each slot.

        :param positive_batch: shape: (batch_size, 3)

        :returns: the negatives, shape: (batch_size, num_negs_per_pos, 3); and positions in ``self.usage.stages``, of
            which the first is ``"masked"``, shape: (batch_size, num_negs_per_pos)
        """
        drawn = self._draw(positive_batch, self.filterer)
        return drawn.negatives, torch.from_numpy(drawn.filled_by + 1).long()

    def corrupt_batch(self, positive_batch: LongTensor) -> LongTensor:
        """Draw negatives, without the mask.

        :param positive_batch: shape: ``(*batch_dims, 3)``

        :returns: shape: ``(*batch_dims, num_negs_per_pos, 3)``
        """
        negatives = self._draw(positive_batch.reshape(-1, 3), None).negatives
        return negatives.view(*positive_batch.shape[:-1], self.num_negs_per_pos, 3)

    def _warn_of_workers(self) -> None:
        """Say once where PyKEEN's default training loop leaves out triples."""
        worker = get_worker_info()
        if worker is None or worker.id or worker.num_workers < 2 or self._has_warned:
            return
        if isinstance(worker.dataset, BatchedSLCWAInstances):
            self._has_warned.fill_(True)
            logger.warning(
                "PyKEEN's training loop with %d workers trains on the first 1/%d of the triples only, since the "
                "indices of each worker start at 0: use num_workers=0",
                worker.num_workers,
                worker.num_workers,
            )

    def _draw(self, batch: LongTensor, filterer: Filterer | None) -> _Drawn:
        batch, device = batch.cpu().contiguous(), batch.device
        positives, turned = self.triples.orient(batch)
        uniform = torch.rand(len(batch) + 1, self.num_negs_per_pos + 1, dtype=torch.double).numpy()
        sides = assign_sides(self.corruption, uniform, positives, turned, self.head_probabilities)
        slots = Slots.empty(sides, uniform)
        queries = Queries.of_triples(self.triples, positives)
        left = fill(self.stages, slots, queries, own_is_known=self.filtered and queries.are_known)
        if left:
            # whoever ignores the mask gets a negative all the same; where there is none, the positive again
            stand_ins(positives.numpy(), queries, slots, slots.filled_by == MASKED)
        # as the batch has them
        columns = sides if turned is None else sides ^ turned.numpy()[:, None]
        negatives = torch.from_numpy(replace(batch.numpy(), columns, slots.entities)).to(device)
        if filterer is not None:
            # where the positives are, since that is where a sampler is moved to
            slots.filled_by[~filterer(negatives).cpu().numpy()] = MASKED
            left = int((slots.filled_by == MASKED).sum())
        if left and self._rescue(positives, queries, slots, left):
            negatives = torch.from_numpy(replace(batch.numpy(), columns, slots.entities)).to(device)
            left = int((slots.filled_by == MASKED).sum())
        tally(slots.filled_by, self.usage.counts)
        is_valid = torch.from_numpy(slots.filled_by != MASKED).to(device) if left else None
        return _Drawn(negatives, is_valid, slots.filled_by)

    def _rescue(self, positives: LongTensor, queries: Queries, slots: Slots, left: int) -> bool:
        """Give each (sub-)batch without a valid slot one entity of all, since PyKEEN's losses fail on no negative.

        :returns: whether any slot was changed
        """
        if self.sub_batch_size is None and left < slots.filled_by.size:
            return False
        valid = slots.filled_by != MASKED
        window = np.arange(len(valid)) // (self.sub_batch_size or max(len(valid), 1))
        dead = np.bincount(window, weights=valid.any(axis=1))[window] == 0
        if not dead.any():
            return False
        wanted = np.broadcast_to(dead[:, None], valid.shape)
        row, column = stand_ins(positives.numpy(), queries, slots, wanted).nonzero()
        # the first slot of each window that anything could be drawn for
        _, is_first = np.unique(window[row], return_index=True)
        slots.filled_by[row[is_first], column[is_first]] = len(self.stages)
        return True
