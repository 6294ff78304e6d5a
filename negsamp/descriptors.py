"""What a graph looks like, in numbers: the descriptors that the samplers' gains are explained by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from pykeen.typing import LongTensor

from negsamp.datasets.synthetic import CARDINALITIES
from negsamp.pools import Queries
from negsamp.pools.search import rows_in_budget
from negsamp.schema import Schema
from negsamp.triples import HEAD, TAIL, TripleSet, find, sorted_distinct

if TYPE_CHECKING:
    from negsamp.datasets import SchemaDataset
    from negsamp.sampling import PoolNegativeSampler

__all__ = [
    "DESCRIPTORS",
    "POOL_DESCRIPTORS",
    "describe_dataset",
    "describe_pool_sizes",
    "describe_pools",
    "describe_structure",
]

#: a relation is "many" on a side that has more than this many entities a pair on average [bordes2013]_
MANY = 1.5

#: the numbers that :func:`describe_structure` finds, and what each means
DESCRIPTORS = {
    "entities": "entities in training triples",
    "relations": "relations in training triples",
    "triples": "distinct training triples",
    "triples_per_entity": "training triples by entities",
    "degree_gini": "Gini coefficient of the entities' degrees: 0 where all are equal, towards 1 where few have all",
    "one_to_one": "share of triples whose relation has about one head a tail and one tail a head",
    "one_to_many": "share of triples whose relation has about one head a tail and many tails a head",
    "many_to_one": "share of triples whose relation has many heads a tail and about one tail a head",
    "many_to_many": "share of triples whose relation has many of both",
    "symmetric": "share of triples that are training triples turned round, too",
    "inverse": "share of triples whose pair another relation links the other way",
    "duplicate": "share of triples whose pair another relation links the same way",
    "classes": "classes that some entity has",
    "class_depth": "levels of the class hierarchy below its roots",
    "classes_per_entity": "listed classes of an entity, on average over the entities that have one",
    "untyped": "share of entities without a class",
    "undeclared": "share of relation sides (domains and ranges) without a class",
    "violations": "share of typed heads and tails outside the domain or range that is declared",
}


def describe_structure(triples: TripleSet, schema: Schema | None) -> dict[str, float | None]:
    """Describe the structure of a graph, by training triples alone.

    :param triples: the graph
    :param schema: its schema, if there is one

    :returns: a number for each of :data:`DESCRIPTORS`; None where there is nothing to count
    """
    heads, relations, tails = triples.triples.T.numpy()
    degrees = np.bincount(np.concatenate([heads, tails]), minlength=triples.num_entities)
    degrees = degrees[degrees > 0]
    return {
        "entities": len(degrees),
        "relations": len(np.unique(relations)),
        "triples": len(heads),
        "triples_per_entity": len(heads) / len(degrees),
        "degree_gini": _gini(degrees),
        **_cardinalities(triples),
        **_patterns(triples),
        **_describe_schema(triples, schema),
    }


def describe_dataset(dataset: SchemaDataset) -> dict[str, float | None]:
    """Describe the structure of a data set, see :func:`describe_structure`."""
    training = dataset.training
    triples = TripleSet(training.mapped_triples, training.num_entities, training.num_relations)
    return describe_structure(triples, dataset.schema)


def _gini(values: NDArray[np.int64]) -> float:
    ordered = np.sort(values)
    count = len(ordered)
    ranks = 2 * np.arange(1, count + 1) - count - 1
    return float(ranks @ ordered) / (count * int(ordered.sum()))


def _cardinalities(triples: TripleSet) -> dict[str, float | None]:
    """Sort the relations into four kinds, and count the triples of each."""
    relations = triples.triples[:, 1].numpy()
    sizes = np.bincount(relations, minlength=triples.num_relations)
    _, of_pair, sides = (column.numpy() for column in triples.unpair(triples.known_positives.keys))
    pairs = np.bincount(2 * of_pair + sides, minlength=2 * triples.num_relations).reshape(-1, 2)
    # a pair of the side "head" is a tail and a relation: its completions are heads
    many = sizes[:, None] > MANY * pairs
    kinds = 2 * many[:, 0] + many[:, 1]
    counts = np.bincount(kinds, weights=sizes, minlength=4)
    return dict(zip(CARDINALITIES, (counts / sizes.sum()).tolist(), strict=True))


def _patterns(triples: TripleSet) -> dict[str, float | None]:
    heads, relations, tails = triples.triples.unbind(dim=-1)
    turned = triples.contains(tails, relations, heads).numpy()
    forward = (heads * triples.num_entities + tails).numpy()
    backward = (tails * triples.num_entities + heads).numpy()
    pairs, of_triple, links = np.unique(forward, return_inverse=True, return_counts=True)
    place = np.minimum(np.searchsorted(pairs, backward), len(pairs) - 1)
    links_back = np.where(pairs[place] == backward, links[place], 0)
    return {
        "symmetric": float(turned.mean()),
        "inverse": float((links_back > turned).mean()),
        "duplicate": float((links[of_triple] > 1).mean()),
    }


def _describe_schema(triples: TripleSet, schema: Schema | None) -> dict[str, float | None]:
    nothing: dict[str, float | None] = dict.fromkeys(
        ("classes", "class_depth", "classes_per_entity", "untyped", "undeclared", "violations")
    )
    if schema is None:
        return nothing
    membership = schema.membership()
    listed = np.diff(membership.indptr)
    used = np.unique(triples.triples[:, [0, 2]].numpy())
    found = dict(nothing)
    if schema.has_classes:
        found |= {
            "classes": int((membership.sum(axis=0) > 0).sum()),
            "class_depth": schema.height(),
            "classes_per_entity": float(listed[listed > 0].mean()),
            "untyped": float((listed[used] == 0).mean()),
        }
    declared = schema.relation_classes()
    found["undeclared"] = float((np.diff(declared.indptr) == 0).mean())
    if schema.has_classes and schema.has_domains_and_ranges:
        found["violations"] = _violations(triples, schema)
    return found


def _violations(triples: TripleSet, schema: Schema) -> float | None:
    _, relations, sides, entities = (column.numpy() for column in triples.completions())
    places = 2 * relations + sides
    declared = schema.relation_classes().astype(np.int32)
    has_classes = np.diff(schema.membership().indptr) > 0
    counted = (np.diff(declared.indptr) > 0)[places] & has_classes[entities]
    if not counted.any():
        return None
    allowed = (declared @ schema.members().astype(np.int32)).astype(bool).tocsr()
    return float(1 - np.asarray(allowed[places[counted], entities[counted]]).mean())


#: what a slot of a query's pool takes while it is looked at
_BYTES = 40

#: the numbers that :func:`describe_pools` finds, and what each means; every triple and side is a query
POOL_DESCRIPTORS = {
    "pool_share": "mean size of a pool, by the number of entities",
    "no_pool": "share of queries with an empty pool",
    "held_out": "share of what is drawn that is a held-out triple, while the pool has something to draw",
}


def describe_pool_sizes(sampler: PoolNegativeSampler) -> dict[str, float]:
    """Describe how large the pools of a sampler are, known positives excluded.

    :param sampler: the sampler; its pools are found before a training

    :returns: those of :data:`POOL_DESCRIPTORS` that tell of sizes
    """
    triples = sampler.triples
    every = Queries(triples, completions=torch.arange(2 * len(triples.triples)))
    sizes = sampler.filtered_stage().ask(every, own_is_known=True).free
    return _sizes_told(torch.from_numpy(sizes), triples.num_entities)


def _sizes_told(sizes: LongTensor, num_entities: int) -> dict[str, float]:
    return {
        "pool_share": float(sizes.double().mean()) / num_entities,
        "no_pool": float((sizes == 0).double().mean()),
    }


def describe_pools(
    sampler: PoolNegativeSampler, held_out: LongTensor, max_triples: int | None = None
) -> dict[str, float]:
    """Describe the pools of a sampler, known positives excluded: how small, how often empty, how true.

    :param sampler: the sampler; its pools are found before a training
    :param held_out: shape: (num_held_out, 3), triples that training does not hold
    :param max_triples: how many training triples are asked for both sides, evenly spread; None: all

    :returns: a number for each of :data:`POOL_DESCRIPTORS`
    """
    triples, stage = sampler.triples, sampler.filtered_stage()
    positives = triples.triples
    if max_triples is not None and len(positives) > max_triples:
        positives = positives[torch.linspace(0, len(positives) - 1, max_triples).long()]
    heads, relations, tails = held_out.unbind(dim=-1)
    keys = [
        triples.completion_keys(triples.pair_keys(anchors, relations, anchors.new_tensor(side)), replaced)
        for side, anchors, replaced in ((HEAD, tails, heads), (TAIL, heads, tails))
    ]
    wanted = sorted_distinct(torch.cat(keys))
    all_sizes, all_hits = [], []
    # all that the queries of a block may draw is laid out at once, both sides of a triple in one row
    for block in positives.split(rows_in_budget(2 * triples.num_entities, bytes_each=_BYTES)):
        queries = Queries.of_triples(triples, block)
        entities, lengths = stage.drawable(queries, own_is_known=True)
        is_held_out = find(wanted, triples.completion_keys(queries.keys.repeat_interleave(lengths), entities)) >= 0
        row = torch.arange(len(lengths)).repeat_interleave(lengths)
        all_sizes.append(lengths)
        all_hits.append(torch.zeros(len(lengths), dtype=torch.double).index_add_(0, row, is_held_out.double()))
    sizes, hits = torch.cat(all_sizes), torch.cat(all_hits)
    has_pool = sizes > 0
    shares = hits[has_pool] / sizes[has_pool]
    return {
        **_sizes_told(sizes, triples.num_entities),
        "held_out": float(shares.mean()) if len(shares) else 0.0,
    }
