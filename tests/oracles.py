"""What the fast code must agree with: the definitions of DESIGN.md, section 4, written down as slowly as they read.

Nothing here imports the package. Sets, dictionaries and loops only; numpy where vectors are compared. A pool is built
anew at each call, so call :meth:`Oracle.pool` on small graphs and :meth:`Oracle.statistics` on large ones.

Where the design can be read in two ways, the reading taken is marked "Reading:".
"""

from __future__ import annotations

import json
import zipfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

import numpy as np

__all__ = [
    "Oracle",
    "PlainGraph",
    "PlainSchema",
    "SlotRule",
    "allowed_slots",
    "check_slots",
    "distmult",
    "nearest",
    "rescal",
    "rotate",
    "smallest_k",
    "transe",
]

Side = Literal["head", "tail"]
Triple = tuple[int, int, int]
#: predicts a vector from the anchor, the relation and the side to be replaced
Predict = Callable[[int, int, Side], np.ndarray]
#: scores a triple, higher is better
Score = Callable[[int, int, int], float]

SIDES: tuple[Side, Side] = ("head", "tail")
#: samplers whose pool is looked up by the replaced entity: their queries are all triples
BY_REPLACED_ENTITY = ("typedbyclass", "nearestneighbor")
THRESHOLDS = (0, 2, 10, 40, 100)


# Files


@dataclass
class PlainSchema:
    """Classes by name, everything else by id; what is missing has no key or an empty set."""

    entity_classes: dict[int, set[str]] = field(default_factory=dict)
    domains: dict[int, set[str]] = field(default_factory=dict)
    ranges: dict[int, set[str]] = field(default_factory=dict)
    superclasses: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def from_files(
        cls, path: Path | zipfile.Path, entity_to_id: Mapping[str, int], relation_to_id: Mapping[str, int]
    ) -> PlainSchema:
        """Read ``metadata/`` of a data set in the exchange format; a missing file is an empty mapping.

        :param path: the data set's folder, an archive of it, or the folder inside an opened archive
        """
        metadata = _root(path) / "metadata"
        domain_range = _read_json(metadata / "relation_domain_range.json")
        return cls(
            entity_classes={
                entity_to_id[name]: _classes(value)
                for name, value in _read_json(metadata / "entity_classes.json").items()
            },
            domains={relation_to_id[name]: _classes(value.get("domain")) for name, value in domain_range.items()},
            ranges={relation_to_id[name]: _classes(value.get("range")) for name, value in domain_range.items()},
            superclasses={name: _classes(value) for name, value in _read_json(metadata / "subclass_of.json").items()},
        )


@dataclass
class PlainGraph:
    """The splits of a data set by id, lines as they stand, and the numbering of its names."""

    training: list[Triple]
    validation: list[Triple]
    testing: list[Triple]
    entity_to_id: dict[str, int]
    relation_to_id: dict[str, int]

    @classmethod
    def from_files(cls, path: Path | zipfile.Path) -> PlainGraph:
        """Read splits and ids of a data set in the exchange format; ids default to the sorted names of all splits."""
        root = _root(path)
        splits = [
            [line.split("\t") for line in (root / f"{split}.txt").read_text(encoding="utf-8").split("\n") if line]
            for split in ("train", "valid", "test")
        ]
        lines = [line for split in splits for line in split]
        entities = _read_json(root / "mapping" / "entity_to_id.json") or _number(
            {line[0] for line in lines} | {line[2] for line in lines}
        )
        relations = _read_json(root / "mapping" / "relation_to_id.json") or _number({line[1] for line in lines})
        return cls(*([(entities[h], relations[r], entities[t]) for h, r, t in x] for x in splits), entities, relations)

    def oracle(self, schema: PlainSchema | None = None) -> Oracle:
        """Return the oracle of the distinct training triples."""
        return Oracle(set(self.training), len(self.entity_to_id), len(self.relation_to_id), schema)


def _root(path: Path | zipfile.Path) -> Path | zipfile.Path:
    root = zipfile.Path(path) if isinstance(path, Path) and path.suffix == ".zip" else path
    if (root / "train.txt").exists():
        return root
    (inner,) = (child for child in root.iterdir() if (child / "train.txt").exists())
    return inner


def _read_json(path: Path | zipfile.Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _classes(value: str | list[str] | None) -> set[str]:
    return ({value} if isinstance(value, str) else set(value or ())) - {"None"}


def _number(names: Iterable[str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(sorted(names))}


# Vectors


def nearest(
    entities: np.ndarray, query: np.ndarray, k: int, metric: str = "euclidean", without: Collection[int] = ()
) -> list[int]:
    """Return the k entities closest to a vector, closest first, the lower id first among ties.

    All is computed in double precision and without roots, so that whole-numbered vectors give exact ties.

    :param entities: shape: (num_entities, dim), real or complex
    :param query: shape: (dim,)
    :param k: how many at most
    :param metric: "euclidean", "dot" or "cosine". Reading: a vector of length 0 has cosine 0 with everything.
    :param without: entities that are not counted
    """
    vectors, query = (np.asarray(x, dtype=complex if np.iscomplexobj(x) else float) for x in (entities, query))
    if metric == "euclidean":
        closeness = -(np.abs(vectors - query) ** 2).sum(axis=1)
    else:
        closeness = (vectors * query.conj()).sum(axis=1).real
    if metric == "cosine":
        # in the order of the cosine, since the query's length is the same for all
        squares = (np.abs(vectors) ** 2).sum(axis=1)
        closeness = np.sign(closeness) * closeness**2 / np.where(squares == 0, 1, squares)
    elif metric not in ("euclidean", "dot"):
        raise ValueError(f"unknown metric {metric!r}")
    return _best({e: closeness[e] for e in range(len(vectors)) if e not in without}, k)


def _best(scores: Mapping[int, float], k: int) -> list[int]:
    return sorted(scores, key=lambda entity: (-scores[entity], entity))[:k]


def smallest_k(order: Sequence[int], excluded: Collection[int], wanted: int) -> int:
    """Return the smallest k of ``grow=True`` for one query: its first k entities hold ``wanted`` that may be drawn.

    :param order: all entities, best first
    :param excluded: those that may not be drawn
    :param wanted: how many must be left; where there are not as many, k counts all entities
    """
    left = 0
    for k, entity in enumerate(order, start=1):
        left += entity not in excluded
        if left == wanted:
            return k
    return len(order)


def transe(entities: np.ndarray, relations: np.ndarray) -> Predict:
    """Predict by translation: h + r for the tail, t − r for the head."""

    def predict(anchor: int, relation: int, side: Side) -> np.ndarray:
        return entities[anchor] + relations[relation] if side == "tail" else entities[anchor] - relations[relation]

    return predict


def distmult(entities: np.ndarray, relations: np.ndarray) -> Predict:
    """Predict by a diagonal bilinear form: h∘r for the tail, r∘t for the head."""

    def predict(anchor: int, relation: int, side: Side) -> np.ndarray:
        return entities[anchor] * relations[relation]

    return predict


def rescal(entities: np.ndarray, relations: np.ndarray) -> Predict:
    """Predict by a bilinear form, the score being hᵀ W t: hᵀ W for the tail, W t for the head.

    :param relations: shape: (num_relations, dim, dim)
    """

    def predict(anchor: int, relation: int, side: Side) -> np.ndarray:
        vector, matrix = entities[anchor], relations[relation]
        return vector @ matrix if side == "tail" else matrix @ vector

    return predict


def rotate(entities: np.ndarray, relations: np.ndarray) -> Predict:
    """Predict by rotation, on complex vectors: h∘r for the tail, t∘conj(r) for the head."""

    def predict(anchor: int, relation: int, side: Side) -> np.ndarray:
        return entities[anchor] * (relations[relation] if side == "tail" else relations[relation].conj())

    return predict


# Pools


class Oracle:
    """Pools, exclusions, statistics and stages of one graph, by definition."""

    def __init__(
        self,
        triples: Iterable[Triple],
        num_entities: int,
        num_relations: int,
        schema: PlainSchema | None = None,
    ) -> None:
        """Index the triples.

        :param triples: the training triples T, without artificial inverses
        :param num_entities: ids are 0 … num_entities − 1
        :param num_relations: ids are 0 … num_relations − 1
        :param schema: classes, domains, ranges and superclasses; None: nothing is known
        """
        self.triples: set[Triple] = {(int(h), int(r), int(t)) for h, r, t in triples}
        self.num_entities = num_entities
        self.num_relations = num_relations
        self.schema = schema or PlainSchema()
        self.everything = set(range(num_entities))
        # by (side to be replaced, anchor, relation), and by (side to be replaced, anchor)
        self._positives: dict[tuple[Side, int, int], set[int]] = defaultdict(set)
        self._links: dict[tuple[Side, int], set[tuple[int, int]]] = defaultdict(set)
        # by (side, relation)
        self._seen: dict[tuple[Side, int], set[int]] = defaultdict(set)
        for h, r, t in self.triples:
            for side, anchor, replaced in (("tail", h, t), ("head", t, h)):
                self._positives[side, anchor, r].add(replaced)
                self._links[side, anchor].add((r, replaced))
                self._seen[side, r].add(replaced)
        self._listed: dict[str, set[int]] = defaultdict(set)
        for entity, classes in self.schema.entity_classes.items():
            for name in classes:
                self._listed[name].add(entity)

    # Classes

    def listed(self, name: str) -> set[int]:
        """Return the entities that list a class themselves."""
        return set(self._listed.get(name, ()))

    def ancestors(self, classes: Iterable[str], distance: int) -> set[str]:
        """Return classes and their superclasses, at most ``distance`` steps up; the classes themselves are at 0."""
        reached = set(classes)
        for _ in range(distance):
            reached |= {parent for name in reached for parent in self.schema.superclasses.get(name, ())}
        return reached

    def descendants(self, name: str) -> set[str]:
        """Return a class and all classes below it, at any distance."""
        reached, grown = set[str](), {name}
        while reached != grown:
            reached = set(grown)
            grown |= {child for child, parents in self.schema.superclasses.items() if parents & reached}
        return reached

    def members(self, classes: Iterable[str]) -> set[int]:
        """Return the entities that list one of the classes or a descendant of one."""
        below = {descendant for name in classes for descendant in self.descendants(name)}
        return {entity for name in below for entity in self.listed(name)}

    def domain_or_range(self, r: int, side: Side) -> set[str]:
        """Return the classes that the schema wants on a side of a relation; none: not known."""
        return set((self.schema.domains if side == "head" else self.schema.ranges).get(r, ()))

    def classes_of(self, entity: int, classes: str = "specific") -> set[str]:
        """Return the classes that typedbyclass compares: all that an entity lists, or the specific ones among them.

        Reading: members of a class are here the entities that list it, as the pool's are; those of its descendants
        do not count. A class is skipped even where the class that makes it unspecific is skipped itself.
        """
        names = set(self.schema.entity_classes.get(entity, ()))
        if classes == "all":
            return names
        if classes != "specific":
            raise ValueError(f"unknown classes {classes!r}")
        return {a for a in names if not any(self._listed[b] < self._listed[a] for b in names)}

    def inferred(self, share: float) -> PlainSchema:
        """Return the schema with missing domains and ranges inferred: of the classes whose members are at least such a
        share of the relation's distinct heads (tails), those that have no strictly smaller, contained one among them.
        """
        names = {*self._listed, *self.schema.superclasses, *chain(*self.schema.superclasses.values())}
        declared = (*self.schema.domains.values(), *self.schema.ranges.values())
        members = {name: self.members({name}) for name in names.union(*declared)}
        sides = {"head": dict(self.schema.domains), "tail": dict(self.schema.ranges)}
        for (side, r), seen in self._seen.items():
            if not self.domain_or_range(r, side):
                covering = [name for name in members if len(members[name] & seen) / len(seen) >= share]
                sides[side][r] = {a for a in covering if not any(members[b] < members[a] for b in covering)}
        return replace(self.schema, domains=sides["head"], ranges=sides["tail"])

    # Pools and exclusions

    def pool(self, name: str, h: int, r: int, t: int, side: Side, **options: Any) -> set[int]:
        """Return which entities may stand in for one side of a positive, before any exclusion.

        :param name: random, corrupt, typed, typedbyclass, relational, nearestneighbor, adversarial,
            adaptiveadversarial or given
        :param options: typedbyclass: ``classes``; nearestneighbor: ``entities``, ``k``, ``metric``, ``grow``;
            adversarial: ``entities``, ``predict``, ``k``, ``metric``, ``grow``, or else ``score``, ``k``, ``grow``;
            given: ``negatives``, candidates by side, anchor and relation

        The pool is that of the definition for a query that T does not hold, too. The design also allows an empty one
        there; :meth:`holds` tells.
        """
        anchor, replaced = (h, t) if side == "tail" else (t, h)
        return getattr(self, f"_pool_{name}")(anchor, r, replaced, side, **options)

    def _pool_random(self, anchor: int, r: int, replaced: int, side: Side) -> set[int]:
        return set(self.everything)

    def _pool_corrupt(self, anchor: int, r: int, replaced: int, side: Side) -> set[int]:
        return set(self._seen.get((side, r), ()))

    def _pool_typed(self, anchor: int, r: int, replaced: int, side: Side) -> set[int]:
        return self.members(self.domain_or_range(r, side))

    def _pool_typedbyclass(
        self, anchor: int, r: int, replaced: int, side: Side, *, classes: str = "specific"
    ) -> set[int]:
        return set().union(*(self.listed(name) for name in self.classes_of(replaced, classes)))

    def _pool_relational(self, anchor: int, r: int, replaced: int, side: Side) -> set[int]:
        return {entity for other, entity in self._links.get((side, anchor), ()) if other != r}

    def _pool_nearestneighbor(
        self,
        anchor: int,
        r: int,
        replaced: int,
        side: Side,
        *,
        entities: np.ndarray,
        k: int,
        metric: str = "euclidean",
        grow: bool = False,
    ) -> set[int]:
        order = nearest(entities, entities[replaced], len(entities), metric, without={replaced})
        return set(order[: self._k(order, k, anchor, r, side, grow=grow)])

    def _pool_adversarial(
        self,
        anchor: int,
        r: int,
        replaced: int,
        side: Side,
        *,
        k: int,
        entities: np.ndarray | None = None,
        predict: Predict | None = None,
        score: Score | None = None,
        metric: str = "euclidean",
        grow: bool = False,
    ) -> set[int]:
        if score is None:
            order = nearest(entities, predict(anchor, r, side), len(entities), metric)
        else:
            scores = {e: score(anchor, r, e) if side == "tail" else score(e, r, anchor) for e in self.everything}
            order = _best(scores, len(scores))
        return set(order[: self._k(order, k, anchor, r, side, grow=grow)])

    def _k(self, order: Sequence[int], k: int, anchor: int, r: int, side: Side, *, grow: bool) -> int:
        """Return k, or where it grows the smallest one that leaves so many once known positives are excluded."""
        return smallest_k(order, self._positives.get((side, anchor, r), ()), k) if grow else k

    def _pool_adaptiveadversarial(self, anchor: int, r: int, replaced: int, side: Side) -> set[int]:
        # before the first refresh
        return set(self.everything)

    def _pool_given(
        self, anchor: int, r: int, replaced: int, side: Side, *, negatives: Mapping[tuple[Side, int, int], set[int]]
    ) -> set[int]:
        return set(negatives.get((side, anchor, r), ()))

    def holds(self, h: int, r: int, t: int, side: Side) -> bool:
        """Return whether T holds the query: the pair that stays when this side is replaced."""
        return (side, h if side == "tail" else t, r) in self._positives

    def known(self, h: int, r: int, t: int, side: Side, *, filtered: bool = True) -> set[int]:
        """Return the entities that must not be drawn: the given positive's own; filtered: all known positives, too.

        Relational's neighbours linked by r alone, which ``filtered=False`` must leave out as well, are not listed
        here: by definition they are not in its pool. Reading: they may come out of a later stage of a fallback.
        """
        anchor, replaced = (h, t) if side == "tail" else (t, h)
        positives = self._positives.get((side, anchor, r), ()) if filtered else ()
        return {replaced, *positives}

    def candidates(
        self, name: str, h: int, r: int, t: int, side: Side, *, filtered: bool = True, **options: Any
    ) -> set[int]:
        """Return exactly the entities that may be drawn for one side of a positive, without any fallback."""
        return self.pool(name, h, r, t, side, **options) - self.known(h, r, t, side, filtered=filtered)

    # Statistics

    def queries(self, name: str, side: Side) -> list[Triple]:
        """Return one triple of T for each query; a query by the replaced entity is a triple, any other a pair."""
        if name in BY_REPLACED_ENTITY:
            return sorted(self.triples)
        pairs = {(h, r) if side == "tail" else (r, t): (h, r, t) for h, r, t in sorted(self.triples)}
        return list(pairs.values())

    def sizes(self, name: str, side: Side, **options: Any) -> list[int]:
        """Return the size of each query's pool less its known positives, ascending."""

        def same_pool(triple: Triple) -> tuple[Any, ...]:
            h, r, t = triple
            anchor, replaced = (h, t) if side == "tail" else (t, h)
            if name == "typedbyclass":
                return tuple(sorted(self.schema.entity_classes.get(replaced, ())))
            if name == "nearestneighbor":
                # a k that grows is the query's own
                return (replaced, anchor, r) if options.get("grow") else (replaced,)
            return {"random": (), "corrupt": (r,), "typed": (r,)}.get(name, (anchor, r))

        sizes = []
        # queries with the same pool in a row: it is built once, and only one is ever held
        for _, group in groupby(sorted(self.queries(name, side), key=same_pool), key=same_pool):
            triples = list(group)
            pool = self.pool(name, *triples[0], side, **options)
            sizes += [len(pool) - len(pool & self.known(*triple, side)) for triple in triples]
        return sorted(sizes)

    def statistics(self, name: str, **options: Any) -> dict[str, Any]:
        """Return queries, mean, median and shares of small pools, over both sides and for each under "sides"."""
        sides = {side: self.sizes(name, side, **options) for side in SIDES}
        return {
            **_describe([size for sizes in sides.values() for size in sizes]),
            "sides": {side: _describe(sizes) for side, sizes in sides.items()},
        }

    # Fallbacks

    def named_stages(
        self,
        name: str,
        fallback: str | Sequence[str] | None,
        h: int,
        r: int,
        t: int,
        side: Side,
        *,
        filtered: bool = True,
        **options: Any,
    ) -> list[tuple[str, set[int]]]:
        """Return the stages in order, each with its name and the entities that it may give.

        Names are "pool", "ancestors-1", "ancestors-2", …, "schema", "relation" and "everything".

        Readings: ancestors at a distance ≤ d include the classes themselves (distance 0). An ancestor stage whose
        pool, before exclusions, is no larger than that of the stage before it is left out: it could only give the
        same entities again. "Domain or range if known" stays, as an empty stage, where it is not known. ``random`` is
        one of "the others" and has their stages. With ``filtered=False`` the stages, too, exclude only the replaced
        entity.
        """
        pools = [("pool", self.pool(name, h, r, t, side, **options))]
        everything = ("everything", set(self.everything))
        relation = ("relation", self.pool("corrupt", h, r, t, side))
        schema = ("schema", self.pool("typed", h, r, t, side))
        if fallback == "random":
            pools += [everything]
        elif fallback == "semantic" and name in ("typed", "typedbyclass"):
            replaced = t if side == "tail" else h
            classes = self.domain_or_range(r, side) if name == "typed" else self.classes_of(replaced, **options)
            distance = 1
            # at distance ≤ 1 the classes are their own ancestors, and their descendants' members count
            while distance == 1 or self.ancestors(classes, distance) > self.ancestors(classes, distance - 1):
                wider = self.members(self.ancestors(classes, distance))
                if len(wider) > len(pools[-1][1]):
                    pools += [(f"ancestors-{distance}", wider)]
                distance += 1
            pools += [relation, everything]
        elif fallback == "semantic" and name == "corrupt":
            pools += [schema, everything]
        elif fallback == "semantic":
            pools += [schema, relation, everything]
        elif isinstance(fallback, str):
            raise ValueError(f"unknown fallback {fallback!r}")
        for other in [] if fallback is None or isinstance(fallback, str) else fallback:
            by_name = {"everything": everything, "random": everything, "corrupt": relation, "typed": schema}
            pools += [by_name.get(other) or (other, self.pool(other, h, r, t, side))]
        known = self.known(h, r, t, side, filtered=filtered)
        return [(stage, pool - known) for stage, pool in pools]

    def stages(
        self,
        name: str,
        fallback: str | None,
        h: int,
        r: int,
        t: int,
        side: Side,
        *,
        filtered: bool = True,
        **options: Any,
    ) -> list[set[int]]:
        """Return what each stage may give, in order; see :meth:`named_stages`."""
        named = self.named_stages(name, fallback, h, r, t, side, filtered=filtered, **options)
        return [entities for _, entities in named]


def _describe(sizes: Sequence[int]) -> dict[str, Any]:
    return {
        "queries": len(sizes),
        "mean": sum(sizes) / len(sizes),
        "median": float(median(sizes)),
        "share_at_most": {str(x): sum(size <= x for size in sizes) / len(sizes) for x in THRESHOLDS},
    }


class SlotRule(NamedTuple):
    """What one stage gives to one positive and side."""

    #: how many slots
    slots: int
    #: whether each entity of the stage comes exactly once; otherwise any of them, with replacement
    each_once: bool


def allowed_slots(stage_sets: Sequence[Collection[int]], need: int) -> list[SlotRule]:
    """Return what each stage must give, so that ``need`` slots are filled; none where all are masked.

    Reading: "at least ``need`` entities" and "the last stage" mean what is still needed after the stages before, and
    the last stage that is not empty for this positive.
    """
    last = max((i for i, entities in enumerate(stage_sets) if entities), default=None)
    rules = []
    for i, entities in enumerate(stage_sets):
        if i == last or 0 < need <= len(entities):
            rule = SlotRule(slots=need, each_once=False)
        elif need > 0:
            rule = SlotRule(slots=len(entities), each_once=True)
        else:
            rule = SlotRule(slots=0, each_once=False)
        rules.append(rule)
        need -= rule.slots
    return rules


def check_slots(drawn_by_stage: Sequence[Sequence[int]], stage_sets: Sequence[Collection[int]], need: int) -> None:
    """Check the slots of one positive and side against the rule of fallbacks; without a fallback there is one stage.

    :param drawn_by_stage: the entities in the slots of each stage, masked slots left out
    :param stage_sets: what each stage may give, from :meth:`Oracle.stages`
    :param need: the positive's slots on this side, masked ones included

    :raises AssertionError: if a stage gave too many, too few, or others than it may
    """
    assert len(drawn_by_stage) == len(stage_sets), f"{len(drawn_by_stage)} stages drawn, {len(stage_sets)} allowed"
    rules = allowed_slots(stage_sets, need)
    for i, (drawn, entities, rule) in enumerate(zip(drawn_by_stage, stage_sets, rules, strict=True)):
        assert set(drawn) <= set(entities), f"stage {i} gave {sorted(set(drawn) - set(entities))}, not its own"
        assert len(drawn) == rule.slots, f"stage {i} gave {len(drawn)} slots instead of {rule.slots}"
        if rule.each_once:
            assert sorted(drawn) == sorted(entities), f"stage {i} gave {sorted(drawn)} instead of each entity once"
