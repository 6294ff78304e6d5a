"""Nobody is let in: nothing is unpickled, no name leaves the working directory, and hostile files do nothing."""

import ast
import copy
import gzip
import json
import os
import pickle
import re
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import torch
import yaml
from archives import register
from snakemake.exceptions import WorkflowError
from snakemake.sourcecache import LocalSourceFile
from snakemake.utils import validate

from negsamp.advice import read_evidence
from negsamp.auxiliary import resolve_auxiliary
from negsamp.checks import check_auxiliary
from negsamp.datasets import SchemaDataset, archive_dataset, generate, write_folder
from negsamp.errors import InputError
from negsamp.hpo import Options, SearchOptions, Study, Training
from negsamp.hpo.optuna_studies import SequentialStudy
from negsamp.io import load_tensors, read_json, read_jsonl, save_tensors
from negsamp.models import load_model
from negsamp.plan import read_config
from negsamp.pools import load_stage
from negsamp.ranks import read_ranks
from negsamp.records import read_kept, read_trials
from negsamp.results import collect
from negsamp.results.questions.answer import read_trainings
from negsamp.results.verdicts import checks_table
from negsamp.triples import TripleSet

ROOT = Path(__file__).parents[1]
SCHEMA = yaml.safe_load((ROOT / "rules/schemas/config.schema.yaml").read_text(encoding="utf-8"))
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
GRAPH = generate(num_entities=12, num_relations=3, num_triples=40, depth=2, seed=1)


# Code

#: modules that read or write what runs when it is read
MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
#: calls that do, by the name of what is called and what it is called on
CALLS = {
    *((None, name) for name in ("eval", "exec", "compile", "__import__", "read_pickle", "to_pickle")),
    *(("torch", name) for name in ("load", "save")),
    *(
        ("yaml", name)
        for name in ("load", "load_all", "full_load", "unsafe_load", "Loader", "FullLoader", "UnsafeLoader")
    ),
    *(("subprocess", name) for name in ("getoutput", "getstatusoutput")),
    *(("os", name) for name in ("system", "popen")),
}


def offences(code: str) -> list[str]:
    """List what runs what is read, or may."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
            # under another name, its calls would not be known
            found += [alias.name for alias in node.names if alias.name == "torch" and alias.asname]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(str(node.module))
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names if (node.module, alias.name) in CALLS]
        elif isinstance(node, ast.Call):
            found += _offences_of_call(node)
    return found


def _offences_of_call(node: ast.Call) -> list[str]:
    keywords = {keyword.arg: getattr(keyword.value, "value", ...) for keyword in node.keywords}
    match node.func:
        case ast.Name(id=name):
            called = (None, name)
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            called = (module, name)
        case ast.Attribute(attr=name):
            called = ("", name)
        case _:
            return []
    is_known = called in CALLS or (called[1].endswith("_pickle") and (None, called[1]) in CALLS)
    if called == ("torch", "load") or ast.unparse(node.func) == "torch.serialization.load":
        is_known = keywords.get("weights_only") is not True
    return [f"{called[0]}.{called[1]}"] if is_known or keywords.get("allow_pickle") or keywords.get("shell") else []


def sources() -> list[Path]:
    python = [
        path for folder in ("negsamp", "workflow_scripts", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    ]
    return sorted([*python, *(ROOT / "docs").glob("*.py"), *(ROOT / "rules").glob("*.smk"), ROOT / "Snakefile"])


def python_of(path: Path) -> str:
    """Return Python as it is; of a Snakefile, what is Python in it: whole, or else line by line."""
    text = path.read_text(encoding="utf-8")
    try:
        ast.parse(text)
    except SyntaxError:
        lines = [line.strip().rstrip(",") for line in text.splitlines()]
        # a value of a rule, with or without its name, is an expression
        return "\n".join(line for line in lines if _is_python(line))
    return text


def _is_python(line: str) -> bool:
    try:
        ast.parse(line)
    except SyntaxError:
        return False
    return True


def test_our_code_runs_nothing_that_it_reads() -> None:
    files = sources()
    assert len(files) > 120
    assert {path.name: offences(python_of(path)) for path in files if offences(python_of(path))} == {}


def test_rules_have_no_pickle_in_any_line() -> None:
    for path in (*(ROOT / "rules").glob("*.smk"), ROOT / "Snakefile"):
        assert not re.search(r"pickle|joblib|marshal|shelve|\beval\(|\bexec\(", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "import os, cloudpickle as x",
        "from joblib import load",
        "import marshal",
        "def f():\n    import dill.source",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.save(model, path)",
        "from torch import load",
        "torch.serialization.load(path)",
        "import torch as t",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "frame.to_pickle(path)",
        "a.b().to_pickle(path)",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "from yaml import load",
        "yaml.unsafe_load(text)",
        "eval(text)",
        "x = [exec(text)]",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_an_offence_is_found(code: str) -> None:
    assert offences(code)


@pytest.mark.parametrize(
    "code", ["torch.load(path, weights_only=True)", "model.eval()", "json.load(x)", "re.compile(x)"]
)
def test_what_is_none_is_not(code: str) -> None:
    assert not offences(code)


# Hostile files


class Marker:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def pickled(marker: Path, folder: Path) -> bytes:
    return pickle.dumps(Marker(marker))


def torch_pickled(marker: Path, folder: Path) -> bytes:
    path = folder / "made.pt"
    torch.save({"weights": Marker(marker)}, path)
    content = path.read_bytes()
    path.unlink()
    return content


def tagged(marker: Path, folder: Path) -> bytes:
    return (
        f"name: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{marker}']]\n".encode()
    )


def compressed(marker: Path, folder: Path) -> bytes:
    return gzip.compress(pickled(marker, folder))


def zipped(marker: Path, folder: Path) -> bytes:
    path = folder / "made.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in ("TINY/train.txt", "TINY/valid.txt", "TINY/test.txt", "TINY/mapping/entity_to_id.json"):
            file.writestr(name, pickled(marker, folder))
    content = path.read_bytes()
    path.unlink()
    return content


HOSTILE: list[Callable[[Path, Path], bytes]] = [pickled, torch_pickled, tagged, compressed, zipped]


def as_archive(path: Path) -> SchemaDataset:
    return archive_dataset(register(path), path)


def in_folder(path: Path) -> SchemaDataset:
    """Read a folder of which this is a file."""
    folder = next(parent for parent in path.parents if (parent / "train.txt").is_file())
    return SchemaDataset.from_folder(folder, "tiny", source="test")


def as_pools(path: Path) -> Any:
    return load_stage(path, TripleSet(GRAPH.training.mapped_triples, 12, 3), name="pool", filtered=True)


def as_auxiliary(path: Path) -> Any:
    return resolve_auxiliary(path, TripleSet(GRAPH.training.mapped_triples, 12, 3))


def as_journal(path: Path) -> Any:
    study = SequentialStudy(path, Study("tiny", "TransE", "random", 1), SearchOptions(CONFIG["hpo"]["space"]))
    return study.ask(0)


def as_config(path: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return read_config(path)


STUDY = "tiny/TransE/random/1"
READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "archive": ("TINY.zip", as_archive),
    "triples": ("data/train.txt", in_folder),
    "negatives": ("data/negatives.tsv", in_folder),
    "mapping": ("data/mapping/entity_to_id.json", in_folder),
    "classes": ("data/metadata/entity_classes.json", in_folder),
    "domains": ("data/metadata/relation_domain_range.json", in_folder),
    "hierarchy": ("data/metadata/subclass_of.json", in_folder),
    "data set": ("stored/dataset.safetensors", lambda path: SchemaDataset.load(path.parent)),
    "labels": ("stored/labels.json", lambda path: SchemaDataset.load(path.parent)),
    "report": ("stored/report.json", lambda path: SchemaDataset.load(path.parent)),
    "pools": ("pools.safetensors", as_pools),
    "model": ("model.safetensors", load_model),
    "auxiliary": ("auxiliary.safetensors", as_auxiliary),
    "checked auxiliary": ("checked.safetensors", lambda path: check_auxiliary(GRAPH, path)),
    "tensors": ("x.safetensors", load_tensors),
    "json": ("x.json", read_json),
    "jsonl": ("x.jsonl", read_jsonl),
    "trials": ("trials-0.jsonl", read_trials),
    "chosen": ("trials-1.jsonl", lambda path: collect.read_chosen([path])),
    "kept": ("part.json", read_kept),
    "journal": ("search.journal", as_journal),
    "trainings": ("trainings.jsonl", lambda path: read_trainings([path], [])),
    "checks": ("checks.json", lambda path: checks_table([path])),
    "final": ("seed-0.json", lambda path: collect.read_finals([path])),
    "statistics": ("x.statistics.json", lambda path: collect.read_statistics([path])),
    "timing": (f"{STUDY}/seed-0.timing.json", lambda path: collect.read_timings([path])),
    "ranks": (f"{STUDY}/seed-0.ranks.csv.gz", lambda path: collect.read_reciprocal_ranks([path])),
    "plain ranks": ("x.csv.gz", read_ranks),
    "table": ("pools.csv", lambda path: collect.read_pools([path])),
    "evidence": ("evidence.csv", read_evidence),
    "config": ("config.yaml", as_config),
}


@pytest.mark.parametrize("make", HOSTILE)
@pytest.mark.parametrize("name", READERS)
def test_a_hostile_file_is_refused_and_does_nothing(
    name: str, make: Callable[[Path, Path], bytes], tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    file, read = READERS[name]
    write_folder(GRAPH, tmp_path / "data")
    GRAPH.save(tmp_path / "stored")
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make(marker, tmp_path))
    with pytest.raises(InputError, match=re.escape(path.name)) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize("make", [pickled, compressed, torch_pickled])
def test_these_files_are_hostile(make: Callable[[Path, Path], bytes], tmp_path: Path) -> None:
    """Where they are unpickled, they make their mark: the test above can fail."""
    path = tmp_path / "file"
    content = make(tmp_path / "marker", tmp_path)
    path.write_bytes(gzip.decompress(content) if make is compressed else content)
    if make is torch_pickled:
        torch.load(path, weights_only=False)
    else:
        pickle.loads(path.read_bytes())  # noqa: S301
    assert (tmp_path / "marker").exists()


def test_a_tag_in_a_config_is_refused_by_snakemake_too(tmp_path: Path) -> None:
    from snakemake.common.configfile import load_configfile

    (tmp_path / "config.yaml").write_bytes(tagged(tmp_path / "marker", tmp_path))
    with pytest.raises(WorkflowError, match="not valid JSON or YAML"):
        load_configfile(tmp_path / "config.yaml")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {
            "model": "NodePiece",
            "model_kwargs": {"tokenizers": "precomputedpool", "tokenizers_kwargs": {"path": "PATH"}},
        },
        {"model": "TransE", "model_kwargs": {"embedding_dim": 2, "regularizer_kwargs": [{"path": ["PATH"]}]}},
        {"model": "Fixed", "model_kwargs": {}},
    ],
)
def test_a_model_that_would_load_another_file_is_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    # PyKEEN's loader of precomputed pools unpickles whatever it is given
    (tmp_path / "pools.pt").write_bytes(torch_pickled(tmp_path / "marker", tmp_path))
    counts = {"num_entities": 3, "num_relations": 2, "create_inverse_triples": True, "l2_weight": None}
    header = json.loads(json.dumps({**settings, **counts}).replace("PATH", str(tmp_path / "pools.pt")))
    save_tensors(tmp_path / "model.safetensors", {"x": torch.zeros(1)}, header)
    with pytest.raises(InputError, match=r"model\.safetensors: no model .*(holds texts|has no representations)"):
        load_model(tmp_path / "model.safetensors")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("change", [{"num_entities": 10**12}, {"model_kwargs": {"embedding_dim": 10**10}}])
def test_a_model_asks_for_no_more_memory_than_its_tensors_have(change: dict[str, Any], tmp_path: Path) -> None:
    header = {"model": "TransE", "model_kwargs": {"embedding_dim": 2}, "l2_weight": None}
    header |= {"num_entities": 3, "num_relations": 2, "create_inverse_triples": False, **change}
    save_tensors(tmp_path / "model.safetensors", {"x": torch.zeros(1)}, header)
    with pytest.raises(InputError, match=r"no model can be rebuilt .*expected"):
        load_model(tmp_path / "model.safetensors")


# PyKEEN's own files


def test_the_weights_of_the_best_epoch_are_in_a_private_folder_that_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save, saved = torch.save, []

    def noting(content: Any, path: Path, **kwargs: Any) -> None:
        saved.append((Path(path), stat.S_IMODE(Path(path).parent.stat().st_mode), kwargs))
        save(content, path, **kwargs)

    monkeypatch.setattr(torch, "save", noting)
    stopping = {"frequency": 1, "patience": 2, "relative_delta": 0.0}
    options = Options(epochs=4, embedding_dim=4, early_stopping=stopping)
    parameters = {"margin": 1.0, "learning_rate": 0.01, "l2_weight": 1e-4}
    study = Study("synthetic", "TransE", "random", 1)
    record = Training(GRAPH, study, parameters, 1, options, None, "validation").run().record
    assert record["best_epoch"] is not None
    assert saved
    for path, mode, _ in saved:
        assert mode == 0o700
        assert path.is_absolute()
        assert not path.is_relative_to(tmp_path)
        assert not path.parent.exists()
    assert list(tmp_path.rglob("*")) == []


# Names


@pytest.mark.parametrize(
    "bad", ["../x", "a/b", "/etc", "a\n", "a\nb", "", ".", "..", "a b", "a.b", "-a", "a\\b", "ä", "a\0"]
)
@pytest.mark.parametrize("place", ["name", "datasets", "folders", "models", "samplers", "seeds", "negatives"])
def test_a_name_that_leaves_the_working_directory_is_refused(place: str, bad: str) -> None:
    given: Any = {"name": bad, "folders": {bad: "graphs/a"}}.get(place, [bad])
    config = {**copy.deepcopy(CONFIG), place: given}
    with pytest.raises(jsonschema.ValidationError) as caught:
        jsonschema.Draft202012Validator(SCHEMA).validate(config)
    assert caught.value.absolute_path[0] == place


@pytest.mark.parametrize("good", ["a", "A1_b-c", "9"])
def test_a_plain_name_is_taken(good: str) -> None:
    config = {**copy.deepcopy(CONFIG), "name": good, "datasets": [good], "folders": {good: "/anywhere/../at all"}}
    jsonschema.Draft202012Validator(SCHEMA).validate(config)


def test_every_name_that_becomes_part_of_a_path_is_constrained() -> None:
    wildcards = set()
    for path in (ROOT / "rules").glob("*.smk"):
        wildcards |= set(re.findall(r"\{\{(\w+)\}\}", path.read_text(encoding="utf-8")))
        wildcards |= set(re.findall(r'"(?:resources|logs)/[^"]*\{(\w+)\}', path.read_text(encoding="utf-8")))
    everything = (ROOT / "Snakefile").read_text() + "".join(p.read_text() for p in (ROOT / "rules").glob("*.smk"))
    blocks = re.findall(r"^( *)wildcard_constraints:\n((?:\1 +.*\n)+)", everything, flags=re.MULTILINE)
    constrained = set(re.findall(r"^ +(\w+)=", "".join(block for _, block in blocks), flags=re.MULTILINE))
    assert wildcards <= constrained, wildcards - constrained


def run_common(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> dict[str, Any]:
    """Run common.smk as Snakemake would, in a folder."""
    monkeypatch.chdir(folder)
    for name in ("PYTHONPATH", "NEGSAMP_MIRROR", "NEGSAMP_TRACKING", "PYSTOW_HOME", "PYKEEN_HOME"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    text = (ROOT / "rules/common.smk").read_text(encoding="utf-8")
    schema = str(ROOT / "rules/schemas/config.schema.yaml")
    monkeypatch.setattr("snakemake.utils.validate", lambda config, _: validate(config, schema))
    config = {**copy.deepcopy(CONFIG), **changes}
    namespace: dict[str, Any] = {
        "config": config,
        "workflow": SimpleNamespace(current_basedir=LocalSourceFile(str(ROOT / "rules"))),
        "rules": None,
    }
    exec(compile(text, "common.smk", "exec"), namespace)  # noqa: S102
    return namespace


def test_pykeens_own_cache_lies_under_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSTOW_HOME", "/somewhere/else")
    monkeypatch.setenv("PYKEEN_HOME", "/somewhere/else")
    run_common(tmp_path, monkeypatch)
    assert os.environ["PYSTOW_HOME"] == str(tmp_path / "resources/pykeen")
    assert "PYKEEN_HOME" not in os.environ


def test_a_value_of_a_sweep_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps = [{"property": "cardinality", "values": ["many_to_many", "../../../evil"]}]
    with pytest.raises(WorkflowError, match=r"evil"):
        run_common(tmp_path, monkeypatch, open_questions={"graph_structure": {"sweeps": sweeps}})


def test_metadata_that_is_nested_without_end_does_not_stop_the_workflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(GRAPH, tmp_path / "graph")
    for name in ("entity_classes", "relation_domain_range"):
        (tmp_path / f"graph/metadata/{name}.json").write_text("[" * 100_000)
    found = run_common(tmp_path, monkeypatch, datasets=["mine"], folders={"mine": str(tmp_path / "graph")})
    assert found["DECLARED"] == {"mine": {"classes": False, "domains_and_ranges": False}}
    shutil.rmtree(tmp_path / "graph")
