"""The oracles themselves, against examples that were worked out by hand."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from oracles import (
    Oracle,
    PlainGraph,
    PlainSchema,
    SlotRule,
    allowed_slots,
    check_slots,
    distmult,
    nearest,
    rescal,
    rotate,
    smallest_k,
    transe,
)

ANN, BOB, CID, ROME, OSLO, ITALY, NORWAY = range(7)
KNOWS, BORN_IN, LIVES_IN, LOCATED, UNUSED = range(5)
TRIPLES = {
    (ANN, KNOWS, BOB),
    (ANN, KNOWS, CID),
    (BOB, KNOWS, CID),
    (ANN, BORN_IN, ROME),
    (BOB, BORN_IN, OSLO),
    (ANN, LIVES_IN, OSLO),
    (ANN, LIVES_IN, ROME),
    (ROME, LOCATED, ITALY),
}
SCHEMA = PlainSchema(
    entity_classes={
        ANN: {"Person", "Artist"},
        BOB: {"Person"},
        CID: {"Artist"},
        ROME: {"City", "Place"},
        OSLO: {"City", "Place"},
        ITALY: {"Country", "Place"},
        NORWAY: set(),
    },
    domains={KNOWS: {"Person"}, BORN_IN: {"Artist"}},
    ranges={KNOWS: {"Person"}, BORN_IN: {"City"}, LIVES_IN: {"City", "Country"}, LOCATED: set()},
    superclasses={
        "Artist": {"Person"},
        "Person": {"Agent"},
        "Agent": {"Thing"},
        "City": {"Settlement"},
        "Settlement": {"Place"},
        "Country": {"Place"},
        "Place": {"Thing"},
    },
)
PEOPLE, CITIES, PLACES = {ANN, BOB, CID}, {ROME, OSLO}, {ROME, OSLO, ITALY}
EVERYTHING = set(range(7))


@pytest.fixture
def oracle() -> Oracle:
    return Oracle(TRIPLES, 7, 5, SCHEMA)


def test_corrupt_holds_what_stands_on_the_same_side_of_the_relation(oracle: Oracle):
    assert oracle.pool("corrupt", ANN, KNOWS, BOB, "tail") == {BOB, CID}
    assert oracle.pool("corrupt", ANN, KNOWS, BOB, "head") == {ANN, BOB}
    assert oracle.pool("corrupt", ANN, UNUSED, BOB, "head") == set()


def test_random_holds_everything(oracle: Oracle):
    assert oracle.pool("random", ANN, KNOWS, BOB, "tail") == EVERYTHING
    assert oracle.candidates("random", ANN, KNOWS, BOB, "tail") == EVERYTHING - {BOB, CID}


def test_typed_holds_members_of_domain_or_range_and_of_classes_below(oracle: Oracle):
    # Cid lists Artist alone, which is below Person
    assert oracle.pool("typed", ANN, KNOWS, BOB, "tail") == PEOPLE
    assert oracle.pool("typed", ANN, BORN_IN, ROME, "head") == {ANN, CID}
    # two classes mean their union
    assert oracle.pool("typed", ANN, LIVES_IN, ROME, "tail") == PLACES
    # no domain, an empty range
    assert oracle.pool("typed", ANN, LIVES_IN, ROME, "head") == set()
    assert oracle.pool("typed", ROME, LOCATED, ITALY, "tail") == set()


def test_typedbyclass_shares_a_class_with_the_replaced_entity(oracle: Oracle):
    # City (Rome, Oslo) makes Place (Rome, Oslo, Italy) unspecific
    assert oracle.classes_of(ROME) == {"City"}
    assert oracle.pool("typedbyclass", ANN, BORN_IN, ROME, "tail") == CITIES
    assert oracle.pool("typedbyclass", ANN, BORN_IN, ROME, "tail", classes="all") == PLACES
    # Person is listed by Ann and Bob, Artist by Ann and Cid: neither holds the other, whatever the hierarchy says
    assert oracle.pool("typedbyclass", ANN, BORN_IN, ROME, "head") == PEOPLE
    # Bob lists Person, and Cid does not
    assert oracle.pool("typedbyclass", ANN, KNOWS, BOB, "tail") == {ANN, BOB}
    # Norway lists nothing
    assert oracle.pool("typedbyclass", ANN, BORN_IN, NORWAY, "tail") == set()


def test_specific_keeps_classes_with_the_same_members_and_skips_along_a_chain():
    listed = {0: {"a", "b", "c", "d"}, 1: {"b", "c", "d"}, 2: {"c", "d"}, 3: {"e", "c"}}
    oracle = Oracle(set(), 4, 1, PlainSchema(entity_classes=listed))
    # members: a {0}, b {0, 1}, c {0, 1, 2, 3}, d {0, 1, 2}, e {3}
    assert oracle.classes_of(0) == {"a"}
    assert oracle.classes_of(2) == {"d"}
    assert oracle.classes_of(3) == {"e"}
    listed = {0: {"a", "b"}, 1: {"a", "b"}}
    assert Oracle(set(), 2, 1, PlainSchema(entity_classes=listed)).classes_of(0) == {"a", "b"}


def test_relational_holds_neighbours_by_another_relation(oracle: Oracle):
    assert oracle.pool("relational", ANN, KNOWS, BOB, "tail") == CITIES
    # Oslo by lives_in; Rome by lives_in, too, but it is the known tail of (Ann, born_in)
    assert oracle.pool("relational", ANN, BORN_IN, ROME, "tail") == {BOB, CID, ROME, OSLO}
    assert oracle.candidates("relational", ANN, BORN_IN, ROME, "tail") == {BOB, CID, OSLO}
    assert oracle.pool("relational", BOB, BORN_IN, OSLO, "head") == {ANN}
    assert oracle.pool("relational", ANN, KNOWS, BOB, "head") == set()
    assert oracle.pool("relational", NORWAY, KNOWS, BOB, "tail") == set()


def test_relational_by_index_equals_the_definition_by_set():
    rows = np.random.default_rng(0).integers([12, 3, 12], size=(60, 3)).tolist()
    triples = {tuple(row) for row in rows}
    oracle = Oracle(triples, 12, 3)
    for h, r, t in triples:
        tails = {e for a, b, e in triples if a == h and b != r}
        heads = {e for e, b, c in triples if c == t and b != r}
        assert oracle.pool("relational", h, r, t, "tail") == tails
        assert oracle.pool("relational", h, r, t, "head") == heads


def test_known_positives_and_the_replaced_entity_are_excluded(oracle: Oracle):
    assert oracle.known(ANN, KNOWS, BOB, "tail") == {BOB, CID}
    assert oracle.known(ANN, KNOWS, CID, "head") == {ANN, BOB}
    # not in T: its own entity all the same
    assert oracle.known(ANN, KNOWS, ITALY, "tail") == {BOB, CID, ITALY}
    assert oracle.known(CID, KNOWS, ANN, "tail") == {ANN}
    assert oracle.known(ANN, KNOWS, BOB, "tail", filtered=False) == {BOB}


def test_unfiltered_leaves_known_positives_in_but_not_relational_neighbours_by_r_alone(oracle: Oracle):
    assert oracle.candidates("corrupt", ANN, KNOWS, BOB, "tail", filtered=True) == set()
    assert oracle.candidates("corrupt", ANN, KNOWS, BOB, "tail", filtered=False) == {CID}
    # Cid is linked to Ann by knows alone; Rome by born_in and by lives_in
    assert oracle.candidates("relational", ANN, KNOWS, BOB, "tail", filtered=False) == CITIES
    assert oracle.candidates("relational", ANN, LIVES_IN, OSLO, "tail", filtered=False) == {BOB, CID, ROME}
    assert oracle.candidates("relational", ANN, LIVES_IN, OSLO, "tail", filtered=True) == {BOB, CID}


def test_holds_tells_queries_of_the_training_triples(oracle: Oracle):
    assert oracle.holds(ANN, KNOWS, NORWAY, "tail")
    assert not oracle.holds(ANN, KNOWS, NORWAY, "head")


LINE = np.array([[0.0], [1.0], [2.0], [3.0], [5.0], [9.0], [-1.0]])


def test_nearest_breaks_ties_by_the_lower_id():
    # 1 and 3 are both 1 away from 2, then 0 and nobody else 2 away
    assert nearest(LINE, LINE[2], 4, without={2}) == [1, 3, 0, 4]
    assert nearest(LINE, np.array([-0.5]), 2) == [0, 6]
    assert nearest(LINE, LINE[0], 99, without={0}) == [1, 6, 2, 3, 4, 5]


def test_nearest_by_each_metric():
    vectors = np.array([[1, 0], [3, 3], [0, 2], [-5, 0], [1, 1], [0, 0]])
    query = np.array([2, 0])
    assert nearest(vectors, query, 6, "euclidean") == [0, 4, 5, 2, 1, 3]
    # products 2, 6, 0, -10, 2, 0
    assert nearest(vectors, query, 6, "dot") == [1, 0, 4, 2, 5, 3]
    # 1, 1/sqrt 2, 0, -1, 1/sqrt 2 exactly as large, and 0 for the vector of length 0
    assert nearest(vectors, query, 6, "cosine") == [0, 1, 4, 2, 5, 3]
    with pytest.raises(ValueError, match="unknown metric 'angle'"):
        nearest(vectors, query, 6, "angle")


def test_nearestneighbor_does_not_count_the_replaced_entity(oracle: Oracle):
    options = {"entities": LINE, "k": 2}
    assert oracle.pool("nearestneighbor", ANN, KNOWS, CID, "tail", **options) == {BOB, ROME}
    assert oracle.candidates("nearestneighbor", ANN, KNOWS, CID, "tail", **options) == {ROME}
    assert oracle.pool("nearestneighbor", ANN, KNOWS, CID, "head", **options) == {BOB, NORWAY}


def test_smallest_k_leaves_the_wanted_number():
    assert smallest_k([4, 2, 0, 1, 3], {4, 0}, 1) == 2
    assert smallest_k([4, 2, 0, 1, 3], {4, 0}, 2) == 4
    assert smallest_k([4, 2, 0, 1, 3], {4, 0}, 9) == 5


def test_predicted_vectors():
    entities, relations = np.array([[1, 2], [3, 5]]), np.array([[10, 100]])
    assert transe(entities, relations)(0, 0, "tail").tolist() == [11, 102]
    assert transe(entities, relations)(1, 0, "head").tolist() == [-7, -95]
    assert distmult(entities, relations)(0, 0, "tail").tolist() == [10, 200]
    assert distmult(entities, relations)(1, 0, "head").tolist() == [30, 500]
    matrices = np.array([[[0, 1], [10, 100]]])
    # (1, 2) W = (0 + 20, 1 + 200), W (3, 5) = (5, 30 + 500)
    assert rescal(entities, matrices)(0, 0, "tail").tolist() == [20, 201]
    assert rescal(entities, matrices)(1, 0, "head").tolist() == [5, 530]
    turn = rotate(np.array([[1 + 2j], [3j]]), np.array([[1j]]))
    assert turn(0, 0, "tail").tolist() == [-2 + 1j]
    assert turn(1, 0, "head").tolist() == [3 + 0j]


def test_predictions_score_as_their_models_do():
    generator = np.random.default_rng(0)
    entities, matrices = generator.integers(-5, 5, (4, 3)), generator.integers(-5, 5, (2, 3, 3))
    predict = rescal(entities, matrices)
    for h, r, t in np.ndindex(4, 2, 4):
        score = entities[h] @ matrices[r] @ entities[t]
        assert predict(h, r, "tail") @ entities[t] == score
        assert predict(t, r, "head") @ entities[h] == score


def test_adversarial_is_nearest_to_the_predicted_vector(oracle: Oracle):
    # knows moves by 2: Ann (0) is sent to 2, Cid; Bob and Rome are 1 away from there
    options = {"entities": LINE, "predict": transe(LINE, np.array([[2.0], [0.0], [0.0], [0.0], [0.0]])), "k": 2}
    assert oracle.pool("adversarial", ANN, KNOWS, BOB, "tail", **options) == {BOB, CID}
    assert oracle.candidates("adversarial", ANN, KNOWS, BOB, "tail", **options) == set()
    assert oracle.pool("adversarial", ANN, KNOWS, BOB, "tail", **{**options, "k": 3}) == {BOB, CID, ROME}
    # Bob (1) is sent back to -1, Norway, and then Ann
    assert oracle.pool("adversarial", ANN, KNOWS, BOB, "head", **options) == {NORWAY, ANN}
    assert oracle.pool("adversarial", ANN, KNOWS, BOB, "tail", **options, metric="dot") == {ITALY, OSLO}


def test_adversarial_by_score_takes_the_best(oracle: Oracle):
    def score(h: int, r: int, t: int) -> float:
        return -abs(3 * h - t) - r

    assert oracle.pool("adversarial", BOB, KNOWS, CID, "tail", score=score, k=2) == {ROME, CID}
    assert oracle.pool("adversarial", BOB, KNOWS, CID, "head", score=score, k=1) == {BOB}


def test_statistics_of_corrupt_by_hand(oracle: Oracle):
    # tails: (Ann, knows), (Bob, knows), (Ann, born), (Bob, born), (Ann, lives), (Rome, located)
    assert oracle.sizes("corrupt", "tail") == sorted([0, 1, 1, 1, 0, 0])
    # heads: (knows, Bob), (knows, Cid), (born, Rome), (born, Oslo), (lives, Oslo), (lives, Rome), (located, Italy)
    assert oracle.sizes("corrupt", "head") == sorted([1, 0, 1, 1, 0, 0, 0])
    shares = {"2": 1.0, "10": 1.0, "40": 1.0, "100": 1.0}
    assert oracle.statistics("corrupt") == {
        "queries": 13,
        "mean": 6 / 13,
        "median": 0.0,
        "share_at_most": {"0": 7 / 13, **shares},
        "sides": {
            "tail": {"queries": 6, "mean": 0.5, "median": 0.5, "share_at_most": {"0": 0.5, **shares}},
            "head": {"queries": 7, "mean": 3 / 7, "median": 0.0, "share_at_most": {"0": 4 / 7, **shares}},
        },
    }


def test_sizes_of_the_others_by_hand(oracle: Oracle):
    assert oracle.sizes("random", "tail") == sorted([5, 6, 6, 6, 5, 6])
    # knows: 3 people less 2, less 1; born: 2 cities less 1, twice; lives: 3 places less 2; located has no range
    assert oracle.sizes("typed", "tail") == sorted([1, 2, 1, 1, 1, 0])
    # (Ann, knows): the cities, (Bob, knows): Oslo, (Ann, born): Bob, Cid, Oslo, (Bob, born): Cid, (Ann, lives): 2
    assert oracle.sizes("relational", "tail") == sorted([2, 1, 3, 1, 2, 0])


def test_queries_by_the_replaced_entity_are_all_triples(oracle: Oracle):
    # Bob is replaced by Ann; Cid, twice, by Ann; a city by the other, unless that is known; Italy is alone
    tails = {"Ann knows Bob": 1, "Ann knows Cid": 1, "Bob knows Cid": 1, "Ann born": 1, "Bob born": 1}
    tails |= {"Ann lives Oslo": 0, "Ann lives Rome": 0, "Rome located": 0}
    assert oracle.sizes("typedbyclass", "tail") == sorted(tails.values())
    statistics = oracle.statistics("typedbyclass")
    assert statistics["queries"] == 2 * len(TRIPLES)
    assert statistics["sides"]["tail"]["mean"] == 5 / 8
    # "all": three times Ann; Italy and a city, twice; Italy, twice; the cities for Italy
    assert sum(oracle.sizes("typedbyclass", "tail", classes="all")) == 3 + 2 * 2 + 2 + 2
    # all six others, less the second known tail of (Ann, knows) and of (Ann, lives_in), two triples each
    assert oracle.sizes("nearestneighbor", "tail", entities=LINE, k=6) == sorted([5, 5, 6, 6, 6, 5, 5, 6])


def test_sizes_count_the_candidates_of_each_query():
    generator = np.random.default_rng(1)
    triples = {tuple(row) for row in generator.integers([15, 3, 15], size=(80, 3)).tolist()}
    entities, relations = generator.integers(-3, 4, (15, 2)), generator.integers(-3, 4, (3, 2))
    names = np.array(list("abcde"))
    schema = PlainSchema(
        entity_classes={e: set(names[generator.random(5) < 0.4].tolist()) for e in range(15)},
        domains={0: {"a"}, 1: {"b", "c"}},
        ranges={0: {"d"}, 2: {"e"}},
        superclasses={"b": {"a"}, "c": {"d"}},
    )
    oracle = Oracle(triples, 15, 3, schema)
    options = {
        "nearestneighbor": {"entities": entities, "k": 4},
        "adversarial": {"entities": entities, "predict": transe(entities, relations), "k": 4},
    }
    names = ("random", "corrupt", "typed", "typedbyclass", "relational", "nearestneighbor", "adversarial")
    growing = [(name, {**kwargs, "grow": True}) for name, kwargs in options.items()]
    for name, kwargs in [*((name, options.get(name, {})) for name in names), *growing]:
        for side in ("head", "tail"):
            if name in ("typedbyclass", "nearestneighbor"):
                queries = {triple: triple for triple in triples}
            elif side == "tail":
                queries = {(h, r): (h, r, t) for h, r, t in triples}
            else:
                queries = {(r, t): (h, r, t) for h, r, t in triples}
            candidates = [oracle.candidates(name, *triple, side, **kwargs) for triple in queries.values()]
            assert oracle.sizes(name, side, **kwargs) == sorted(map(len, candidates))


def test_stages_without_and_with_the_random_fallback(oracle: Oracle):
    assert oracle.stages("relational", None, ANN, KNOWS, BOB, "tail") == [CITIES]
    assert oracle.stages("relational", "random", ANN, KNOWS, BOB, "tail") == [CITIES, EVERYTHING - {BOB, CID}]
    assert oracle.stages("relational", "random", ANN, KNOWS, BOB, "tail", filtered=False)[1] == EVERYTHING - {BOB}
    with pytest.raises(ValueError, match="unknown fallback 'none'"):
        oracle.stages("relational", "none", ANN, KNOWS, BOB, "tail")


def test_semantic_stages_of_typed_climb_the_hierarchy(oracle: Oracle):
    # Artist → Person → Agent → Thing: Agent is left out, for it has no more members than Person
    assert oracle.named_stages("typed", "semantic", BOB, BORN_IN, OSLO, "head") == [
        ("pool", {ANN, CID}),
        ("ancestors-1", {ANN, CID}),
        ("ancestors-3", {ANN, CID, ROME, OSLO, ITALY}),
        ("relation", {ANN}),
        ("everything", EVERYTHING - {BOB}),
    ]
    # City and Country together: at distance 1 Settlement and Place bring nobody, at 2 Thing does
    assert oracle.named_stages("typed", "semantic", ANN, LIVES_IN, ROME, "tail") == [
        ("pool", {ITALY}),
        ("ancestors-2", {ITALY, ANN, BOB, CID}),
        ("relation", set()),
        ("everything", EVERYTHING - CITIES),
    ]
    # nothing to climb from
    assert oracle.named_stages("typed", "semantic", ANN, LIVES_IN, ROME, "head") == [
        ("pool", set()),
        ("relation", set()),
        ("everything", EVERYTHING - {ANN}),
    ]


def test_semantic_stages_of_typedbyclass_climb_from_the_classes_of_the_replaced_entity(oracle: Oracle):
    # Bob lists Person: the pool is those who list it; above it descendants count, and Cid comes in
    assert oracle.named_stages("typedbyclass", "semantic", BOB, BORN_IN, OSLO, "head") == [
        ("pool", {ANN}),
        ("ancestors-1", {ANN, CID}),
        ("ancestors-2", {ANN, CID, ROME, OSLO, ITALY}),
        ("relation", {ANN}),
        ("everything", EVERYTHING - {BOB}),
    ]
    # Rome lists City and Place, of which City is specific: Settlement brings nobody, Place Italy, Thing the people
    assert oracle.named_stages("typedbyclass", "semantic", BOB, BORN_IN, ROME, "tail") == [
        ("pool", set()),
        ("ancestors-2", {ITALY}),
        ("ancestors-3", {ITALY, ANN, BOB, CID}),
        ("relation", set()),
        ("everything", EVERYTHING - CITIES),
    ]
    # from all classes, Place is there at once
    assert oracle.named_stages("typedbyclass", "semantic", BOB, BORN_IN, ROME, "tail", classes="all")[:2] == [
        ("pool", {ITALY}),
        ("ancestors-1", {ITALY, ANN, BOB, CID}),
    ]


def test_semantic_stages_of_the_others(oracle: Oracle):
    free = EVERYTHING - {BOB, CID}
    assert oracle.named_stages("corrupt", "semantic", ANN, KNOWS, BOB, "tail") == [
        ("pool", set()),
        ("schema", {ANN}),
        ("everything", free),
    ]
    assert oracle.named_stages("relational", "semantic", ANN, KNOWS, BOB, "tail") == [
        ("pool", CITIES),
        ("schema", {ANN}),
        ("relation", set()),
        ("everything", free),
    ]
    # no domain: an empty stage
    assert oracle.stages("relational", "semantic", BOB, LIVES_IN, OSLO, "head") == [
        set(),
        set(),
        set(),
        EVERYTHING - {ANN, BOB},
    ]


def test_a_cycle_of_classes_ends():
    schema = PlainSchema(
        entity_classes={0: {"a"}, 1: {"b"}, 2: {"c"}},
        ranges={0: {"a"}},
        superclasses={"a": {"b"}, "b": {"c"}, "c": {"a"}},
    )
    oracle = Oracle({(3, 0, 3)}, 4, 1, schema)
    assert oracle.pool("typed", 3, 0, 3, "tail") == {0, 1, 2}
    assert oracle.stages("typed", "semantic", 3, 0, 3, "tail") == [{0, 1, 2}, set(), {0, 1, 2}]


def test_allowed_slots_passes_on_what_a_small_stage_cannot_fill():
    stages = [{1, 2}, set(), {3, 4, 5}, {1, 2, 3, 4, 5}]
    assert [rule.slots for rule in allowed_slots(stages, 2)] == [2, 0, 0, 0]
    assert [rule.slots for rule in allowed_slots(stages, 5)] == [2, 0, 3, 0]
    assert [rule.slots for rule in allowed_slots(stages, 20)] == [2, 0, 3, 15]
    assert allowed_slots([{1, 2}, {3, 4}], 3) == [SlotRule(2, each_once=True), SlotRule(1, each_once=False)]
    # the last stage that holds anything fills the rest, and nothing fills nothing
    assert [rule.slots for rule in allowed_slots([{1}, {2, 3}, set()], 9)] == [1, 8, 0]
    assert [rule.slots for rule in allowed_slots([set(), set()], 9)] == [0, 0]
    assert [rule.slots for rule in allowed_slots([{1}], 0)] == [0]


@pytest.mark.parametrize(
    ("drawn", "stages", "need"),
    [
        ([[1, 1, 1]], [{1, 2}], 3),
        ([[2, 2], []], [{1, 2}, {3}], 2),
        ([[2, 1], [3, 3, 3]], [{1, 2}, {3}], 5),
        ([[1], [], [1, 1]], [{1}, set(), {1, 2}], 3),
        ([[], []], [set(), set()], 4),
    ],
)
def test_check_slots_accepts_what_the_rule_allows(drawn, stages, need):
    check_slots(drawn, stages, need)


@pytest.mark.parametrize(
    ("drawn", "stages", "need", "message"),
    [
        ([[3, 1]], [{1, 2}], 2, r"stage 0 gave \[3\], not its own"),
        ([[1]], [{1, 2}], 2, "stage 0 gave 1 slots instead of 2"),
        ([[1, 1], [3]], [{1, 2}, {3}], 3, r"stage 0 gave \[1, 1\] instead of each entity once"),
        ([[1], [3, 3]], [{1, 2}, {3}], 3, "stage 0 gave 1 slots instead of 2"),
        ([[1, 2, 1], []], [{1, 2}, {3}], 3, "stage 0 gave 3 slots instead of 2"),
        ([[], [3, 3]], [{1, 2}, {3}], 2, "stage 0 gave 0 slots instead of 2"),
        ([[1, 2]], [{1, 2}, {3}], 2, "1 stages drawn, 2 allowed"),
    ],
)
def test_check_slots_refuses_what_it_does_not(drawn, stages, need, message):
    with pytest.raises(AssertionError, match=message):
        check_slots(drawn, stages, need)


def write_graph(root: Path, *, mapping: bool) -> Path:
    (root / "metadata").mkdir(parents=True)
    (root / "train.txt").write_text("b\tr\ta\nb\tr\ta\na\ts\tc\n", encoding="utf-8")
    (root / "valid.txt").write_text("c\tr\ta\n", encoding="utf-8")
    (root / "test.txt").write_text("", encoding="utf-8")
    files = {
        "metadata/entity_classes.json": {"a": ["X", "Y"], "b": [], "c": ["X"]},
        "metadata/relation_domain_range.json": {
            "r": {"domain": "X", "range": "None"},
            "s": {"domain": ["X", "Y"], "range": "Z"},
        },
        "metadata/subclass_of.json": {"X": ["Z"], "Z": []},
    }
    if mapping:
        (root / "mapping").mkdir()
        files |= {
            "mapping/entity_to_id.json": {"c": 0, "b": 1, "a": 2},
            "mapping/relation_to_id.json": {"s": 0, "r": 1},
        }
    for name, content in files.items():
        (root / name).write_text(json.dumps(content), encoding="utf-8")
    return root


def test_a_graph_is_read_with_and_without_a_mapping(tmp_path: Path):
    graph = PlainGraph.from_files(write_graph(tmp_path / "mapped", mapping=True))
    assert graph.training == [(1, 1, 2), (1, 1, 2), (2, 0, 0)]
    assert (graph.validation, graph.testing) == ([(0, 1, 2)], [])
    graph = PlainGraph.from_files(write_graph(tmp_path / "plain", mapping=False))
    assert graph.entity_to_id == {"a": 0, "b": 1, "c": 2}
    assert graph.training == [(1, 0, 0), (1, 0, 0), (0, 1, 2)]
    assert graph.oracle().triples == {(1, 0, 0), (0, 1, 2)}


def test_a_schema_is_read_from_folder_and_archive(tmp_path: Path):
    root = write_graph(tmp_path / "NAME", mapping=True)
    archive = tmp_path / "NAME.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(root.rglob("*")):
            opened.write(path, path.relative_to(tmp_path))
    graph = PlainGraph.from_files(root)
    expected = PlainSchema(
        entity_classes={2: {"X", "Y"}, 1: set(), 0: {"X"}},
        domains={1: {"X"}, 0: {"X", "Y"}},
        ranges={1: set(), 0: {"Z"}},
        superclasses={"X": {"Z"}, "Z": set()},
    )
    for path in (root, archive, zipfile.Path(archive) / "NAME"):
        assert PlainSchema.from_files(path, graph.entity_to_id, graph.relation_to_id) == expected
    assert PlainGraph.from_files(archive) == graph


@pytest.mark.mirror
def test_queries_of_wn18(mirror: Path):
    graph = PlainGraph.from_files(mirror / "WN18.zip")
    oracle = graph.oracle(PlainSchema.from_files(mirror / "WN18.zip", graph.entity_to_id, graph.relation_to_id))
    statistics = oracle.statistics("corrupt")
    assert statistics["queries"] == 171_254
    assert sum(side["queries"] for side in statistics["sides"].values()) == 171_254
    # WN18 has no schema at all
    assert oracle.schema == PlainSchema()


@pytest.mark.mirror
def test_schema_of_db50k_public(mirror: Path):
    archive = mirror / "DB50K-PUBLIC.zip"
    graph = PlainGraph.from_files(archive)
    schema = PlainSchema.from_files(archive, graph.entity_to_id, graph.relation_to_id)
    assert len(graph.training) - len(set(graph.training)) == 185
    assert sum(map(bool, schema.entity_classes.values())) == 24_276
    assert sum(map(bool, schema.domains.values())) == 195 + 57
    assert sum(map(bool, schema.ranges.values())) == 195 + 70
    assert graph.oracle(schema).statistics("typed")["queries"] == len({(h, r) for h, r, _ in graph.training}) + len(
        {(r, t) for _, r, t in graph.training}
    )
