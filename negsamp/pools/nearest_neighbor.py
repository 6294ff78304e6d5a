"""Pool: the entities nearest to the one that is replaced, in an auxiliary model's space."""

import torch
from pykeen.models import ERModel
from pykeen.typing import FloatTensor, LongTensor

from negsamp.auxiliary import asked, entity_vectors
from negsamp.pools.exclusions import ranges
from negsamp.pools.search import Metric, Search, check_search, nearest, nearest_by_faiss, score_blocks
from negsamp.pools.spans import LookUp, Pools
from negsamp.triples import TripleSet

__all__ = ["nearest_neighbor_pools"]


def nearest_neighbor_pools(
    triples: TripleSet,
    auxiliary: ERModel,
    num_neighbors: int = 100,
    metric: Metric = "euclidean",
    *,
    grow: bool = False,
    search: Search = "exact",
) -> Pools:
    """Collect the k nearest entities of each entity, itself not counted [kotnis2017]_.

    :param triples: the graph
    :param auxiliary: the trained auxiliary model
    :param num_neighbors: k, before anything is excluded
    :param metric: the distance
    :param grow: take for each query of the graph the smallest k that leaves ``num_neighbors`` after its known positives
        are excluded; other queries have no pool then
    :param search: ``"exact"``, or ``"faiss"`` for an approximate one

    :raises ValueError: if an option has no such value
    """
    check_search(num_neighbors, search, metric, grow=grow)
    with asked(auxiliary):
        vectors = entity_vectors(auxiliary)
    k = min(num_neighbors, triples.num_entities - 1)
    if grow:
        return _growing_pools(triples, vectors, k, metric)
    ids = torch.arange(triples.num_entities)
    find = nearest if search == "exact" else nearest_by_faiss
    neighbors = find(vectors, vectors, k, metric, skip=ids.to(vectors.device)).cpu().flatten()
    found = neighbors >= 0
    return Pools.from_rows(
        LookUp.REPLACED,
        triples,
        ids.repeat_interleave(k)[found],
        neighbors[found],
        triples.num_entities,
        index=ids,
    )


def _growing_pools(triples: TripleSet, vectors: FloatTensor, wanted: int, metric: Metric) -> Pools:
    """Collect one pool for each entity and k that any of its queries needs."""
    anchors, relations, sides, replaced = triples.completions()
    pair_keys = triples.pair_keys(anchors, relations, sides)
    order = torch.argsort(triples.completion_keys(pair_keys, replaced))
    pair_keys, replaced = pair_keys[order], replaced[order]
    # of each query, an entity and a k; of each of these pairs, the members
    sizes = torch.empty_like(replaced)
    by_entity = torch.argsort(replaced, stable=True)
    starts = torch.searchsorted(replaced[by_entity], torch.arange(triples.num_entities + 1))
    rows, members = [], []
    for block, scores in score_blocks(vectors, vectors, metric):
        block = block.cpu()
        # an entity comes last in its own order, where no k reaches it
        scores.scatter_(1, block[:, None].to(scores.device), -torch.inf)
        ranked = scores.argsort(dim=-1, descending=True, stable=True).cpu()
        queries = by_entity[starts[block[0]] : starts[block[-1] + 1]]
        local = replaced[queries] - block[0]
        places = torch.empty_like(ranked).scatter_(1, ranked, torch.arange(ranked.shape[1]).expand_as(ranked))
        sizes[queries] = _smallest_k(triples, pair_keys[queries], local, places, wanted)
        keys = torch.unique(local * triples.num_entities + sizes[queries])
        local, counts = keys // triples.num_entities, keys % triples.num_entities
        rows.append((keys + block[0] * triples.num_entities).repeat_interleave(counts))
        members.append(ranked[local.repeat_interleave(counts), ranges(counts)])
    spans, index = torch.unique(replaced * triples.num_entities + sizes, return_inverse=True)
    return Pools.from_rows(
        LookUp.COMPLETION,
        triples,
        torch.searchsorted(spans, torch.cat(rows)),
        torch.cat(members),
        len(spans),
        index=index,
        keys=triples.completion_keys(pair_keys, replaced),
    )


def _smallest_k(
    triples: TripleSet, pair_keys: LongTensor, rows: LongTensor, places: LongTensor, wanted: int
) -> LongTensor:
    """Find how many of the nearest entities hold so many that are not known positives.

    :param pair_keys: shape: (num_queries,)
    :param rows: shape: (num_queries,): the row of ``places`` that belongs to the replaced entity
    :param places: shape: (num_rows, num_entities): how many entities are nearer than each; the last one is the entity
        itself
    :param wanted: how many

    :returns: shape: (num_queries,); all other entities where there are not as many
    """
    known = triples.known_positives
    lists = known.rows(pair_keys)
    lengths = known.offsets.diff()[lists]
    query = torch.arange(len(rows)).repeat_interleave(lengths)
    entities = known.entities[known.offsets[lists][query] + ranges(lengths)]
    place = places[rows[query], entities]
    place = (query * triples.num_entities + place).sort().values % triples.num_entities
    # the i-th nearest known positive (from 0) lies inside the smallest k if fewer than wanted others are nearer
    inside = torch.zeros_like(rows).index_add(0, query, (place - ranges(lengths) < wanted).long())
    return (wanted + inside).clamp(max=triples.num_entities - 1)
