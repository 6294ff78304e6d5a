"""Pool: the entities that a model takes for the answer (near miss)."""

import torch
from pykeen.models import ERModel
from pykeen.typing import FloatTensor, LongTensor

from negsamp.auxiliary import asked, entity_vectors, predicted_vectors, score_pairs
from negsamp.pools.exclusions import ranges
from negsamp.pools.search import Metric, Search, check_search, nearest_by_faiss, score_blocks, top_ids
from negsamp.pools.spans import LookUp, Pools
from negsamp.triples import TripleSet

__all__ = ["adversarial_pools", "find_near_misses"]


def adversarial_pools(
    triples: TripleSet,
    auxiliary: ERModel,
    num_neighbors: int = 100,
    metric: Metric = "euclidean",
    *,
    grow: bool = False,
    search: Search = "exact",
) -> Pools:
    """Collect the k entities nearest to the predicted vector of each pair, or its k best-scored ones [kotnis2017]_.

    :param triples: the graph
    :param auxiliary: the trained auxiliary model; one without predicted vectors is asked for its scores instead
    :param num_neighbors: k, before anything is excluded
    :param metric: the distance to the predicted vector
    :param grow: take for each pair the smallest k that leaves ``num_neighbors`` after its known positives are excluded
    :param search: ``"exact"``, or ``"faiss"`` for an approximate one

    :raises ValueError: if an option has no such value, or the model has no vectors to search approximately
    """
    keys = triples.known_positives.keys
    rows, entities = find_near_misses(triples, auxiliary, keys, num_neighbors, metric, grow=grow, search=search)
    return Pools.from_rows(LookUp.PAIR, triples, rows, entities, len(keys), index=torch.arange(len(keys)), keys=keys)


def find_near_misses(
    triples: TripleSet,
    model: ERModel,
    keys: LongTensor,
    num_neighbors: int,
    metric: Metric,
    *,
    grow: bool = False,
    search: Search = "exact",
) -> tuple[LongTensor, LongTensor]:
    """Find what a model takes for the answer to some pairs.

    :param triples: the graph
    :param model: the model
    :param keys: shape: (num_pairs,), pair keys
    :param num_neighbors: k
    :param metric: as for :func:`adversarial_pools`, and the rest too

    :returns: the position of a pair, and an entity of its pool; shape of both: (num_found,)
    """
    check_search(num_neighbors, search, metric, grow=grow)
    pairs = triples.unpair(keys)
    k = min(num_neighbors, triples.num_entities)
    with asked(model):
        vectors = predicted_vectors(model, *pairs)
        if search == "faiss":
            if vectors is None:
                raise ValueError(f"{type(model).__name__} predicts no vectors, only scores: use search='exact'")
            found = nearest_by_faiss(vectors, entity_vectors(model), k, metric).cpu()
            row, column = (found >= 0).nonzero().unbind(dim=-1)
            return row, found[row, column]
        blocks = score_pairs(model, *pairs) if vectors is None else score_blocks(vectors, entity_vectors(model), metric)
        rows, entities = [keys[:0]], [keys[:0]]
        for block, scores in blocks:
            if grow:
                row, entity = _grown(triples, keys[block.cpu()], scores, k)
            else:
                entity = top_ids(scores, k).flatten()
                row = torch.arange(len(block)).repeat_interleave(k)
            rows.append(block.cpu()[row.cpu()])
            entities.append(entity.cpu())
        return torch.cat(rows), torch.cat(entities)


def _grown(triples: TripleSet, keys: LongTensor, scores: FloatTensor, wanted: int) -> tuple[LongTensor, LongTensor]:
    """Take the best entities of each row down to the last of so many that are no known positives."""
    known = triples.known_positives
    lists = known.rows(keys)
    lengths = known.offsets.diff()[lists]
    query = torch.arange(len(keys)).repeat_interleave(lengths).to(scores.device)
    entities = known.entities[known.offsets[lists].repeat_interleave(lengths) + ranges(lengths)].to(scores.device)
    others = scores.clone()
    others[query, entities] = -torch.inf
    ids = top_ids(others, wanted)
    values = scores.gather(1, ids)
    # the last one: the worst score, and of those that have it the highest id
    worst = others.gather(1, ids).amin(dim=-1, keepdim=True)
    last = torch.where(values == worst, ids, -1).amax(dim=-1, keepdim=True)
    within = (scores > worst) | ((scores == worst) & (torch.arange(scores.shape[1], device=scores.device) <= last))
    row, entity = within.nonzero().unbind(dim=-1)
    return row, entity
