"""What the rules say of samplers, models and options agrees with the package, and with the schema of the config."""

import ast
import copy
import inspect
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import yaml
from names import MODELS
from pykeen.losses import loss_resolver
from pykeen.models import ERModel, model_resolver
from pykeen.sampling import negative_sampler_resolver
from pykeen.trackers import tracker_resolver
from pykeen.training import SLCWATrainingLoop, training_loop_resolver
from snakemake.utils import update_config, validate

from negsamp import SAMPLERS, RefreshTrainingCallback
from negsamp.auxiliary import train_auxiliary
from negsamp.datasets import generate
from negsamp.hpo import LOOPS, Options

ROOT = Path(__file__).parents[1]
SCHEMA_FILE = ROOT / "rules/schemas/config.schema.yaml"
SCHEMA = yaml.safe_load(SCHEMA_FILE.read_text(encoding="utf-8"))
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
#: the smallest config: all that has no default
SMALLEST = {
    "name": "smallest",
    "datasets": ["nations"],
    "models": ["TransE"],
    "samplers": ["basic"],
    "negatives": [1],
    "seeds": [0],
}


def common(*names: str) -> dict[str, Any]:
    """Run the constants and the named functions of common.smk alone: the rest wants a workflow around it."""
    tree = ast.parse((ROOT / "rules/common.smk").read_text(encoding="utf-8"))
    wanted = {"PYKEENS", "LOOPS", "WITHOUT_POOLS", "NEEDS", *names}
    found = [
        node
        for node in tree.body
        if (isinstance(node, ast.FunctionDef) and node.name in wanted)
        or (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in wanted)
    ]
    assert len(found) == len(wanted)
    namespace: dict[str, Any] = {}
    exec(compile(ast.Module(found, type_ignores=[]), "common.smk", "exec"), namespace)  # noqa: S102
    return namespace


def wildcards(**values: str) -> SimpleNamespace:
    return SimpleNamespace(**values)


def objects(schema: dict[str, Any], place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk through the schema, and give each object that names its properties."""
    if "properties" in schema:
        yield place, schema
        for name, entry in schema["properties"].items():
            yield from objects(entry, f"{place}.{name}".lstrip("."))


#: objects by their place in the config, with dots; the whole is ""
OBJECTS = dict(objects(SCHEMA))


def nested(values: dict[str, Any], place: str, *, content: Any) -> dict[str, Any]:
    """Return a copy of a config with something at a place in it."""
    values = copy.deepcopy(values)
    inner = values
    *parents, last = place.split(".")
    for key in parents:
        inner = inner.setdefault(key, {})
    inner[last] = content
    return values


def inside(values: dict[str, Any], place: str) -> dict[str, Any]:
    """Return the object at a place of a config."""
    for key in filter(None, place.split(".")):
        values = values[key]
    return values


# Samplers and models


def test_needs_are_the_samplers_own() -> None:
    assert common()["NEEDS"] == {name: cls.needs for name, cls in SAMPLERS.items() if cls.needs != "nothing"}


def test_samplers_are_ours_and_two_of_pykeens() -> None:
    names = SCHEMA["properties"]["samplers"]["items"]["enum"]
    assert names == ["basic", "bernoulli", *SAMPLERS]
    assert common()["PYKEENS"] == set(names) - set(SAMPLERS)
    of_training = {name for name, cls in SAMPLERS.items() if cls.needs == "training"}
    assert common()["WITHOUT_POOLS"] == common()["PYKEENS"] | common()["LOOPS"] | of_training
    for name in names:
        assert negative_sampler_resolver.lookup(name).get_normalized_name() == name


def test_loops_without_negatives_are_pykeens() -> None:
    *loops, nothing = SCHEMA["properties"]["reference"]["properties"]["training_loop"]["enum"]
    assert nothing is None
    assert common()["LOOPS"] == set(loops) == set(LOOPS)
    for name in loops:
        assert not issubclass(training_loop_resolver.lookup(name), SLCWATrainingLoop)


def test_losses_and_trackers_are_pykeens() -> None:
    assert SCHEMA["$defs"]["loss"]["enum"] == sorted(loss_resolver.lookup_dict)
    trackers = SCHEMA["properties"]["tracking"]["properties"]["result_tracker"]["items"]["enum"]
    # one keeps what it is told in memory alone
    assert trackers == sorted(tracker_resolver.lookup_dict.keys() - {"python"})


@pytest.mark.parametrize("place", ["models", "auxiliary"])
def test_models_are_those_of_the_paper(place: str) -> None:
    entry = SCHEMA["properties"][place]
    assert (entry["items"] if place == "models" else entry["properties"]["model"])["enum"] == MODELS


@pytest.mark.parametrize("name", MODELS)
def test_each_model_is_one_of_pykeens(name: str) -> None:
    cls = model_resolver.lookup(name)
    assert cls.__name__ == name
    assert issubclass(cls, ERModel)


@pytest.mark.parametrize("name", [name for name, cls in SAMPLERS.items() if cls.needs != "training"])
def test_pools_are_found_anew_when_an_option_that_decides_them_changes(name: str) -> None:
    namespace = common("pool_options", "POOL_OPTIONS")
    namespace["config"] = {"sampling": dict.fromkeys(SCHEMA["properties"]["sampling"]["properties"])}
    options = namespace["pool_options"](namespace["NEEDS"].get(name)).keys()
    # the sampling options of this sampler, but for those that only the draw uses
    takes = inspect.signature(SAMPLERS[name]).parameters.keys() & namespace["config"]["sampling"].keys()
    if name != "typed":
        # it decides the stages of a fallback alone
        takes -= {"infer_schema"}
    assert options == takes - {"fallback", "corruption"}


def test_every_sampling_option_is_one_of_a_sampler() -> None:
    known = {key for cls in SAMPLERS.values() for key in inspect.signature(cls).parameters}
    assert SCHEMA["properties"]["sampling"]["properties"].keys() <= known


DRAWING = {"filtered": True, "fallback": None, "corruption": "head"}
SEARCH = {"num_neighbors": 7, "grow": True, "metric": "dot"}
REFRESH = {"refresh_every": 2, "max_pairs": None}


@pytest.mark.parametrize(
    ("name", "has_types", "passed", "refresh"),
    [
        ("basic", True, {}, {}),
        ("bernoulli", False, {}, {}),
        ("typed", True, {**DRAWING, "infer_schema": 0.9}, {}),
        ("corrupt", True, {**DRAWING, "infer_schema": 0.9}, {}),
        ("corrupt", False, DRAWING, {}),
        ("adversarial", False, DRAWING, {}),
        ("adaptiveadversarial", False, {**DRAWING, **SEARCH}, REFRESH),
        ("symmetriclcwa", True, {}, {}),
    ],
)
def test_trainings_get_the_options_that_they_take(
    name: str, has_types: bool, passed: dict[str, Any], refresh: dict[str, Any]
) -> None:
    namespace = common("training_options")
    namespace["is_applicable"] = lambda dataset, sampler: has_types and (dataset, sampler) == ("graph", "typed")
    config = copy.deepcopy(SMALLEST)
    validate(config, str(SCHEMA_FILE))
    namespace["config"] = {**config, "sampling": {**DRAWING, **SEARCH, "infer_schema": 0.9}, "refresh": REFRESH}
    options = namespace["training_options"](wildcards(dataset="graph", sampler=name))
    assert options["sampling"] == passed
    # a loop that samples none has its own loss and batches
    own = {"loss": "crossentropy", "batch_size": 500} if name in LOOPS else {}
    assert Options(**options) == Options(sampling=passed, refresh=refresh, **own)


def test_a_training_stops_early_where_there_is_a_patience() -> None:
    namespace = common("training_options")
    namespace["is_applicable"] = lambda dataset, sampler: False
    config = {**copy.deepcopy(SMALLEST), "early_stopping": {"patience": 3}}
    validate(config, str(SCHEMA_FILE))
    namespace["config"] = config
    options = Options(**namespace["training_options"](wildcards(dataset="graph", sampler="basic")))
    assert options.early_stopping == {"patience": 3, "frequency": 10, "relative_delta": 0.0}


@pytest.mark.parametrize("change", [{"sampler": "tpe"}, {"timeout": 60}, {"sampler": "tpe", "timeout": 60}])
def test_trials_that_need_those_before_them_are_one_job(change: dict[str, Any]) -> None:
    namespace = common("trials_per_job", "chunks", "trials_of_chunk")
    namespace["config"] = {"hpo": {"trials": 7, "trials_per_job": 2, "sampler": "qmc", "timeout": None, **change}}
    assert list(namespace["chunks"]()) == [0]
    assert namespace["trials_of_chunk"](wildcards(chunk="0")) == list(range(7))


@pytest.mark.parametrize(("models", "expected"), [(None, ["TransE", "DistMult"]), (["DistMult"], ["DistMult"])])
def test_the_reference_is_one_study_a_model(models: list[str] | None, expected: list[str]) -> None:
    namespace = common("studies", "reference_loop", "reference_models", "reference_row", "applicable_samplers")
    reference = {"training_loop": "lcwa", "models": models, "loss": "bce", "batch_size": 9}
    config = {"samplers": ["basic"], "models": ["TransE", "DistMult"], "negatives": [1, 2], "reference": reference}
    namespace.update(config=config, DATASETS=["a", "b"], is_applicable=lambda dataset, sampler: True)
    found = [study for study in namespace["studies"]() if study["sampler"] == "lcwa"]
    assert [(study["dataset"], study["model"]) for study in found] == [(d, m) for d in "ab" for m in expected]
    assert {study["negatives"] for study in found} == {0}
    assert len(namespace["studies"]()) == len(found) + 2 * 2 * 2
    assert namespace["reference_row"]() == {"sampler": "lcwa", "models": expected, "loss": "bce", "batch_size": 9}
    reference["training_loop"] = None
    assert namespace["reference_row"]() is None
    assert {study["sampler"] for study in namespace["studies"]("a")} == {"basic"}


def test_a_value_that_changes_nothing_is_the_point_that_all_sweeps_share() -> None:
    namespace = common("sweep_points", "mixed_points", "sweep_graph")
    sweeps = [
        {"property": "noise", "values": [0.0, 0.4]},
        {"property": "skew", "values": [0.5, 1.0]},
        {"property": "depth", "values": [2, 3], "with": {"skew": 1.0}},
    ]
    mixed = {"graphs": 2, "options": {"depth": [5, 6, 7], "noise": [0.3]}}
    namespace["ASKED"] = {"graph_structure": {"sweeps": sweeps, "mixed": mixed}}
    namespace["random"] = random
    namespace["config"] = {"synthetic": {"noise": 0.0, "skew": 0.5, "depth": 3, "seed": 7}}
    points = namespace["sweep_points"]()
    assert {name: path for name, (path, _) in points.items()} == {
        ("noise", 0.0): "base",
        ("noise", 0.4): "noise/0.4",
        ("skew", 0.5): "base",
        ("skew", 1.0): "skew/1.0",
        ("depth", 2): "depth/2",
        ("depth", 3): "depth/3",
    }
    assert namespace["sweep_graph"](wildcards(point="depth/2")) == {"noise": 0.0, "skew": 1.0, "depth": 2}
    assert namespace["sweep_graph"](wildcards(point="base")) == {"noise": 0.0, "skew": 0.5, "depth": 3}
    # drawn by what it is for and its number alone
    assert namespace["mixed_points"]() == {
        "mixed/0": {"noise": 0.3, "skew": 0.5, "depth": 7},
        "mixed/1": {"noise": 0.3, "skew": 0.5, "depth": 6},
    }
    assert namespace["sweep_graph"](wildcards(point="mixed/1")) == {"noise": 0.3, "skew": 0.5, "depth": 6}


def test_sweeps_move_options_of_the_generator() -> None:
    sweeps = OBJECTS["open_questions.graph_structure"]["properties"]["sweeps"]
    assert set(sweeps["items"]["properties"]["property"]["enum"]) == inspect.signature(generate).parameters.keys() - {
        "seed"
    }


def test_questions_ask_our_samplers() -> None:
    # what is given for a pair is given for no generated graph
    assert set(SCHEMA["$defs"]["samplers"]["items"]["enum"]) == SAMPLERS.keys() - {"given"}
    asking = OBJECTS["open_questions.auxiliary_quality"]["properties"]["samplers"]["items"]["enum"]
    assert set(asking) == {name for name, cls in SAMPLERS.items() if cls.needs == "auxiliary"}


@pytest.mark.parametrize(("trials", "size"), [(1, 1), (20, 1), (20, 20), (20, 7), (3, 100), (6, 3)])
def test_chunks_hold_each_trial_once(trials: int, size: int) -> None:
    namespace = common("trials_per_job", "chunks", "trials_of_chunk")
    namespace["config"] = {"hpo": {"trials": trials, "trials_per_job": size, "sampler": "random", "timeout": None}}
    chunks = [namespace["trials_of_chunk"](wildcards(chunk=str(chunk))) for chunk in namespace["chunks"]()]
    assert [trial for chunk in chunks for trial in chunk] == list(range(trials))
    assert all(0 < len(chunk) <= size for chunk in chunks)


# The config and its schema


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("config", [CONFIG, SMALLEST], ids=["config.yaml", "smallest"])
def test_configs_are_valid(config: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(config)


@pytest.mark.parametrize("overlay", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_overlays_are_valid_over_the_config(overlay: Path) -> None:
    changes = yaml.safe_load(overlay.read_text(encoding="utf-8"))
    config = copy.deepcopy(CONFIG)
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    jsonschema.Draft202012Validator(SCHEMA).validate(config)
    assert config["name"] != CONFIG["name"]


@pytest.mark.parametrize("place", OBJECTS)
def test_the_schema_describes_every_key_and_refuses_others(place: str) -> None:
    entry = OBJECTS[place]
    for name, property_ in entry["properties"].items():
        assert property_.get("description", "").endswith("."), f"{place}.{name}"
        is_required = name in entry.get("required", [])
        assert is_required != ("default" in property_), f"{place}.{name}"
        # a default inside is given only to an object that is there
        if "properties" in property_:
            assert property_["default"] == {}, f"{place}.{name}"
    assert entry["additionalProperties"] is False


@pytest.mark.parametrize("place", OBJECTS)
def test_the_config_shows_every_key_of_the_schema(place: str) -> None:
    assert inside(CONFIG, place).keys() == OBJECTS[place]["properties"].keys()


def test_what_is_left_out_has_its_default() -> None:
    config = copy.deepcopy(SMALLEST)
    validate(config, str(SCHEMA_FILE))
    for place, entry in OBJECTS.items():
        found = inside(config, place)
        assert found.keys() == entry["properties"].keys()
        for name, property_ in entry["properties"].items():
            if "default" in property_ and "properties" not in property_:
                assert found[name] == property_["default"], f"{place}.{name}"
    # the defaults themselves are allowed
    jsonschema.Draft202012Validator(SCHEMA).validate(config)


def test_defaults_are_those_of_the_package() -> None:
    config = copy.deepcopy(SMALLEST)
    validate(config, str(SCHEMA_FILE))
    defaults = {name: parameter.default for name, parameter in inspect.signature(generate).parameters.items()}
    assert config["synthetic"] == defaults
    assert Options(**config["training"]) == Options(
        max_evaluation_triples=config["evaluation"]["max_triples"],
        device=config["compute"]["device"],
    )
    trained = {name: parameter.default for name, parameter in inspect.signature(train_auxiliary).parameters.items()}
    plain = {key: value for key, value in config["auxiliary"].items() if key != "model_kwargs"}
    assert plain.items() <= trained.items()
    refreshed = {
        name: parameter.default for name, parameter in inspect.signature(RefreshTrainingCallback).parameters.items()
    }
    assert config["refresh"] == refreshed
    for name in ("filtered", "corruption", "num_neighbors", "grow", "metric", "search", "classes", "infer_schema"):
        takers = [cls for cls in SAMPLERS.values() if name in inspect.signature(cls).parameters]
        assert {inspect.signature(cls).parameters[name].default for cls in takers} == {config["sampling"][name]}


@pytest.mark.parametrize("place", [f"{place}.wrong".lstrip(".") for place in OBJECTS])
def test_an_unknown_key_is_refused_by_name(place: str) -> None:
    with pytest.raises(jsonschema.ValidationError, match=r"'wrong' was unexpected"):
        jsonschema.Draft202012Validator(SCHEMA).validate(nested(CONFIG, place, content=1))


@pytest.mark.parametrize(
    ("place", "content", "message"),
    [
        ("name", "a/b", "'a/b' does not match"),
        ("name", "..", r"'\.\.' does not match"),
        ("datasets", [], r"\[\]"),
        ("datasets", ["a", "a"], "non-unique"),
        ("models", ["TransX"], "'TransX' is not one of"),
        ("models", "TransE", "'TransE' is not of type 'array'"),
        ("samplers", ["nearestneighbour"], "'nearestneighbour' is not one of"),
        ("negatives", [0], "0 is less than the minimum of 1"),
        ("negatives", [1.5], r"1\.5 is not of type 'integer'"),
        ("seeds", [-1], "-1 is less than the minimum of 0"),
        ("folders.a b", "graphs/a", "'a b' does not match"),
        ("sampling.fallback", "none", "'none' is not valid under any of the given schemas"),
        ("sampling.fallback", ["nearby"], r"\['nearby'\] is not valid under any of the given schemas"),
        ("sampling.infer_schema", 0, "0 is less than or equal to the minimum"),
        ("refresh.refresh_every", 0, "0 is less than the minimum"),
        ("sampling.corruption", None, "None is not one of"),
        ("sampling.num_neighbors", 0, "0 is less than the minimum"),
        ("training.epochs", 0, "0 is less than the minimum"),
        ("evaluation.max_triples", 0, "0 is less than the minimum"),
        ("hpo.trials_per_job", 0, "0 is less than the minimum"),
        ("hpo.sampler", "grid", "'grid' is not one of"),
        ("hpo.timeout", 0, "0 is less than or equal to the minimum"),
        ("early_stopping.patience", 0, "0 is less than the minimum"),
        ("reference.training_loop", "slcwa", "'slcwa' is not one of"),
        ("hpo.space.margin", [], "is not valid under any of the given schemas"),
        (
            "hpo.space.margin",
            {"low": 1.0, "high": 2.0, "choices": [1.0]},
            "is not valid under any of the given schemas",
        ),
        ("hpo.space.learning_rate", {"low": 0.1}, "is not valid under any of the given schemas"),
        ("hpo.space.learning_rate", 0.1, "is not of type 'object'|is not valid under any"),
        ("auxiliary.learning_rate", 0, "0 is less than or equal to the minimum"),
        ("compute.torch_threads", 0, "0 is less than the minimum"),
    ],
)
def test_a_bad_value_is_refused_by_name(place: str, content: Any, message: str) -> None:
    with pytest.raises(jsonschema.ValidationError, match=message) as caught:
        jsonschema.Draft202012Validator(SCHEMA).validate(nested(CONFIG, place, content=content))
    key = place.split(".")[0]
    assert caught.value.absolute_path[0] == key


@pytest.mark.parametrize("missing", sorted(SMALLEST))
def test_a_missing_key_is_named(missing: str) -> None:
    config = {key: value for key, value in SMALLEST.items() if key != missing}
    with pytest.raises(jsonschema.ValidationError, match=rf"'{missing}' is a required property"):
        jsonschema.Draft202012Validator(SCHEMA).validate(config)


def test_an_overlay_replaces_values_by_bounds_and_bounds_by_values() -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    bounds = {"low": 1.0, "high": 10.0}
    update_config(config, {"hpo": {"space": {"margin": bounds, "learning_rate": [0.1]}}})
    validate(config, str(ROOT / "rules/schemas/config.schema.yaml"))
    assert config["hpo"]["space"]["margin"] == bounds
    assert config["hpo"]["space"]["learning_rate"] == [0.1]
    update_config(config, {"hpo": {"space": {"l2_weight": {"high": 0.1}}}})
    assert config["hpo"]["space"]["l2_weight"] == {"low": 1e-6, "high": 0.1, "log": True}
