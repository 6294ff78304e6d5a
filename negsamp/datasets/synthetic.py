"""A typed graph made from nothing: small, learnable, the same for the same seed."""

from itertools import product

import torch
from pykeen.typing import LongTensor
from torch import Tensor

from negsamp.datasets.dataset import SchemaDataset
from negsamp.datasets.registry import SYNTHETIC
from negsamp.errors import InputError

__all__ = ["generate"]

#: numbers of the latent space that entities lie in
LATENT_DIM = 8


def generate(
    *,
    num_entities: int = 300,
    num_relations: int = 10,
    num_triples: int = 3000,
    depth: int = 3,
    branching: int = 2,
    nearest: int = 10,
    seed: int = 0,
) -> SchemaDataset:
    """Make a typed graph whose relations are translations between the regions of classes.

    Classes form a tree. An entity belongs to a leaf and lies near its centre; a relation has a class as domain, one as
    range, and a vector. Triples are drawn among each head's nearest range members to head + vector: close tails more
    often than far ones, some heads far more often than others.

    :param num_entities: the number of entities
    :param num_relations: the number of relations
    :param num_triples: the number of distinct triples of the three splits together; a tenth goes to validation and a
        tenth to testing, which hold only entities and relations that training holds
    :param depth: the number of levels of classes below the root
    :param branching: the number of children of each class that is not a leaf
    :param nearest: how many tails a head and relation can have
    :param seed: the seed of a generator of its own; the global one is left alone

    :raises InputError: if there are too few entities or relations, or too few or too many triples
    """
    leaves = branching**depth
    if min(depth, branching, num_relations, nearest) < 1 or num_entities < 2 * leaves:
        raise InputError(
            f"synthetic: {num_entities} entities, {num_relations} relations, depth {depth}, branching {branching}, "
            f"nearest {nearest}; all must be positive, with two entities for each of the {leaves} leaf classes"
        )
    generator = torch.Generator().manual_seed(seed)
    tree = [path for level in range(depth + 1) for path in product(range(branching), repeat=level)]
    centres = _place_classes(tree, generator)
    leaf_of = torch.arange(num_entities)[torch.randperm(num_entities, generator=generator)] % leaves
    # a leaf of the tree is one of the last classes
    entity_class = leaf_of + len(tree) - leaves
    entities = centres[entity_class] + 0.3 * _normal(num_entities, LATENT_DIM, generator=generator)
    domains, ranges = _choose_classes(len(tree), num_relations, generator)
    vectors = centres[ranges] - centres[domains] + 0.3 * _normal(num_relations, LATENT_DIM, generator=generator)
    inside = torch.tensor([[tree[i][: len(path)] == path for i in entity_class.tolist()] for path in tree])

    candidates, scores = _score_candidates(entities, vectors, inside[domains], inside[ranges], nearest, generator)
    chosen, num_cover = _choose_triples(candidates, scores, num_triples, num_entities, num_relations)
    splits = _split(chosen, num_cover, num_triples // 10, generator)

    entity_names = _names("entity", num_entities, 4)
    relation_names = _names("relation", num_relations, 2)
    class_names = ["_".join(["class_0", *map(str, path)]) for path in tree]
    name_of = dict(zip(tree, class_names, strict=True))
    return SchemaDataset.from_names(
        SYNTHETIC,
        {
            split: [(entity_names[h], relation_names[r], entity_names[t]) for h, r, t in rows.tolist()]
            for split, rows in splits.items()
        },
        mapping=({n: i for i, n in enumerate(entity_names)}, {n: i for i, n in enumerate(relation_names)}),
        metadata={
            "entity_classes": {
                name: [class_names[i]] for name, i in zip(entity_names, entity_class.tolist(), strict=True)
            },
            "domain_range": {
                name: {"domain": class_names[domain], "range": class_names[range_]}
                for name, domain, range_ in zip(relation_names, domains.tolist(), ranges.tolist(), strict=True)
            },
            "subclass_of": {name_of[path]: [name_of[path[:-1]]] for path in tree if path},
        },
        source=(
            f"made by negsamp.datasets.generate(num_entities={num_entities}, num_relations={num_relations}, "
            f"num_triples={num_triples}, depth={depth}, branching={branching}, nearest={nearest}, seed={seed})"
        ),
        place=SYNTHETIC,
    )


def _normal(*shape: int, generator: torch.Generator) -> Tensor:
    # double precision: which tail is nearer must not depend on how a machine adds
    return torch.randn(*shape, generator=generator, dtype=torch.double)


def _names(kind: str, count: int, width: int) -> list[str]:
    # equal width, so that the order of names is the order of ids
    return [f"{kind}_{i:0{max(width, len(str(count - 1)))}}" for i in range(count)]


def _place_classes(tree: list[tuple[int, ...]], generator: torch.Generator) -> Tensor:
    """Put each class near its parent, the nearer the deeper; shape: (num_classes, LATENT_DIM)."""
    centres: dict[tuple[int, ...], Tensor] = {}
    for path in tree:
        step = _normal(LATENT_DIM, generator=generator) / max(len(path), 1)
        centres[path] = centres[path[:-1]] + step if path else step
    return torch.stack([centres[path] for path in tree])


def _choose_classes(num_classes: int, num_relations: int, generator: torch.Generator) -> tuple[LongTensor, LongTensor]:
    """Choose a domain and a range for each relation, all classes in turn; shape of each: (num_relations,)."""
    domains, ranges = (torch.randperm(num_classes, generator=generator) for _ in range(2))
    # the first domain is the root, as some domains of real graphs are: so every entity can be in a triple
    domains = torch.cat([torch.zeros(1, dtype=torch.long), domains[domains != 0]])
    turns = torch.arange(num_relations) % num_classes
    return domains[turns], ranges[turns]


def _score_candidates(
    entities: Tensor,
    vectors: Tensor,
    in_domain: Tensor,
    in_range: Tensor,
    nearest: int,
    generator: torch.Generator,
) -> tuple[LongTensor, Tensor]:
    """Return the triples that can be drawn, and a random score by which the drawn ones are the best.

    A Gumbel variable added to the logarithm of a weight makes the best n a weighted draw of n without replacement.

    :param entities: shape: (num_entities, dim)
    :param vectors: shape: (num_relations, dim)
    :param in_domain: shape: (num_relations, num_entities), whether a relation's domain holds an entity
    :param in_range: the same for its range

    :returns: shape: (num_candidates, 3), and (num_candidates,)
    """
    popularity = 1 / torch.arange(1, len(entities) + 1, dtype=torch.double)
    popularity = popularity[torch.randperm(len(entities), generator=generator)].sqrt()
    triples, weights = [], []
    for relation, vector in enumerate(vectors):
        heads, tails = in_domain[relation].nonzero().flatten(), in_range[relation].nonzero().flatten()
        # the exact mode: a product of matrices may round differently on another machine, and order tails differently
        distances = torch.cdist(entities[heads] + vector, entities[tails], compute_mode="donot_use_mm_for_euclid_dist")
        distances[heads.unsqueeze(dim=1) == tails] = torch.inf
        found, order = distances.topk(min(nearest, len(tails)), dim=1, largest=False)
        rows = torch.stack(
            [heads.unsqueeze(dim=1).expand_as(order), torch.full_like(order, relation), tails[order]], -1
        )
        weight = popularity[heads].unsqueeze(dim=1) / torch.arange(1, order.shape[1] + 1)
        triples.append(rows[found.isfinite()])
        weights.append(weight[found.isfinite()])
    uniform = torch.rand(sum(map(len, weights)), generator=generator, dtype=torch.double)
    return torch.cat(triples), torch.cat(weights).log() - (-uniform.log()).log()


def _choose_triples(
    candidates: LongTensor, scores: Tensor, num_triples: int, num_entities: int, num_relations: int
) -> tuple[LongTensor, int]:
    """Choose the triples: first a cover, the best triple of each entity and relation, then the best of the rest.

    :returns: shape: (num_triples, 3), and how many of the first rows are the cover
    """
    if num_triples > len(candidates):
        raise InputError(
            f"synthetic: {num_triples} triples asked for, {len(candidates)} are possible; lower num_triples, or raise "
            "num_entities, num_relations or nearest"
        )
    heads, relations, tails = candidates.unbind(dim=-1)
    members = torch.cat([heads, tails, num_entities + relations])
    best = torch.full((num_entities + num_relations,), -torch.inf, dtype=scores.dtype)
    best.scatter_reduce_(0, members, scores.repeat(3), "amax")
    in_cover = (scores.repeat(3) == best[members]).view(3, -1).any(dim=0)
    num_cover = int(in_cover.sum())
    if num_cover + 2 * (num_triples // 10) > num_triples:
        raise InputError(
            f"synthetic: {num_triples} triples are too few, {num_cover} are needed for training to hold every entity "
            "and relation; raise num_triples, or lower num_entities"
        )
    order = torch.where(in_cover, torch.inf, scores).argsort(descending=True, stable=True)
    return candidates[order[:num_triples]], num_cover


def _split(triples: LongTensor, num_cover: int, size: int, generator: torch.Generator) -> dict[str, LongTensor]:
    """Take validation and testing from the triples that are not needed for the cover."""
    order = torch.randperm(len(triples) - num_cover, generator=generator)
    rest = triples[num_cover:][order]
    return {
        "training": torch.cat([triples[:num_cover], rest[2 * size :]]),
        "validation": rest[:size],
        "testing": rest[size : 2 * size],
    }
