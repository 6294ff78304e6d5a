"""Who is measured: our samplers, PyKEEN's with and without filterers, TorchKGE's, a loop, and a yardstick."""

from __future__ import annotations

import copy
import importlib.util
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from pykeen.sampling import NegativeSampler, negative_sampler_resolver
from pykeen.typing import BoolTensor, LongTensor, MappedTriples

from negsamp.datasets import SchemaDataset
from negsamp.negatives import GivenNegatives
from negsamp.pools import Pools
from negsamp.sampling import SAMPLERS, make_sampler, serves
from negsamp.triples import HEAD, TAIL, TripleSet

__all__ = [
    "ALL",
    "BASIC",
    "BLOOM",
    "LIMIT",
    "LOOP",
    "PYKEENS",
    "TORCHKGE",
    "Arena",
    "Drawer",
    "give_negatives",
    "group_of",
]

#: PyKEEN's samplers, each alone and with each filterer; ``exact`` is ours
PYKEENS = ("basic", "bernoulli", "pseudotyped")
FILTERERS = ("bloom", "python-set", "exact")
#: those that the others are compared with
BASIC, BLOOM, LOOP, LIMIT = "basic", "basic+bloom", "loop", "limit"
TORCHKGE = "torchkge"


class Drawer(Protocol):
    """Whatever draws negatives."""

    def sample(self, positive_batch: LongTensor) -> tuple[LongTensor, BoolTensor | None]:
        """Draw negatives of a batch, shape: (batch_size, 3)."""


class LoopNegativeSampler(NegativeSampler):
    """A loop over the positives of a batch, with dictionaries: how pools are often drawn from.

    For each positive and side, it looks up the pool (the relation's heads or tails) and the known positives, takes the
    ones from the other, and draws. It is a stand-in for what others publish, not the code of any of them.
    """

    def __init__(self, *, mapped_triples: MappedTriples, **kwargs: Any) -> None:
        """Collect the pools and the known positives.

        :param mapped_triples: shape: (num_triples, 3)
        :param kwargs: passed on to :class:`pykeen.sampling.NegativeSampler`
        """
        super().__init__(mapped_triples=mapped_triples, **kwargs)
        pools, known = (defaultdict[tuple[int, ...], set[int]](set) for _ in range(2))
        for h, r, t in mapped_triples.tolist():
            pools[r, HEAD].add(h)
            pools[r, TAIL].add(t)
            known[t, r, HEAD].add(h)
            known[h, r, TAIL].add(t)
        self._pools = {key: torch.tensor(sorted(entities)) for key, entities in pools.items()}
        self._known = {key: torch.tensor(sorted(entities)) for key, entities in known.items()}

    def corrupt_batch(self, positive_batch: LongTensor) -> LongTensor:
        negatives = positive_batch.unsqueeze(dim=1).repeat(1, self.num_negs_per_pos, 1)
        half = self.num_negs_per_pos // 2
        for i, (h, r, t) in enumerate(positive_batch.tolist()):
            for side, anchor, slots, column in ((HEAD, t, slice(half), 0), (TAIL, h, slice(half, None), 2)):
                count = len(range(self.num_negs_per_pos)[slots])
                if not count:
                    continue
                pool = self._pools[r, side]
                pool = pool[~torch.isin(pool, self._known[anchor, r, side])]
                # where nothing is left, the negative stays the positive
                if len(pool):
                    negatives[i, slots, column] = pool[torch.randint(len(pool), (count,))]
        return negatives


class TorchKGENegativeSampler(NegativeSampler):
    """TorchKGE's ``PositionalNegativeSampler`` with PyKEEN's interface; it draws one negative of each triple."""

    def __init__(self, *, mapped_triples: MappedTriples, **kwargs: Any) -> None:
        """Make the sampler.

        :param mapped_triples: shape: (num_triples, 3)
        :param kwargs: passed on to :class:`pykeen.sampling.NegativeSampler`
        """
        from torchkge.data_structures import KnowledgeGraph
        from torchkge.sampling import PositionalNegativeSampler

        super().__init__(mapped_triples=mapped_triples, **kwargs)
        heads, relations, tails = mapped_triples.unbind(dim=-1)
        graph = KnowledgeGraph(
            kg={"heads": heads, "relations": relations, "tails": tails},
            ent2ix={i: i for i in range(self.num_entities)},
            rel2ix={i: i for i in range(self.num_relations)},
        )
        self._sampler = PositionalNegativeSampler(graph)

    def corrupt_batch(self, positive_batch: LongTensor) -> LongTensor:
        heads, relations, tails = positive_batch.repeat_interleave(self.num_negs_per_pos, dim=0).unbind(dim=-1)
        heads, tails = self._sampler.corrupt_batch(heads, tails, relations)
        return torch.stack([heads, relations, tails], dim=-1).view(-1, self.num_negs_per_pos, 3)


class Limit:
    """What numbers cost that any draw from pools needs, with torch: a random one, and two look-ups at random places."""

    def __init__(self, *, mapped_triples: MappedTriples, num_negs_per_pos: int, **_: Any) -> None:
        """Lay out an array as large as the neighbours of all entities.

        :param mapped_triples: shape: (num_triples, 3)
        :param num_negs_per_pos: how many are drawn of each positive
        """
        self._num_negs_per_pos = num_negs_per_pos
        self._members = torch.randperm(2 * len(mapped_triples))

    def sample(self, positive_batch: LongTensor) -> tuple[LongTensor, None]:
        """Draw numbers; shape: (batch_size, num_negs_per_pos)."""
        ranks = torch.randint(len(self._members), (len(positive_batch), self._num_negs_per_pos))
        return self._members[self._members[ranks]], None


_OTHERS: dict[str, Callable[..., Drawer]] = {
    LOOP: LoopNegativeSampler,
    TORCHKGE: TorchKGENegativeSampler,
    LIMIT: Limit,
}

#: all contenders, in the order of the tables: PyKEEN's, with ``+`` and a filterer if any, ours, and the others
ALL = (
    *(name + filterer for name in PYKEENS for filterer in ("", *(f"+{filterer}" for filterer in FILTERERS))),
    *SAMPLERS,
    *_OTHERS,
)


def group_of(name: str) -> str:
    """Tell where a contender comes from."""
    if name in SAMPLERS:
        return "negsamp"
    if name in _OTHERS:
        return "other"
    return "PyKEEN, filtered" if "+" in name else "PyKEEN"


@dataclass(eq=False)
class Arena:
    """Makes contenders for a data set, by name."""

    dataset: SchemaDataset
    #: a saved auxiliary model, for the samplers that need one
    auxiliary: str | os.PathLike[str] | None = None
    #: pools that were found with it, so that the search is done once
    found: dict[str, Pools] = field(default_factory=dict)

    def left_out(self) -> dict[str, str]:
        """Tell of those that cannot be made here, why."""
        reasons = {
            name: f"the data set has no {cls.needs.replace('_', ' ')}"
            for name, cls in SAMPLERS.items()
            if not serves(name, self.dataset)
        }
        if self.auxiliary is None:
            needy = {name for name, cls in SAMPLERS.items() if cls.needs in ("auxiliary", "training")}
            reasons |= dict.fromkeys(sorted(needy), "there is no auxiliary model")
        if importlib.util.find_spec("torchkge") is None:
            reasons[TORCHKGE] = "not installed (pip install torchkge)"
        return reasons

    def names(self) -> list[str]:
        """Name the contenders that can be made here."""
        left_out = self.left_out()
        return [name for name in ALL if name not in left_out]

    def make(self, name: str, num_negs_per_pos: int) -> Drawer:
        """Make a contender.

        :param name: one of :data:`ALL`
        :param num_negs_per_pos: how many negatives a positive gets

        :raises InputError: if a sampler of ours cannot be made, or there is none of this name
        """
        training = self.dataset.training
        graph: dict[str, Any] = {
            "mapped_triples": training._add_inverse_triples_if_necessary(training.mapped_triples),
            "num_entities": training.num_entities,
            "num_relations": training.num_relations,
            "num_negs_per_pos": num_negs_per_pos,
        }
        if name in _OTHERS:
            return _OTHERS[name](**graph)
        base, _, filterer = name.partition("+")
        if base in PYKEENS:
            return negative_sampler_resolver.make(base, graph, filterer=filterer or None)
        # the pools that a refresh finds are those of near misses
        origin = "adversarial" if name == "adaptiveadversarial" else name
        if origin != name and origin not in self.found:
            self.make(origin, num_negs_per_pos)
        sampler = make_sampler(
            name,
            self.dataset,
            num_negs_per_pos=num_negs_per_pos,
            auxiliary=self.auxiliary,
            pools=self.found.get(origin),
        )
        if SAMPLERS[name].needs == "auxiliary":
            self.found[name] = sampler.pools
        return sampler


def give_negatives(dataset: SchemaDataset, per_triple: int = 10) -> SchemaDataset:
    """Return a data set with given negatives: its own, or random ones that stand in, a few for each triple and side."""
    if dataset.negatives is not None:
        return dataset
    training = dataset.training
    triples = TripleSet(training.mapped_triples, training.num_entities, training.num_relations)
    anchors, relations, sides, _ = (part.repeat_interleave(per_triple) for part in triples.completions())
    drawn = torch.randint(triples.num_entities, anchors.shape)
    heads, tails = torch.where(sides == TAIL, anchors, drawn), torch.where(sides == TAIL, drawn, anchors)
    is_false = ~triples.contains(heads, relations, tails)
    rows = torch.stack([anchors, relations, drawn, sides])[:, is_false]
    dataset = copy.copy(dataset)
    dataset.negatives = GivenNegatives(torch.unique(rows, dim=1), triples.identity)
    return dataset
