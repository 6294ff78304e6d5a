"""Forecasts of gains, on evidence whose law is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from negsamp import SAMPLERS
from negsamp.advice import (
    GENERATED,
    INTERVAL,
    REAL,
    Forecasters,
    StructuralForecaster,
    fit_structural,
    predictors_of,
    read_evidence,
    validate_forecasts,
)
from negsamp.descriptors import DESCRIPTORS, POOL_DESCRIPTORS
from negsamp.errors import InputError

Fitted = dict[tuple[str, str], StructuralForecaster]
MODELS = ("TransE", "DistMult")
PREDICTORS = predictors_of("typed")


def graphs(count: int, seed: int, **columns: Any) -> pd.DataFrame:
    """Graphs with random descriptors, all of them groups of their own."""
    generator = np.random.default_rng(seed)
    drawn = {name: generator.uniform(0.1, 0.9, count) for name in PREDICTORS}
    names = {"group": [f"graph {seed}-{i}" for i in range(count)], "sampler": "typed", "graphs": 3}
    return pd.DataFrame({**names, **drawn, **columns})


def with_gains(frame: pd.DataFrame, slope: float = -1.0, shift: float = 0.0, noise: float = 0.0) -> pd.DataFrame:
    """The logarithm of the MRR's ratio falls with the share of empty pools, for both models."""
    wobble = np.random.default_rng(9).normal(0, noise, len(frame)) if noise else 0.0
    gain = np.expm1(slope * frame["no_pool"] + shift + wobble)
    return pd.concat([frame.assign(model=model, gain=gain) for model in MODELS], ignore_index=True)


@pytest.fixture(scope="module")
def generated() -> pd.DataFrame:
    return with_gains(graphs(40, seed=0), noise=0.02)


@pytest.fixture(scope="module")
def fitted(generated: pd.DataFrame) -> Fitted:
    return fit_structural(generated)


def row(**changes: float | None) -> dict[str, float | None]:
    return {**dict.fromkeys(PREDICTORS, 0.5), **changes}


def test_what_gains_depend_on_is_found(generated: pd.DataFrame) -> None:
    found = StructuralForecaster(generated, "typed", "TransE").predict(row(no_pool=0.8, entities=5.0))
    assert found.gain == pytest.approx(np.expm1(-0.8), abs=0.03)
    assert found.reasons[0].descriptor == "no_pool"
    assert found.reasons[0].value == 0.8
    assert found.reasons[0].usual == pytest.approx(0.5, abs=0.1)
    assert found.reasons[0].change == pytest.approx(np.expm1(-(0.8 - found.reasons[0].usual)), abs=0.03)
    assert {reason.descriptor for reason in found.reasons} == set(PREDICTORS)
    assert max(abs(reason.change) for reason in found.reasons[1:]) < 0.05
    assert found.skill.rho > 0.9
    assert found.graphs == 120
    assert found.mean_gain == pytest.approx(np.expm1(np.log1p(generated["gain"]).mean()))
    (outside,) = found.extrapolated
    assert (outside.descriptor, outside.value) == ("entities", 5.0)
    assert outside.low == pytest.approx(generated["entities"].min())
    assert outside.high == pytest.approx(generated["entities"].max())


def test_beyond_the_evidence_its_end_is_taken(generated: pd.DataFrame) -> None:
    forecaster = StructuralForecaster(generated, "typed", "TransE")
    highest = generated["no_pool"].max()
    assert forecaster.predict(row(no_pool=50.0)).gain == forecaster.predict(row(no_pool=highest)).gain


def test_an_unknown_descriptor_moves_nothing(generated: pd.DataFrame) -> None:
    forecaster = StructuralForecaster(generated, "typed", "TransE")
    found = forecaster.predict(row(no_pool=None, untyped=None))
    changes = {reason.descriptor: reason.change for reason in found.reasons}
    assert changes["no_pool"] == changes["untyped"] == 0
    assert not found.extrapolated


def test_graphs_of_one_group_do_not_predict_each_other() -> None:
    # within a group gains rise with empty pools, and from group to group they fall
    parts = []
    for group in range(6):
        rows = graphs(8, seed=group, group=f"sweep {group}")
        rows["no_pool"] = 0.1 * group + np.linspace(0, 0.09, 8)
        parts.append(rows.assign(model="TransE", gain=np.expm1(-group + 5 * (rows["no_pool"] - 0.1 * group))))
    found = StructuralForecaster(pd.concat(parts), "typed", "TransE").predict(row())
    assert found.gain < 0
    alone = StructuralForecaster(pd.concat(parts).assign(group=[f"{i}" for i in range(48)]), "typed", "TransE").predict(
        row()
    )
    assert found.skill.rho < alone.skill.rho


@pytest.mark.parametrize(
    ("slope", "low", "high"), [(-1.0, 0.9, 1.0), (-0.5, 0.4, 0.6), (0.0, 0.0, 0.1), (1.0, 0.0, 0.0)]
)
def test_structure_is_believed_as_far_as_it_is_right(fitted: Fitted, slope: float, low: float, high: float) -> None:
    real = with_gains(graphs(12, seed=1), slope=slope, shift=-0.5 - 0.5 * slope)
    forecasters = Forecasters(fitted, real)
    assert low <= forecasters.weight <= high


def test_a_gain_is_the_mean_over_benchmarks_moved_by_structure(generated: pd.DataFrame, fitted: Fitted) -> None:
    real = with_gains(graphs(5, seed=1), slope=1.0, shift=-0.5)
    found = Forecasters(fitted, real).predict("typed", row(no_pool=0.9))
    assert found.keys() == set(MODELS)
    # nothing is believed: the mean of the logarithms, that of the generated graphs counting once
    of_model = real[real["model"] == "TransE"]
    expected = np.log1p(of_model["gain"]).sum() + np.log1p(generated["gain"]).mean()
    assert found["TransE"].gain == pytest.approx(np.expm1(expected / 6))
    assert found["TransE"].measured == pytest.approx(dict(zip(of_model["group"], of_model["gain"], strict=True)))
    # eight of ten forecasts from the other graphs err less
    gains, mean = np.log1p(of_model["gain"].to_numpy()), np.log1p(generated["gain"]).mean()
    errors = sorted(abs(gain - (gains.sum() - gain + mean) / 5) for gain in gains for _ in MODELS)
    assert found["TransE"].high == pytest.approx(np.expm1(expected / 6 + errors[7]))
    assert found["TransE"].low == pytest.approx(np.expm1(expected / 6 - errors[7]))
    assert Forecasters(fitted, real).predict("corrupt", row()) == {}


def test_structure_moves_from_where_the_benchmarks_are(fitted: Fitted) -> None:
    # the law holds, and all benchmark graphs have many empty pools
    near = graphs(8, seed=1)
    near["no_pool"] = np.linspace(0.8, 0.9, 8)
    forecasters = Forecasters(fitted, with_gains(near))
    found = forecasters.predict("typed", row(no_pool=0.1))["TransE"]
    assert forecasters.weight > 0.8
    assert found.gain == pytest.approx(np.expm1(-0.1), abs=0.1)
    assert found.moved > 0.5
    # as they are, nothing is to be moved
    assert abs(forecasters.predict("typed", row(no_pool=0.8))["TransE"].moved) < 0.1


def test_a_graph_counts_once_however_many_gains_it_has(fitted: Fitted) -> None:
    # one graph with the gains of two models, seven with that of one
    real = with_gains(graphs(8, seed=1), slope=0.0, shift=-0.5)
    real = real[(real["model"] == "TransE") | (real["group"] == "graph 1-0")]
    # DistMult's is the one that is far off: half a graph of eight
    far = real.assign(gain=real["gain"].where(real["model"] == "TransE", 5.0))
    near, wide = (Forecasters(fitted, frame).predict("typed", row())["TransE"] for frame in (real, far))
    assert wide.high - wide.low < 1.5 * (near.high - near.low)


def test_experiments_on_one_graph_count_as_one(fitted: Fitted) -> None:
    real = with_gains(graphs(4, seed=1), slope=0.0, shift=-0.5)
    once = Forecasters(fitted, real).predict("typed", row())["TransE"]
    again = Forecasters(fitted, pd.concat([real, real[real["group"] == "graph 1-0"]])).predict("typed", row())["TransE"]
    assert again.gain == pytest.approx(once.gain)
    assert len(again.measured) == 4


def test_intervals_hold_what_they_say(fitted: Fitted) -> None:
    real = with_gains(graphs(30, seed=1), noise=0.3)
    validated = validate_forecasts(fitted, real)
    assert len(validated) == len(real)
    held = validated["gain"].between(validated["low"], validated["high"]).mean()
    assert held == pytest.approx(INTERVAL, abs=0.12)
    # as wide as it has to be, no wider
    assert (validated["high"] / (1 + validated["low"])).max() < 3


def test_a_graph_is_predicted_without_itself(fitted: Fitted) -> None:
    real = with_gains(graphs(6, seed=1), noise=0.2)
    changed = real.copy()
    is_first = changed["group"] == "graph 1-0"
    changed.loc[is_first, "gain"] = 3.0
    numbers = ["predicted", "low", "high", "structural", "weight"]
    before, after = (validate_forecasts(fitted, frame).set_index("group") for frame in (real, changed))
    pd.testing.assert_frame_equal(before.loc[["graph 1-0"], numbers], after.loc[["graph 1-0"], numbers])
    assert not np.allclose(before.loc["graph 1-1", "predicted"], after.loc["graph 1-1", "predicted"])


def test_the_ends_of_the_evidence_are_inside(generated: pd.DataFrame) -> None:
    forecaster = StructuralForecaster(generated, "typed", "TransE")
    for end in ("min", "max"):
        ends = {name: getattr(generated[name], end)() for name in PREDICTORS}
        assert forecaster.predict(ends).extrapolated == ()


def test_what_no_graph_of_the_evidence_has_is_not_looked_at(generated: pd.DataFrame) -> None:
    found = StructuralForecaster(generated.assign(violations=None), "typed", "TransE").predict(row(violations=0.3))
    assert "violations" not in {reason.descriptor for reason in found.reasons}
    assert not found.extrapolated
    assert np.isfinite(found.gain)


def test_predictors_are_what_can_be_known_without_training() -> None:
    assert {"pool_share", "no_pool", "untyped"} <= set(predictors_of("typed"))
    assert "untyped" not in predictors_of("corrupt")
    assert not {"pool_share", "no_pool"} & set(predictors_of("adversarial"))
    assert set(PREDICTORS) <= {*DESCRIPTORS, *POOL_DESCRIPTORS}


@pytest.mark.parametrize("path", [GENERATED, REAL])
def test_the_package_comes_with_evidence(path: Path) -> None:
    evidence = read_evidence(path)
    assert set(MODELS) == set(evidence["model"])
    assert set(evidence["sampler"]) == set(SAMPLERS) - {"random", "given"}
    assert (evidence["gain"] > -1).all()
    assert evidence["group"].nunique() >= 5


def test_evidence_that_is_none_is_refused(generated: pd.DataFrame, fitted: Fitted, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv: cannot be read as evidence"):
        read_evidence(tmp_path / "nowhere.csv")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(InputError, match=r"empty\.csv: cannot be read as evidence"):
        read_evidence(tmp_path / "empty.csv")
    generated.drop(columns="no_pool").to_csv(tmp_path / "lacking.csv")
    with pytest.raises(InputError, match=r"lacking\.csv: no column 'no_pool'"):
        read_evidence(tmp_path / "lacking.csv")
    generated.assign(sampler="untold").to_csv(tmp_path / "unknown.csv")
    with pytest.raises(InputError, match=r"unknown\.csv: unknown sampler 'untold'"):
        read_evidence(tmp_path / "unknown.csv")
    for column, value in (("gain", -1.0), ("gain", None), ("gain", "much"), ("untyped", np.inf), ("untyped", "few")):
        bad = generated.astype({column: object})
        bad.loc[2, column] = value
        bad.to_csv(tmp_path / "bad.csv", index=False)
        with pytest.raises(InputError, match=rf"bad\.csv line 4: {column} is "):
            read_evidence(tmp_path / "bad.csv")
    generated.assign(group=generated["group"].where(generated.index != 1)).to_csv(tmp_path / "blank.csv", index=False)
    with pytest.raises(InputError, match=r"blank\.csv line 3: group or model is blank"):
        read_evidence(tmp_path / "blank.csv")
    two_groups = generated[generated["group"].isin(["graph 0-0", "graph 0-1"])]
    with pytest.raises(InputError, match="evidence of typed with TransE: fewer than 3 groups"):
        fit_structural(two_groups)
    with pytest.raises(InputError, match="evidence: fewer than 3 benchmark graphs"):
        Forecasters(fitted, with_gains(graphs(5, seed=1, sampler="corrupt")))


def test_a_number_beyond_all_others_is_refused(generated: pd.DataFrame, tmp_path: Path) -> None:
    # found by fuzzing: pandas cannot even tell that it is none
    generated.assign(entities="9" * 400).to_csv(tmp_path / "evidence.csv", index=False)
    with pytest.raises(InputError, match=r"evidence\.csv: entities has a number beyond all others .*; give a file"):
        read_evidence(tmp_path / "evidence.csv")
