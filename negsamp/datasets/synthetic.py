"""A typed graph made from nothing: small, learnable, the same for the same seed."""

from itertools import product

import torch
from pykeen.typing import BoolTensor, LongTensor
from torch import Tensor

from negsamp.datasets.dataset import SchemaDataset
from negsamp.datasets.registry import SYNTHETIC
from negsamp.errors import InputError

__all__ = ["CARDINALITIES", "generate"]

#: how many heads a tail can have, and how many tails a head
CARDINALITIES = ("one_to_one", "one_to_many", "many_to_one", "many_to_many")

#: numbers of the latent space that entities lie in
LATENT_DIM = 8

#: relations of all four cardinalities, in turns
MIXED = "mixed"


def generate(
    *,
    num_entities: int = 300,
    num_relations: int = 10,
    num_triples: int = 3000,
    depth: int = 3,
    branching: int = 2,
    nearest: int = 10,
    skew: float = 0.5,
    cardinality: str = "many_to_many",
    inverse: float = 0.0,
    duplicate: float = 0.0,
    noise: float = 0.0,
    untyped: float = 0.0,
    undeclared: float = 0.0,
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
    :param skew: Zipf's exponent of the popularity of heads: 0 where all are equal
    :param cardinality: of every relation, one of :data:`CARDINALITIES`; ``"mixed"``: all in turns. An inverse has its
        relation's turned round, and noise gives heads more tails.
    :param inverse: the share of relations that stand in pairs which link the same entities in opposite directions
    :param duplicate: the share of relations that stand in pairs which link the same entities in the same direction
    :param noise: the share of triples whose tail is outside the range of their relation
    :param untyped: the share of entities whose class is not listed
    :param undeclared: the share of domains and ranges that are not declared
    :param seed: the seed of a generator of its own; the global one is left alone

    :raises InputError: if there are too few entities or relations, too few or too many triples, or a share is none
    """
    leaves = branching**depth
    if min(depth, branching, num_relations, nearest) < 1 or num_entities < 2 * leaves:
        raise InputError(
            f"synthetic: {num_entities} entities, {num_relations} relations, depth {depth}, branching {branching}, "
            f"nearest {nearest}; all must be positive, with two entities for each of the {leaves} leaf classes"
        )
    shares = {"inverse": inverse, "duplicate": duplicate, "noise": noise, "untyped": untyped, "undeclared": undeclared}
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise InputError(f"synthetic: {name} is {share}; it must be a share from 0 to 1")
    if inverse + duplicate > 1 or cardinality not in (*CARDINALITIES, MIXED):
        raise InputError(
            f"synthetic: inverse {inverse} and duplicate {duplicate} must be at most 1 together, and cardinality "
            f"{cardinality!r} one of {', '.join(CARDINALITIES)}, {MIXED}"
        )
    generator = torch.Generator().manual_seed(seed)
    tree = [path for level in range(depth + 1) for path in product(range(branching), repeat=level)]
    centres = _place_classes(tree, generator)
    leaf_of = torch.arange(num_entities)[torch.randperm(num_entities, generator=generator)] % leaves
    # a leaf of the tree is one of the last classes
    entity_class = leaf_of + len(tree) - leaves
    entities = centres[entity_class] + 0.3 * _normal(num_entities, LATENT_DIM, generator=generator)
    # the second of each pair of relations is made from the first
    num_inverse, num_duplicate = (round(share * num_relations / 2) for share in (inverse, duplicate))
    num_own = num_relations - num_inverse - num_duplicate
    domains, ranges = _choose_classes(len(tree), num_own, generator)
    vectors = centres[ranges] - centres[domains] + 0.3 * _normal(num_own, LATENT_DIM, generator=generator)
    inside = torch.tensor([[tree[i][: len(path)] == path for i in entity_class.tolist()] for path in tree])

    popularity = (1 / torch.arange(1, num_entities + 1, dtype=torch.double)) ** skew
    popularity = popularity[torch.randperm(num_entities, generator=generator)]
    candidates, scores = _score_candidates(
        entities, vectors, inside[domains], inside[ranges], popularity, nearest, generator
    )
    candidates, scores = _keep_cardinality(candidates, scores, cardinality, num_entities, num_own)
    candidates, scores = _pair_relations(candidates, scores, num_inverse, num_duplicate, num_own)
    firsts, seconds = slice(num_inverse), slice(num_inverse, num_inverse + num_duplicate)
    domains, ranges = (
        torch.cat([own, other[firsts], own[seconds]]) for own, other in ((domains, ranges), (ranges, domains))
    )
    num_noise = round(noise * num_triples)
    chosen, num_cover = _choose_triples(candidates, scores, num_triples - num_noise, num_entities, num_relations)
    if num_noise:
        chosen = torch.cat([chosen, _make_noise(chosen, ~inside[ranges], num_noise, generator)])
    splits = _split(chosen, num_cover, num_triples // 10, generator)
    # last, so that the triples are the same whatever is known of them
    is_untyped = _choose_share(num_entities, untyped, generator)
    is_undeclared = _choose_share(2 * num_relations, undeclared, generator)

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
                name: [class_names[i]]
                for name, i, is_hidden in zip(entity_names, entity_class.tolist(), is_untyped.tolist(), strict=True)
                if not is_hidden
            },
            "domain_range": {
                name: {
                    side: class_names[number]
                    for side, number, is_hidden in zip(("domain", "range"), numbers, hidden, strict=True)
                    if not is_hidden
                }
                for name, numbers, hidden in zip(
                    relation_names,
                    torch.stack([domains, ranges], dim=-1).tolist(),
                    is_undeclared.view(-1, 2).tolist(),
                    strict=True,
                )
            },
            "subclass_of": {name_of[path]: [name_of[path[:-1]]] for path in tree if path},
        },
        source=(
            f"made by negsamp.datasets.generate(num_entities={num_entities}, num_relations={num_relations}, "
            f"num_triples={num_triples}, depth={depth}, branching={branching}, nearest={nearest}, skew={skew}, "
            f"cardinality={cardinality!r}, inverse={inverse}, duplicate={duplicate}, noise={noise}, untyped={untyped}, "
            f"undeclared={undeclared}, seed={seed})"
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
    popularity: Tensor,
    nearest: int,
    generator: torch.Generator,
) -> tuple[LongTensor, Tensor]:
    """Return the triples that can be drawn, and a random score by which the drawn ones are the best.

    A Gumbel variable added to the logarithm of a weight makes the best n a weighted draw of n without replacement.

    :param entities: shape: (num_entities, dim)
    :param vectors: shape: (num_relations, dim)
    :param in_domain: shape: (num_relations, num_entities), whether a relation's domain holds an entity
    :param in_range: the same for its range
    :param popularity: shape: (num_entities,), how often an entity is a head

    :returns: shape: (num_candidates, 3), and (num_candidates,)
    """
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


def _keep_cardinality(
    candidates: LongTensor, scores: Tensor, cardinality: str, num_entities: int, num_relations: int
) -> tuple[LongTensor, Tensor]:
    """Leave each head one tail, or each tail one head, where it can have but one: the best that is free."""
    names = CARDINALITIES if cardinality == MIXED else [cardinality]
    turns = torch.tensor([CARDINALITIES.index(name) for name in names])
    kinds = turns[torch.arange(num_relations) % len(turns)][candidates[:, 1]]
    # a kind is two bits: many heads a tail, and many tails a head
    has_one_tail, has_one_head = kinds % 2 == 0, kinds < 2
    heads, tails = (candidates[:, 1] * num_entities + candidates[:, column] for column in (0, 2))
    limits = ((heads, has_one_tail), (tails, has_one_head))
    kept = torch.zeros(len(candidates), dtype=torch.bool)
    free = ~kept
    while free.any():
        best = free.clone()
        for pairs, has_one in limits:
            highest = torch.full((num_relations * num_entities,), -torch.inf, dtype=scores.dtype)
            highest.scatter_reduce_(0, pairs[free], scores[free], "amax")
            best &= ~has_one | (scores == highest[pairs])
        kept |= best
        free &= ~best
        for pairs, has_one in limits:
            is_taken = torch.zeros(num_relations * num_entities, dtype=torch.bool)
            is_taken[pairs[best & has_one]] = True
            free &= ~is_taken[pairs]
    return candidates[kept], scores[kept]


def _pair_relations(
    candidates: LongTensor, scores: Tensor, num_inverse: int, num_duplicate: int, num_own: int
) -> tuple[LongTensor, Tensor]:
    """Give the first relations an inverse, and the next ones a duplicate, whose triples are chosen with theirs."""
    heads, relations, tails = candidates.unbind(dim=-1)
    turned = relations < num_inverse
    repeated = (relations >= num_inverse) & (relations < num_inverse + num_duplicate)
    backward = torch.stack([tails, num_own + relations, heads], dim=-1)[turned]
    forward = torch.stack([heads, num_own + relations, tails], dim=-1)[repeated]
    return torch.cat([candidates, backward, forward]), torch.cat([scores, scores[turned], scores[repeated]])


def _make_noise(chosen: LongTensor, outside: Tensor, count: int, generator: torch.Generator) -> LongTensor:
    """Make triples of heads and relations that others have, and tails that are outside the range.

    :param chosen: shape: (num_triples, 3)
    :param outside: shape: (num_relations, num_entities), whether an entity is outside a relation's range

    :returns: shape: (count, 3)
    """
    heads, relations, _ = chosen.unbind(dim=-1)
    weights = outside[relations].double()
    weights.scatter_(1, heads.unsqueeze(dim=1), 0.0)
    uniform = torch.rand(weights.shape, generator=generator, dtype=torch.double)
    possible = int((weights > 0).sum())
    # some are the same triple, of two rows: more are taken than are wanted
    order = (uniform * weights).flatten().argsort(descending=True, stable=True)[: min(4 * count, possible)]
    row, tail = order // weights.shape[1], order % weights.shape[1]
    found: LongTensor = torch.stack([heads[row], relations[row], tail], dim=-1).unique(dim=0)
    if len(found) < count:
        raise InputError(f"synthetic: {len(found)} triples can break a range, not {count}; lower noise or num_triples")
    return found[torch.randperm(len(found), generator=generator)[:count]]


def _choose_share(count: int, share: float, generator: torch.Generator) -> BoolTensor:
    """Mark a share of so many things at random; shape: (count,)."""
    chosen = torch.zeros(count, dtype=torch.bool)
    # nothing is drawn for a share of nothing, so that the graph is the one that it was
    if share:
        chosen[torch.randperm(count, generator=generator)[: round(share * count)]] = True
    return chosen


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
