"""Answers to the open questions, on records whose answer is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from negsamp.errors import InputError
from negsamp.io import read_jsonl, write_jsonl
from negsamp.results.figures import SAMPLER_STYLES
from negsamp.results.questions import (
    auxiliary_quality_answer,
    collect_evidence,
    graph_structure_answer,
    random_integration_answer,
    write_answer,
)

MRR = "inverse_harmonic_mean_rank"
SEEDS = (0, 1, 2)


def training(sampler: str, seed: int, mrr: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "dataset": "umls",
        "model": "TransE",
        "sampler": sampler,
        "negatives": 4,
        "seed": seed,
        "state": "failed" if mrr is None else "complete",
        "reason": None,
        "slots": None,
        MRR: mrr,
        **changes,
    }


@pytest.fixture
def sweep(tmp_path: Path) -> tuple[list[str], dict[str, list[list[Any]]]]:
    """Noise helps corrupt and leaves typed alone; kinds of relations matter to nobody."""
    generator = np.random.default_rng(0)
    sweeps: dict[str, list[list[Any]]] = {"noise": [], "cardinality": []}
    paths = []
    for name, values in (("noise", [0.0, 0.1, 0.2, 0.3, 0.4]), ("cardinality", ["one_to_one", "many_to_many"])):
        for value in values:
            noise = value if isinstance(value, float) else 0.0
            many = 1.0 if value == "many_to_many" else 0.0
            structure = {"entities": 100, "violations": noise, "one_to_many": 0.0, "many_to_one": 0.0}
            structure |= {"many_to_many": many, "class_depth": None}
            records = []
            for seed in SEEDS:
                for model in ("TransE", "DistMult"):
                    wobble = generator.normal(0, 0.002, size=2)
                    mrr = {"random": 0.2, "corrupt": 0.1 + 0.2 * noise + wobble[0], "typed": 0.19 + wobble[1]}
                    records += [
                        training(
                            sampler,
                            seed,
                            value,
                            model=model,
                            structure=structure,
                            pools={"pool_share": 0.1, "held_out": None},
                        )
                        for sampler, value in mrr.items()
                    ]
            path = tmp_path / f"{name}-{value}.jsonl"
            write_jsonl(path, records)
            paths.append(str(path))
            sweeps[name].append([value, str(path)])
    return paths, sweeps


def test_a_property_that_decides_is_found_and_others_are_not(sweep: tuple[list[str], dict[str, Any]]) -> None:
    answer = graph_structure_answer(sweep[0], sweeps=sweep[1])
    found = answer.table.raw.set_index(["kind", "model", "predictor", "sampler"])
    noise = found.loc["property", "all", "noise", "corrupt"]
    assert noise["rho"] > 0.95
    assert noise["p_holm"] < 0.001
    assert noise["points"] == 15
    assert noise["gain_lowest"] == pytest.approx(-0.5, abs=0.02)
    assert noise["gain_highest"] == pytest.approx(-0.1, abs=0.02)
    assert found.loc["property", "all", "noise", "typed"]["p_holm"] > 0.05
    assert found.loc["property", "TransE", "noise", "corrupt"]["rho"] > 0.9
    assert found.loc["descriptor", "all", "violations", "corrupt"]["rho"] > 0.8
    # what is the same, or unknown, on all graphs predicts nothing
    assert not {"entities", "pool_share", "class_depth", "held_out"} & set(answer.table.raw["predictor"])
    assert "noise for corrupt (ρ = +" in answer.verdict
    assert "from -50% to -10%" in answer.verdict
    assert "No effect in one direction was found of cardinality." in answer.verdict
    assert "On 21 generated graphs, 126 trainings" in answer.verdict
    assert "**+" in answer.table.to_markdown()
    assert "failed: 0" in answer.table.notes


def test_failed_trainings_are_counted_and_left_out(sweep: tuple[list[str], dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "noise-0.0.jsonl"
    common = {"structure": {"entities": 100, "violations": 0.0}, "pools": {"pool_share": 0.1}}
    failed = [training(sampler, seed, None, **common) for sampler in ("random", "corrupt") for seed in SEEDS]
    write_jsonl(path, failed)
    answer = graph_structure_answer(sweep[0], sweeps=sweep[1])
    assert "Trainings: 114, failed: 6." in answer.table.notes
    found = answer.table.raw.set_index(["kind", "model", "predictor", "sampler"])
    assert found.loc["property", "TransE", "noise", "corrupt"]["points"] == 12


def test_evidence_has_the_means_of_each_structure(sweep: tuple[list[str], dict[str, Any]], tmp_path: Path) -> None:
    paths, sweeps = sweep
    held_out = {"random": 0.01, "corrupt": 0.04, "typed": 0.02}
    for path in paths:
        changed(
            path, lambda record: [{**record, "pools": {"pool_share": 0.1, "held_out": held_out[record["sampler"]]}}]
        )
    # where two sweeps start, and a graph of none
    sweeps["cardinality"].append(["mixed", sweeps["noise"][0][1]])
    (tmp_path / "mixed").mkdir()
    write_jsonl(tmp_path / "mixed/7.jsonl", read_jsonl(paths[2]))
    evidence = collect_evidence([*paths, str(tmp_path / "mixed/7.jsonl")], sweeps=sweeps)
    assert len(evidence) == 8 * 2 * 2
    assert set(evidence["sampler"]) == {"corrupt", "typed"}
    assert set(evidence["model"]) == {"TransE", "DistMult"}
    assert (evidence["graphs"] == len(SEEDS)).all()
    groups = evidence.drop_duplicates(["group", "violations", "many_to_many"])["group"].value_counts().to_dict()
    assert groups == {"noise": 4, "cardinality": 2, f"{tmp_path.name}/noise-0.0": 1, "mixed/7": 1}
    rows = evidence[(evidence["violations"] > 0.35) & (evidence["sampler"] == "corrupt")]
    assert rows["gain"].tolist() == pytest.approx([-0.1, -0.1], abs=0.02)
    assert rows["held_out"].tolist() == pytest.approx([0.04, 0.04])
    records = [r for r in read_jsonl(paths[4]) if r["model"] == "TransE"]
    mrr = {(record["sampler"], record["seed"]): record[MRR] for record in records}
    expected = np.mean([mrr["corrupt", seed] / mrr["random", seed] - 1 for seed in SEEDS])
    assert rows.set_index("model").loc["TransE", "gain"] == pytest.approx(expected)


def changed(path: str, change: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> None:
    write_jsonl(path, [new for record in read_jsonl(path) for new in change(record)])


def test_a_mean_over_models_needs_all_of_them(sweep: tuple[list[str], dict[str, Any]]) -> None:
    # DistMult fails where noise is highest, and TransE alone would say that this is where the gain is
    changed(sweep[1]["noise"][-1][1], lambda r: [{**r, MRR: None} if r["model"] == "DistMult" else r])
    answer = graph_structure_answer(sweep[0], sweeps=sweep[1])
    found = answer.table.raw.set_index(["kind", "model", "predictor", "sampler"])
    points = {
        model: found.loc["property", model, "noise", "corrupt"]["points"] for model in ("TransE", "DistMult", "all")
    }
    assert points == {"TransE": 15, "DistMult": 12, "all": 12}


def test_numbers_of_negatives_are_no_points_of_their_own(sweep: tuple[list[str], dict[str, Any]]) -> None:
    for path in sweep[0]:
        changed(path, lambda r: [r, {**r, "negatives": 16, MRR: r[MRR] + 0.01}])
    answer = graph_structure_answer(sweep[0], sweeps=sweep[1])
    assert answer.table.raw.loc[answer.table.raw["kind"] == "property", "points"].max() == 15


def test_tests_of_each_model_and_kind_are_a_family(sweep: tuple[list[str], dict[str, Any]]) -> None:
    found = graph_structure_answer(sweep[0], sweeps=sweep[1]).table.raw
    for (kind, _), family in found.groupby(["kind", "model"]):
        # two properties, or two descriptors that move, and two samplers
        assert len(family) == 4, kind
        assert family["p_holm"].min() == pytest.approx(min(4 * family["p_value"].min(), 1))


def test_graphs_without_a_sweep_count_for_descriptors_alone(
    sweep: tuple[list[str], dict[str, Any]], tmp_path: Path
) -> None:
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_bytes(Path(sweep[0][0]).read_bytes())
    answer = graph_structure_answer([*sweep[0], str(mixed)], sweeps=sweep[1])
    counts = answer.table.raw.groupby("kind")["points"].max()
    assert counts.to_dict() == {"property": 15, "descriptor": 24}


def test_one_seed_decides_little(sweep: tuple[list[str], dict[str, Any]]) -> None:
    for path in sweep[0]:
        changed(path, lambda r: [r] if r["seed"] == 0 else [])
    answer = graph_structure_answer(sweep[0], sweeps=sweep[1])
    assert "No effect in one direction was found of noise and cardinality." in answer.verdict


def test_nothing_is_said_where_nothing_finished(
    sweep: tuple[list[str], dict[str, Any]], auxiliaries: list[str], tmp_path: Path
) -> None:
    for path in [*sweep[0], *auxiliaries]:
        changed(path, lambda r: [{**r, MRR: None}])
    with pytest.raises(InputError, match="graph structure cannot be answered: no sampler has finished"):
        graph_structure_answer(sweep[0], sweeps=sweep[1])
    with pytest.raises(InputError, match="auxiliary quality cannot be answered: no training"):
        auxiliary_quality_answer(auxiliaries)
    failed = training("typed", 0, None, fallback="random", validity=None, reciprocal_ranks=None)
    write_jsonl(tmp_path / "records.jsonl", [failed])
    with pytest.raises(InputError, match="random integration cannot be answered: no training"):
        random_integration_answer([str(tmp_path / "records.jsonl")])


def test_a_record_that_lacks_something_is_named(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [training("random", 0, 0.2)])
    with pytest.raises(InputError, match=r"a.jsonl line 1: the record lacks 'auxiliary'; delete the file"):
        auxiliary_quality_answer([str(tmp_path / "a.jsonl")])


@pytest.fixture
def auxiliaries(tmp_path: Path) -> list[str]:
    """With TransE, MRR falls as the auxiliary model gets better; with DistMult it is what it is."""
    generator = np.random.default_rng(0)
    none = {"auxiliary": None, "epochs": None, "auxiliary_mrr": None, "pools": {"held_out": None}}
    records = [training("random", seed, 0.3, model=model, **none) for seed in SEEDS for model in ("TransE", "DistMult")]
    records += [training("adaptiveadversarial", seed, 0.05, model="TransE", **none) for seed in SEEDS]
    for kind in ("RESCAL", "TransE"):
        for epochs, quality in ((0, 0.01), (1, 0.1), (4, 0.2), (16, 0.3), (64, 0.35)):
            quality += 0.01 * (kind == "RESCAL")
            said = {"auxiliary": kind, "epochs": epochs, "auxiliary_mrr": quality, "pools": {"held_out": quality / 10}}
            for seed in SEEDS:
                falling = 0.25 - 0.5 * quality + generator.normal(0, 0.001)
                records.append(training("adversarial", seed, falling, **said))
                wobbly = 0.2 + generator.normal(0, 0.01)
                records.append(training("adversarial", seed, wobbly, model="DistMult", **said))
    write_jsonl(tmp_path / "records.jsonl", records)
    return [str(tmp_path / "records.jsonl")]


def test_a_fall_with_the_auxiliary_models_quality_is_found(auxiliaries: list[str]) -> None:
    answer = auxiliary_quality_answer(auxiliaries)
    found = answer.table.raw.set_index("model")
    assert found.loc["TransE", "rho"] < -0.98
    assert found.loc["TransE", "p_holm"] < 0.001
    assert found.loc["TransE", "points"] == 10
    assert found.loc["TransE", "rho_held_out"] < -0.98
    assert found.loc["TransE", "untrained"] == pytest.approx(0.25 - 0.5 * 0.015, abs=0.002)
    assert found.loc["TransE", "best_auxiliary"] == "RESCAL, 64 epochs"
    assert found.loc["TransE", "random"] == pytest.approx(0.3)
    assert found.loc["DistMult", "p_holm"] > 0.05
    assert np.isnan(found.loc["DistMult", "adaptiveadversarial"])
    assert (
        "rises with the quality of the auxiliary model in 0, falls in 1, and no effect in one direction was found in 1"
        in answer.verdict
    )
    assert (
        "Random negatives, which need no auxiliary model, are above those of the best one in 2 of 2" in answer.verdict
    )
    assert "Adaptive adversarial negatives, which need no auxiliary model, are above" in answer.verdict
    assert "in 0 of 1" in answer.verdict
    assert "below 0.84 would have been missed" in answer.verdict


def fallback_records(ranks: Mapping[tuple[str | None, int], Sequence[float]]) -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    wobble = {seed: generator.normal(0, 0.003, size=400) for seed in SEEDS}
    slots = {
        None: {"pool": 60, "masked": 40},
        "random": {"pool": 60, "everything": 39, "rescued": 1, "masked": 0},
        "semantic": {"pool": 60, "ancestors_1": 15, "corrupt": 20, "everything": 5, "masked": 0},
    }
    return [
        training(
            "typed",
            seed,
            float(np.mean(values + wobble[seed])),
            negatives=negatives,
            fallback=fallback,
            validity=None if fallback is None else {"random": 0.6, "semantic": 0.9}[fallback],
            slots=slots[fallback],
            # seeds matter a little, and each method a little differently
            reciprocal_ranks=(np.asarray(values) + wobble[seed] + 0.001 * seed * len(fallback or "")).tolist(),
        )
        for (fallback, negatives), values in ranks.items()
        for seed in SEEDS
    ]


def test_auxiliary_models_look_like_no_sampler(auxiliaries: list[str]) -> None:
    figure = auxiliary_quality_answer(auxiliaries).figure
    drawn = {to_hex(color) for panel in figure.axes for dots in panel.collections for color in dots.get_edgecolors()}
    assert drawn
    assert drawn.isdisjoint(style["color"].lower() for style in SAMPLER_STYLES.values())


def test_random_has_its_name_in_the_legend(sweep: tuple[list[str], dict[str, Any]]) -> None:
    figure = graph_structure_answer(sweep[0], sweeps=sweep[1]).figure
    assert "random" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_fallbacks_are_compared_with_the_random_one(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    base = generator.uniform(0.1, 0.3, size=400)
    records = fallback_records(
        {
            (None, 1): base,
            ("random", 1): base,
            ("semantic", 1): base,
            (None, 16): base - 0.08,
            ("random", 16): base,
            ("semantic", 16): base + 0.05,
        }
    )
    path = tmp_path / "records.jsonl"
    write_jsonl(path, records)
    answer = random_integration_answer([str(path)])
    found = answer.table.raw.set_index(["fallback", "negatives"])
    assert found.loc[("semantic", 16), "verdict"] == "better"
    assert found.loc[("none", 16), "verdict"] == "worse"
    assert found.loc[("none", 16), "difference"] == pytest.approx(-0.08, abs=0.01)
    assert found.loc[("none", 16), "detectable"] < 0.05
    assert found.loc[("random", 16), "share_random"] == pytest.approx(0.4)
    assert found.loc[("semantic", 16), "share_semantic"] == pytest.approx(0.35)
    assert found.loc[("semantic", 16), "share_random"] == pytest.approx(0.05)
    assert "Semantic stages instead are better in 1 of 2 comparisons" in answer.verdict
    assert "90% of the negatives are valid, 60% with random entities" in answer.verdict


def test_the_same_trainings_are_no_comparison(tmp_path: Path) -> None:
    ranks = [0.5, 0.25, 1.0]
    records = [
        training(
            "typed", seed, 0.5, fallback=fallback, validity=1.0, slots={"pool": 10, "masked": 0}, reciprocal_ranks=ranks
        )
        for fallback in (None, "random")
        for seed in SEEDS
    ]
    path = tmp_path / "records.jsonl"
    write_jsonl(path, records)
    answer = random_integration_answer([str(path)])
    assert "the same trainings" in answer.table.to_markdown()
    assert answer.table.raw["difference"].isna().all()
    assert "comparisons" not in answer.verdict


def test_an_answer_is_written_in_all_its_forms(auxiliaries: list[str], tmp_path: Path) -> None:
    kinds = ("csv", "tex", "md", "png", "pdf", "verdict")
    paths = {kind: tmp_path / f"answer.{kind}" for kind in kinds}
    write_answer(auxiliary_quality_answer(auxiliaries), **paths)
    first = {kind: path.read_bytes() for kind, path in paths.items()}
    assert first["png"].startswith(b"\x89PNG")
    assert first["verdict"].decode().startswith("**How much does the auxiliary model's quality matter?** On umls")
    write_answer(auxiliary_quality_answer(auxiliaries), **paths)
    assert {kind: path.read_bytes() for kind, path in paths.items()} == first
