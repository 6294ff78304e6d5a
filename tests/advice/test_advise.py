"""Advice on graphs: what is applicable, what is foreseen, and in which words."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from negsamp import SAMPLERS
from negsamp.advice import REAL, Advice, Forecast, advice_text, advise, fit_structural, read_evidence
from negsamp.advice.advise import SamplerAdvice
from negsamp.datasets import SchemaDataset, generate, load_dataset
from negsamp.descriptors import describe_dataset, describe_pool_sizes
from negsamp.sampling import make_sampler


@pytest.fixture(scope="module")
def evidence() -> pd.DataFrame:
    return read_evidence()


@pytest.fixture(scope="module")
def dataset() -> SchemaDataset:
    return generate(num_entities=60, num_relations=5, num_triples=400, depth=2, seed=1)


@pytest.fixture(scope="module")
def advice(dataset: SchemaDataset, evidence: pd.DataFrame) -> Advice:
    return advise(dataset, evidence)


def of(advice: Advice, sampler: str) -> SamplerAdvice:
    (found,) = (one for one in advice.samplers if one.sampler == sampler)
    return found


def test_every_sampler_is_told_of(advice: Advice, dataset: SchemaDataset) -> None:
    assert [one.sampler for one in advice.samplers] == [name for name in SAMPLERS if name != "random"]
    assert advice.dataset == dataset.name
    assert advice.structure == describe_dataset(dataset)
    for one in advice.samplers:
        assert one.forecasts.keys() == ({"TransE", "DistMult"} if one.lacks is None else set())


def test_pools_are_those_of_the_graph(advice: Advice, dataset: SchemaDataset) -> None:
    assert of(advice, "typed").pools == describe_pool_sizes(make_sampler("typed", dataset))
    # they would take a model
    assert of(advice, "adversarial").pools is None


def test_a_sampler_that_the_graph_does_not_serve_is_not_applicable(evidence: pd.DataFrame) -> None:
    graph = load_dataset("nations")
    found = advise(graph, evidence)
    assert of(found, "typed").verdict == "not applicable"
    assert of(found, "typed").lacks == "domains and ranges"
    assert of(found, "typedbyclass").lacks == "classes"
    assert of(found, "given").lacks == "negatives"
    assert "typed: not applicable, the graph has no domains and ranges." in advice_text(found)


def test_training_triples_alone_are_looked_at(advice: Advice, evidence: pd.DataFrame) -> None:
    reduced = generate(num_entities=60, num_relations=5, num_triples=400, depth=2, seed=1)
    for held_out in (reduced.validation, reduced.testing):
        held_out.mapped_triples = held_out.mapped_triples[:1]
    assert dataclasses.asdict(advise(reduced, evidence)) == dataclasses.asdict(advice)


def test_what_was_measured_on_the_graph_itself_is_left_out(
    dataset: SchemaDataset, evidence: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = set(of(advise(dataset, evidence), "corrupt").forecasts["TransE"].measured)
    monkeypatch.setattr(dataset, "name", "wn18")
    assert set(of(advise(dataset, evidence), "corrupt").forecasts["TransE"].measured) == graphs - {"wn18"} != graphs


def test_inferred_domains_and_ranges_count(evidence: pd.DataFrame) -> None:
    hidden = generate(num_entities=60, num_relations=5, num_triples=400, depth=2, undeclared=1.0, seed=1)
    assert of(advise(hidden, evidence), "typed").verdict == "not applicable"
    found = of(advise(hidden, evidence, infer_schema=0.5), "typed").forecasts["TransE"].structural
    values = {reason.descriptor: reason.value for reason in found.reasons}
    assert values["undeclared"] == 0
    assert values["violations"] is not None


def test_a_sampler_whose_pools_are_empty_draws_from_its_fallback(evidence: pd.DataFrame) -> None:
    single = generate(num_entities=60, num_relations=1, num_triples=300, depth=2, seed=1)
    assert of(advise(single, evidence), "relational").verdict == "no pools"
    assert of(advise(single, evidence), "relational").forecasts == {}


def test_forecasts_follow_the_evidence(dataset: SchemaDataset, evidence: pd.DataFrame) -> None:
    worse = evidence.assign(gain=-0.9)
    changed = advise(dataset, worse)
    for sampler, structural in ((one.sampler, one.forecasts) for one in changed.samplers):
        for found in structural.values():
            assert found.structural.gain == pytest.approx(-0.9), sampler
    assert changed.weight == 0
    gains = read_evidence(REAL).groupby(["sampler", "model"])["gain"]
    assert of(changed, "corrupt").forecasts["TransE"].gain < gains.mean()["corrupt", "TransE"]


def with_forecasts(*ends: tuple[float, float]) -> str:
    """What is said of gains that lie between so much."""
    from negsamp.advice.advise import _verdict

    forecast: Mapping[str, Any] = {"gain": 0.0, "moved": 0.0, "measured": {}, "structural": None}
    return _verdict([Forecast(low=low, high=high, **forecast) for low, high in ends])


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ([(0.1, 0.2), (0.01, 0.5)], "likely better"),
        ([(-0.2, -0.1), (-0.5, -0.01)], "likely worse"),
        ([(-0.2, -0.1), (0.01, 0.5)], "depends on the model"),
        ([(-0.2, -0.1), (-0.1, 0.5)], "not clear"),
        ([(0.1, 0.2), (-0.1, 0.5)], "not clear"),
        ([], "no evidence"),
    ],
)
def test_verdicts(ends: list[tuple[float, float]], verdict: str) -> None:
    assert with_forecasts(*ends) == verdict


def test_every_sentence_has_its_numbers(advice: Advice) -> None:
    text = advice_text(advice)
    assert text.startswith("synthetic: entities 60, relations 5, triples 320,")
    one = of(advice, "typed")
    found = one.forecasts["TransE"]
    assert one.pools is not None
    assert f"typed: {one.verdict}." in text
    assert f"TransE: {found.gain:+.0%} [{found.low:+.0%}, {found.high:+.0%}]\n" in text
    for graph, gain in found.measured.items():
        assert f"{graph} {gain:+.0%}" in text
    structural = found.structural
    assert f"{structural.graphs} generated graphs {structural.mean_gain:+.0%}" in text
    assert f"structure: {found.moved:+.0%}; alone it predicts {structural.gain:+.0%}" in text
    assert f"{one.pools['pool_share']:.2%} of the entities on average" in text
    assert f"Of what structure predicts, {advice.weight:.0%} is taken" in " ".join(text.split())
    assert text.count("pools: those of an auxiliary model") == 2
    assert text.count("pools: those of the model") == 1
    # 60 entities are fewer than any generated graph has
    assert "entities 60 (" in text
    # the best comes first
    gains = [
        max(f.gain for f in of(advice, line.split(":")[0]).forecasts.values()) for line in text.split("\n\n")[2:-2]
    ]
    assert gains == sorted(gains, reverse=True)


def test_all_there_is_evidence_of_can_be_fitted(evidence: pd.DataFrame) -> None:
    assert len(fit_structural(evidence)) == 2 * (len(SAMPLERS) - 2)
