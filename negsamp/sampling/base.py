"""The one vectorised sampler; a subclass only describes its pool."""

from __future__ import annotations

import inspect
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from class_resolver import HintOrType
from pykeen.sampling import NegativeSampler
from pykeen.sampling.filtering import Filterer
from pykeen.typing import COLUMN_HEAD, COLUMN_TAIL, BoolTensor, FloatTensor, LongTensor, MappedTriples

from negsamp.pools import Exclusions, KnownPositives, Pools, Queries, Stage, corrupt_pools, typed_pools
from negsamp.pools import load_stage as load_stored
from negsamp.sampling.sides import Corruption, Slots, assign_slots, head_probabilities
from negsamp.schema import Schema
from negsamp.triples import HEAD, TAIL, TripleSet

__all__ = ["PoolNegativeSampler"]

#: the stage of a slot that none has filled
MASKED = -1


class PoolNegativeSampler(NegativeSampler, ABC):
    """Replace the head or the tail of each triple by an entity drawn exactly from a pool; subclasses say which pool.

    The draw is uniform over the pool less what must not come out, without rejection: with ``filtered=True`` no training
    triple is ever given as a negative, and no slot is lost to a filter.

    A stage of a fallback that holds at least the negatives still wanted of one positive on one side draws them with
    replacement; a smaller one gives each of its entities once and passes the rest on; the last stage that holds
    anything draws with replacement. Where no stage holds anything, the slot is masked: the mask given beside the
    negatives is False, and the slot holds some entity that makes no training triple, or repeats the positive where
    there is none.

    .. note ::
        A training loop keeps the class and the keyword arguments of a sampler, and makes its own instance. Whatever is
        to be seen from outside, such as ``usage``, is handed in.
    """

    #: the stages that ``fallback="semantic"`` means, by name; see :meth:`stages_named`
    semantic_fallback: ClassVar[tuple[str, ...]] = ("typed", "corrupt", "everything")

    #: what the pool is built from beside the triples
    needs: ClassVar[Literal["nothing", "classes", "domains_and_ranges", "auxiliary"]] = "nothing"

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
        fallback: str | None = None,
        corruption: Corruption = "balanced",
        pools: Pools | str | os.PathLike[str] | None = None,
        schema: Schema | None = None,
        sub_batch_size: int | None = None,
        usage: Counter[str] | None = None,
    ) -> None:
        """Find or build the pools, and their exclusions.

        :param mapped_triples: shape: (num_triples, 3), the training triples; artificial inverses are recognised
        :param num_entities: the number of entities; None: inferred from the triples
        :param num_relations: the number of relations, artificial inverses counted; None: inferred from the triples
        :param num_negs_per_pos: how many negatives a positive gets; None: 1
        :param filtered: whether all known positives are excluded. If not, only the replaced entity itself is.
        :param filterer: one of PyKEEN's filterers, to mask known positives after the draw; not with ``filtered``
        :param filterer_kwargs: its options
        :param fallback: what a pool that is too small falls back to: None, ``"random"`` (all entities) or
            ``"semantic"`` (wider and wider sets of plausible entities, then all entities)
        :param corruption: ``"balanced"``: half of each positive's negatives on each side, an odd one by a fair coin;
            ``"bernoulli"``: the side of each negative drawn by the relation's cardinality [wang2014]_; ``"head"`` or
            ``"tail"``: this side only
        :param pools: pools built before, or the file they are stored in; None: built here
        :param schema: what is known of the entities' classes and the relations' domains and ranges
        :param sub_batch_size: the training loop's sub-batch size, if it has one: each sub-batch then gets at least one
            valid negative, as each batch does
        :param usage: where the slots are counted by stage; None: in a counter of the sampler's own

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
        self.usage = Counter() if usage is None else usage
        self.triples = TripleSet(mapped_triples, self.num_entities, self.num_relations)
        self.schema = schema
        if schema is not None:
            schema.check(self.triples.triples, self.triples.num_entities, self.triples.num_relations)
        self.head_probabilities = head_probabilities(self.triples, corruption)
        self.known = KnownPositives(self.triples, None if filtered else self.always_excluded())
        # what a pool excludes by its own definition may come out of another stage
        self.known_elsewhere = self.known if filtered else KnownPositives(self.triples, self._nothing())
        self.stages = [self._first_stage(pools), *self._fallback_stages(fallback)]

    @abstractmethod
    def build_pools(self) -> Pools:
        """Describe the pool of every query of ``self.triples``, before exclusions."""

    def always_excluded(self) -> BoolTensor:
        """Tell which known positives a pool excludes by its own definition, filtered or not; shape: (2 * num_triples,).

        The order is that of :meth:`negsamp.triples.TripleSet.completions`. Here: none.
        """
        return self._nothing()

    def _nothing(self) -> BoolTensor:
        return torch.zeros(2 * len(self.triples.triples), dtype=torch.bool)

    def stages_named(self, name: str) -> Iterator[tuple[str, Pools]]:
        """Give the pools that a name in a fallback stands for, each with the name by which its slots are counted.

        :raises ValueError: if there is no such name
        """
        match name:
            case "everything":
                yield name, Pools.everything(self.triples)
            case "corrupt":
                yield name, corrupt_pools(self.triples)
            case "typed":
                if self.schema is not None:
                    yield name, typed_pools(self.triples, self.schema)
            case _:
                raise ValueError(f"no pool is called {name!r}")

    @property
    def pools(self) -> Pools:
        """The sampler's own pools, before exclusions."""
        return self.stages[0].pools

    def filtered_stage(self) -> Stage:
        """Return the sampler's own pools less all known positives, whether or not it is filtered: what is counted."""
        if self.filtered:
            return self.stages[0]
        return Stage("pool", Exclusions.build(self.pools, self.triples, KnownPositives(self.triples)))

    def _first_stage(self, pools: Pools | str | os.PathLike[str] | None) -> Stage:
        if isinstance(pools, str | os.PathLike):
            return load_stored(pools, self.triples, self.known, name="pool", filtered=self.filtered)
        pools = self.build_pools() if pools is None else pools
        found = (pools.num_entities, pools.num_relations)
        if found != (self.triples.num_entities, self.triples.num_relations):
            raise ValueError(
                f"the pools cover {found[0]} entities and {found[1]} relations, the triples "
                f"{self.triples.num_entities} and {self.triples.num_relations}: rebuild the pools"
            )
        return self._stage("pool", pools)

    def _fallback_stages(self, fallback: str | None) -> list[Stage]:
        names = {None: (), "random": ("everything",), "semantic": self.semantic_fallback}.get(fallback)
        if names is None:
            raise ValueError(f"fallback is {fallback!r}; it must be None, 'random' or 'semantic'")
        return [self._stage(label, pools) for name in names for label, pools in self.stages_named(name)]

    def _stage(self, name: str, pools: Pools) -> Stage:
        known = self.known if name == "pool" else self.known_elsewhere
        return Stage(name, Exclusions.build(pools, self.triples, known))

    @cached_property
    def _everything(self) -> Stage:
        known = self.known if self.filtered else KnownPositives(self.triples)
        return Stage("everything", Exclusions.build(Pools.everything(self.triples), self.triples, known))

    def sample(self, positive_batch: LongTensor) -> tuple[LongTensor, BoolTensor | None]:
        """Draw negatives.

        :param positive_batch: shape: (batch_size, 3)

        :returns: the negatives, shape: (batch_size, num_negs_per_pos, 3); and which of them are valid, shape:
            (batch_size, num_negs_per_pos), or None if all are
        """
        negatives, valid = self._draw(positive_batch, self.filterer)
        return negatives, None if valid.all() else valid

    def corrupt_batch(self, positive_batch: LongTensor) -> LongTensor:
        """Draw negatives, without the mask.

        :param positive_batch: shape: (*batch_dims, 3)

        :returns: shape: (*batch_dims, num_negs_per_pos, 3)
        """
        negatives, _ = self._draw(positive_batch.reshape(-1, 3), None)
        return negatives.view(*positive_batch.shape[:-1], self.num_negs_per_pos, 3)

    def _draw(self, positives: LongTensor, filterer: Filterer | None) -> tuple[LongTensor, BoolTensor]:
        heads, relations, tails, turned = self.triples.orient(positives)
        # the queries of positive i: 2i asks for heads, 2i + 1 for tails
        queries = Queries.of(
            self.triples,
            anchors=torch.stack([tails, heads], dim=-1).flatten(),
            relations=relations.repeat_interleave(2),
            sides=torch.tensor([HEAD, TAIL]).repeat(len(positives)),
            replaced=torch.stack([heads, tails], dim=-1).flatten(),
        )
        all_known = bool(self.triples.contains(heads, relations, tails).all())
        slots = assign_slots(self.corruption, self.num_negs_per_pos, turned, self.head_probabilities[relations])
        uniform = torch.rand(slots.query.shape, dtype=torch.double)
        entities = queries.replaced[slots.query]
        stages = self._fill(entities, slots, queries, uniform, own_is_known=self.filtered and all_known)
        # whoever ignores the mask gets a negative all the same, if there is any
        self._draw_from_everything(entities, stages == MASKED, slots, queries, uniform, own_is_known=all_known)
        sides = (slots.query % 2) ^ turned.unsqueeze(dim=-1).long()
        columns = torch.where(sides == TAIL, COLUMN_TAIL, COLUMN_HEAD).unsqueeze(dim=-1)
        negatives = positives.unsqueeze(dim=1).repeat(1, self.num_negs_per_pos, 1)
        negatives.scatter_(-1, columns, entities.unsqueeze(dim=-1))
        if filterer is not None:
            stages[~filterer(negatives)] = MASKED
        if self._rescue(entities, stages, slots, queries, uniform, own_is_known=all_known):
            negatives.scatter_(-1, columns, entities.unsqueeze(dim=-1))
        names = ["masked", *(stage.name for stage in self.stages), "rescued"]
        counts = torch.bincount(stages.flatten() + 1, minlength=len(names)).tolist()
        self.usage.update(dict(zip(names, counts, strict=True)))
        return negatives, stages != MASKED

    def _fill(
        self, entities: LongTensor, slots: Slots, queries: Queries, uniform: FloatTensor, own_is_known: bool
    ) -> LongTensor:
        """Fill the slots stage by stage, and tell which stage filled each, or that none did."""
        needs = slots.needs
        answers = [self.stages[0].ask(queries, own_is_known=own_is_known)]
        if bool((answers[0].free < needs).any()):
            answers += [stage.ask(queries, own_is_known=own_is_known) for stage in self.stages[1:]]
        filled_by = torch.full_like(entities, MASKED)
        given = torch.zeros_like(needs)
        for i, (stage, answer) in enumerate(zip(self.stages, answers, strict=False)):
            left = needs - given
            is_last = ~torch.stack([later.free > 0 for later in answers[i + 1 :]] or [left < 0]).any(dim=0)
            repeats = (answer.free >= left) | is_last
            share = torch.where(answer.free == 0, 0, torch.where(repeats, left, answer.free))
            chosen = (slots.index >= given[slots.query]) & (slots.index < (given + share)[slots.query])
            query = slots.query[chosen]
            free = answer.free[query]
            ranks = torch.where(repeats[query], _ranks(uniform[chosen], free), slots.index[chosen] - given[query])
            entities[chosen] = stage.draw(answer, query, ranks)
            filled_by[chosen] = i
            given = given + share
        return filled_by

    def _rescue(
        self,
        entities: LongTensor,
        stages: LongTensor,
        slots: Slots,
        queries: Queries,
        uniform: FloatTensor,
        own_is_known: bool,
    ) -> bool:
        """Give each (sub-)batch without a valid slot one entity of all, since PyKEEN's losses fail on no negative.

        :returns: whether any slot was changed
        """
        window = torch.arange(len(stages)) // (self.sub_batch_size or max(len(stages), 1))
        alive = torch.zeros(len(stages), dtype=torch.bool).index_add(0, window, (stages != MASKED).any(dim=1))
        dead = ~alive[window].unsqueeze(dim=-1).expand_as(stages)
        if not dead.any():
            return False
        drawn = self._draw_from_everything(entities, dead, slots, queries, uniform, own_is_known=own_is_known)
        row, column = drawn.nonzero().unbind(dim=-1)
        # the first slot of each window that anything could be drawn for
        first = torch.ones_like(row, dtype=torch.bool)
        first[1:] = window[row[1:]] != window[row[:-1]]
        stages[row[first], column[first]] = len(self.stages)
        return True

    def _draw_from_everything(
        self,
        entities: LongTensor,
        wanted: BoolTensor,
        slots: Slots,
        queries: Queries,
        uniform: FloatTensor,
        own_is_known: bool,
    ) -> BoolTensor:
        """Fill the wanted slots from all entities less the known positives, and tell which could be filled."""
        drawn = wanted.clone()
        if wanted.any():
            answers = self._everything.ask(queries, own_is_known=own_is_known)
            drawn &= answers.free[slots.query] > 0
            query = slots.query[drawn]
            entities[drawn] = self._everything.draw(answers, query, _ranks(uniform[drawn], answers.free[query]))
        return drawn


def _ranks(uniform: FloatTensor, counts: LongTensor) -> LongTensor:
    """Turn uniform numbers in [0, 1) into ranks in [0, count)."""
    # the product can round up to the count itself
    return torch.minimum((uniform * counts).long(), counts - 1)
