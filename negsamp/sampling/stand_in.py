"""Negatives for slots that no pool fills: any entity that makes no training triple."""

import torch
from pykeen.typing import BoolTensor, LongTensor

from negsamp.pools import Queries
from negsamp.triples import HEAD

__all__ = ["stand_ins"]

#: how often a draw that makes a training triple is drawn anew, before all entities are looked at
TRIES = 8

#: how many entities are looked at in one step
CHUNK = 1 << 20


def stand_ins(queries: Queries) -> tuple[LongTensor, BoolTensor]:
    """Draw one of all entities less the known positives for each query.

    Few slots are masked, so that nothing is laid out for them: a draw is looked up among the training triples.

    :param queries: the queries

    :returns: shape of both: (num_queries,): the entities, and whether there was any; where not, the replaced entity
    """
    num_entities = queries.triples.num_entities
    entities = torch.randint(num_entities, queries.replaced.shape)
    pending = (~_can_stand_in(queries, entities)).nonzero().squeeze(dim=-1)
    for _ in range(TRIES):
        if not len(pending):
            break
        entities[pending] = torch.randint(num_entities, pending.shape)
        pending = pending[~_can_stand_in(queries.some(pending), entities[pending])]
    is_drawn = torch.ones_like(entities, dtype=torch.bool)
    # nearly all entities are known positives of these
    for part in pending.split(max(CHUNK // num_entities, 1)):
        asked = queries.some(part.repeat_interleave(num_entities))
        candidates = _can_stand_in(asked, torch.arange(num_entities).repeat(len(part))).view(len(part), num_entities)
        up_to = candidates.cumsum(dim=-1)
        rank = (torch.rand(len(part), dtype=torch.double) * up_to[:, -1]).long()
        found = torch.searchsorted(up_to, rank.unsqueeze(dim=-1), right=True).squeeze(dim=-1)
        is_drawn[part] = up_to[:, -1] > 0
        entities[part] = torch.where(is_drawn[part], found, queries.replaced[part])
    return entities, is_drawn


def _can_stand_in(queries: Queries, entities: LongTensor) -> BoolTensor:
    """Tell which entities make another triple than the positive, and no training triple."""
    is_head = queries.sides == HEAD
    heads, tails = torch.where(is_head, entities, queries.anchors), torch.where(is_head, queries.anchors, entities)
    return ~queries.triples.contains(heads, queries.relations, tails) & (entities != queries.replaced)
