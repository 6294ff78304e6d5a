"""Negatives for slots that no pool fills: any entity that makes no training triple."""

import numpy as np
import torch
from numpy.typing import NDArray
from pykeen.typing import BoolTensor, LongTensor

from negsamp.kernels import stand_in
from negsamp.pools import Queries, Slots
from negsamp.triples import HEAD

__all__ = ["stand_ins"]

#: how many entities are looked at in one step
CHUNK = 1 << 20

#: how often a draw that makes a training triple is made anew, before all entities are looked at
MORE_TRIES = 8


def stand_ins(
    positives: NDArray[np.int64], queries: Queries, slots: Slots, wanted: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Put one of all entities less the known positives into the wanted slots; where there is none, the replaced entity.

    Few slots are masked, so that nothing is laid out for them: a draw is looked up among the training triples, and made
    anew if it is one of these.

    :param positives: shape: (batch_size, 3), without artificial inverses
    :param queries: the two queries of each
    :param slots: the slots
    :param wanted: shape: (batch_size, num_negs_per_pos)

    :returns: shape: (batch_size, num_negs_per_pos): where there was any
    """
    pending = np.flatnonzero(wanted)
    for tries in (1, MORE_TRIES):
        uniform = torch.rand(tries, len(pending), dtype=torch.double).numpy()
        pending = stand_in(queries.triples, positives, slots, pending, uniform)
        if not len(pending):
            return wanted
    query = 2 * (pending // wanted.shape[1]) + slots.sides.ravel()[pending]
    entities, is_drawn = _of_all(queries.some(torch.from_numpy(query)))
    slots.entities.reshape(-1)[pending] = entities.numpy()
    found = wanted.copy()
    found.reshape(-1)[pending] = is_drawn.numpy()
    return found


def _of_all(queries: Queries) -> tuple[LongTensor, BoolTensor]:
    """Look at all entities, where nearly all are known positives; return a draw, and whether there was any."""
    num_entities = queries.triples.num_entities
    entities, is_drawn = queries.replaced.clone(), torch.zeros_like(queries.replaced, dtype=torch.bool)
    for part in torch.arange(len(entities)).split(max(CHUNK // num_entities, 1)):
        asked = queries.some(part.repeat_interleave(num_entities))
        candidates = _can_stand_in(asked, torch.arange(num_entities).repeat(len(part))).view(len(part), num_entities)
        up_to = candidates.cumsum(dim=-1)
        rank = (torch.rand(len(part), dtype=torch.double) * up_to[:, -1]).long()
        found = torch.searchsorted(up_to, rank.unsqueeze(dim=-1), right=True).squeeze(dim=-1)
        is_drawn[part] = up_to[:, -1] > 0
        entities[part] = torch.where(is_drawn[part], found, entities[part])
    return entities, is_drawn


def _can_stand_in(queries: Queries, entities: LongTensor) -> BoolTensor:
    """Tell which entities make another triple than the positive, and no training triple."""
    is_head = queries.sides == HEAD
    heads, tails = torch.where(is_head, entities, queries.anchors), torch.where(is_head, queries.anchors, entities)
    return ~queries.triples.contains(heads, queries.relations, tails) & (entities != queries.replaced)
