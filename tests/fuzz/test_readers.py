"""Whatever bytes a reader is given, it takes them for something consistent, or refuses them in one line."""

from __future__ import annotations

import copy
import gzip
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from archives import register
from graphs import Graph, graph_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pykeen.models import model_resolver
from snakemake.exceptions import WorkflowError

from negsamp.advice import read_evidence
from negsamp.choice import choose
from negsamp.datasets import SchemaDataset, archive_dataset, generate, write_folder
from negsamp.errors import InputError
from negsamp.hpo import SearchOptions, Study, write_studies
from negsamp.hpo.optuna_studies import SequentialStudy
from negsamp.io import load_tensors, read_json, read_jsonl, save_tensors
from negsamp.models import load_model, save_model, with_l2
from negsamp.plan import read_config
from negsamp.pools import Queries, load_stage, save_stage
from negsamp.ranks import read_ranks
from negsamp.records import read_kept, read_trials
from negsamp.results import collect
from negsamp.results.questions.answer import read_trainings
from negsamp.results.verdicts import checks_table

ROOT = Path(__file__).parents[2]
SPACE = {
    "margin": [1.0, 2.0],
    "learning_rate": {"low": 1e-3, "high": 1e-1, "log": True},
    "l2_weight": {"low": 1e-6, "high": 1e-2, "log": True},
}
METRICS = dict.fromkeys(collect.METRICS, 0.25)
OUTCOME = {
    "dataset": "tiny",
    "model": "TransE",
    "sampler": "random",
    "negatives": 1,
    "state": "complete",
    "reason": None,
    "parameters": {"margin": 1.0, "learning_rate": 0.01, "l2_weight": 1e-4},
    "random_seed": 1,
    "metrics": METRICS,
    "mrr_interval": [0.2, 0.3],
    "best_epoch": None,
    "evaluations": [[1, 0.5]],
    "slots": {"pool": 90, "masked": 10},
    "inferred": None,
    "ranked_triples": 5,
    "archive": None,
}
TRIALS = [{**OUTCOME, "trial": 0}, {**OUTCOME, "trial": 1, "state": "failed", "reason": "diverged", "metrics": None}]
COSTS = {"training_s": 1.5, "sampling_s": None, "evaluation_s": 0.5, "peak_memory_mb": 1, "versions": {"torch": "2"}}
POOLS = {"queries": 4, "mean": 1.0, "median": 2.0, "share_at_most": dict.fromkeys(collect.SIZES, 0.5)}
STATISTICS = {
    "dataset": "tiny",
    "sampler": "corrupt",
    **POOLS,
    "sides": {"head": POOLS, "tail": POOLS},
    "histogram": {"sizes": [0, 1], "counts": [2, 2]},
    "inferred": None,
}
AUXILIARY = {"dataset": "tiny", "model": "RESCAL", "training": {"training_loop": "als", "epochs": 1}}
TRAINING = {
    **{name: OUTCOME[name] for name in collect.STUDY},
    "seed": 1,
    "inverse_harmonic_mean_rank": 0.5,
    "slots": {"pool": 3},
    "reciprocal_ranks": [0.5, 1.0],
}
CHECKS = [{"dataset": "tiny", "check": "all is well", "verdict": "passes", "evidence": "none"}]
RANKS = "head,relation,tail,head_rank,tail_rank\n0,0,1,1,2.5\n1,0,2,3,1\n"
TABLE = "dataset,sampler,side,mean,share_at_most_0\ntiny,corrupt,both,2.5,0.1\n"


def dumped(content: Any) -> bytes:
    return json.dumps(content).encode()


# Inputs

ODD_NUMBERS = [
    -1,
    0,
    1,
    5,
    127,
    2**31 - 1,
    2**31,
    2**53,
    2**63 - 1,
    2**63,
    -(2**63),
    10**30,
    10**400,
    1e300,
    1e308,
    -0.5,
]
#: what stands for a value in JSON text
ODD_JSON = [
    *map(
        json.dumps,
        [*ODD_NUMBERS, None, True, "", "x", "\ud800", "a\nb", "None", [], {}, [[]], {"x": {}}, ["x", 1], [1.5]],
    ),
    *("NaN", "-Infinity", "1e999", "9" * 5000, "[" * 100_000, '{"a":' * 100_000, '{"a": 1, "a": 2}'),
]
ODD_BYTES = [
    b"",
    b"\0",
    b"\n",
    b"\r",
    b"\t",
    b'"',
    b"{",
    b"]",
    b",",
    b"-",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\x80\x04",
]


@st.composite
def damaged(draw: st.DrawFn, valid: bytes) -> bytes:
    """Cut, flip, splice and insert."""
    content = valid
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        to = min(len(content), at + draw(st.integers(0, 40)))
        match draw(st.sampled_from(["cut", "flip", "splice", "insert", "random", "repeat", "drop"])):
            case "cut":
                content = content[:at]
            case "flip" if at < len(content):
                content = content[:at] + bytes([content[at] ^ draw(st.integers(1, 255))]) + content[at + 1 :]
            case "splice":
                start = draw(st.integers(0, len(valid)))
                content = content[:at] + valid[start:]
            case "insert":
                content = content[:at] + draw(st.sampled_from(ODD_BYTES)) + content[at:]
            case "random":
                content = content[:at] + draw(st.binary(max_size=12)) + content[to:]
            case "repeat":
                content = content[:to] + content[at:]
            case "drop":
                content = content[:at] + content[to:]
    return content


@st.composite
def other_json(draw: st.DrawFn, valid: Any) -> str:
    """Put something odd somewhere, or take something away."""
    marks: dict[str, str] = {}
    content = copy.deepcopy(valid)
    for number in range(draw(st.integers(1, 3))):
        content = _changed(draw, content, marks, f"<{number}>")
    text = json.dumps(content)
    for mark, odd in marks.items():
        text = text.replace(json.dumps(mark), odd)
    return text


def _changed(draw: st.DrawFn, content: Any, marks: dict[str, str], mark: str) -> Any:
    if isinstance(content, dict | list) and content and draw(st.integers(0, 5)):
        keys = list(content) if isinstance(content, dict) else range(len(content))
        key = draw(st.sampled_from(keys))
        match draw(st.integers(0, 7)):
            case 0:
                del content[key]
            case 1 if isinstance(content, dict):
                content[draw(st.sampled_from(["", "x", "head", "__class__"]))] = content[key]
            case 1:
                content.append(content[key])
            case _:
                content[key] = _changed(draw, content[key], marks, mark)
        return content
    marks[mark] = draw(st.sampled_from(ODD_JSON))
    return mark


@st.composite
def other_tensors(draw: st.DrawFn, valid: tuple[dict[str, torch.Tensor], Any]) -> tuple[dict[str, torch.Tensor], str]:
    """Change numbers, types, shapes, or what there is; and maybe the description."""
    tensors = {name: tensor.clone() for name, tensor in valid[0].items()}
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(sorted(tensors))) if tensors else ""
        tensor = tensors.get(name, torch.empty(0))
        flat = tensor.flatten()
        match draw(st.integers(0, 7)):
            case 0:
                tensors.pop(name, None)
            case 1:
                dtypes = [
                    torch.int8,
                    torch.int32,
                    torch.int64,
                    torch.float16,
                    torch.float64,
                    torch.bool,
                    torch.complex64,
                ]
                tensors[name] = tensor.to(draw(st.sampled_from([*dtypes, torch.float8_e4m3fn])))
            case 2:
                shape = draw(st.sampled_from([(-1,), (1, -1), (-1, 1), (-1, 1, 1)]))
                tensors[name] = flat.reshape(shape) if flat.numel() else tensor
            case 3:
                tensors[name] = flat[: draw(st.integers(0, len(flat)))]
            case 4:
                tensors[name] = torch.cat([flat, flat[: draw(st.integers(0, len(flat)))]])
            case 5 if tensors:
                tensors[name] = tensors[draw(st.sampled_from(sorted(tensors)))].clone()
            case _ if flat.numel():
                at = draw(st.integers(0, len(flat) - 1))
                if tensor.dtype.is_floating_point:
                    flat[at] = draw(st.sampled_from([float("nan"), float("inf"), 1e30, -1.0]))
                elif tensor.dtype != torch.bool and not tensor.dtype.is_complex:
                    info = torch.iinfo(tensor.dtype)
                    near = int(flat[at]) + draw(st.integers(-3, 3))
                    value = draw(st.sampled_from([near, near, near, *(n for n in ODD_NUMBERS if isinstance(n, int))]))
                    flat[at] = max(info.min, min(info.max, value))
                tensors[name] = flat.reshape(tensor.shape)
    description = draw(other_json(valid[1])) if draw(st.booleans()) else json.dumps(valid[1])
    return tensors, description


def stored(path: Path, content: tuple[dict[str, torch.Tensor], str]) -> None:
    """Write tensors with a description that may be no JSON."""
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in content[0].items()}, path, {"negsamp": content[1]})


# Readers


@dataclass(frozen=True)
class Reader:
    """A reader, valid files for it, and what it makes of one."""

    name: str
    #: name in the folder of the reader → content
    files: dict[str, bytes]
    #: reads the folder; what it has read is used, so that what is inconsistent shows
    read: Callable[[Path], object]


@pytest.fixture(scope="module")
def graph() -> Graph:
    rows = [(h, r, (h * 3 + r + k) % 9) for h in range(9) for r in range(3) for k in range(2)]
    return graph_of(set(rows), num_entities=9, num_relations=3)


DATASET = generate(num_entities=12, num_relations=3, num_triples=40, depth=2, seed=1)


def contents_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def use_dataset(dataset: SchemaDataset) -> None:
    for split in (dataset.training, dataset.validation, dataset.testing):
        assert not len(split.mapped_triples) or int(split.mapped_triples.max()) < dataset.num_entities
    if dataset.schema is not None:
        dataset.schema.members()
        dataset.schema.ancestors()
        dataset.schema.relation_classes()
    if dataset.negatives is not None:
        dataset.negatives.triples.sum()


def read_archive(folder: Path) -> None:
    path = folder / "TINY.zip"
    use_dataset(archive_dataset(register(path, classes=True, domains_and_ranges=True), path))


def use_pools(graph: Graph, filtered: bool, folder: Path) -> None:
    stage = load_stage(folder / "pools.safetensors", graph.triples, name="pool", filtered=filtered)
    known = Queries.of_triples(graph.triples, graph.triples.triples)
    unseen = Queries.of_triples(graph.triples, torch.tensor([[8, 2, 8], [0, 0, 0]]))
    for queries in (known, unseen):
        entities, _ = stage.drawable(queries)
        assert not len(entities) or (int(entities.min()) >= 0 and int(entities.max()) < graph.num_entities)


def use_model(folder: Path) -> None:
    model, _ = load_model(folder / "model.safetensors")
    if model.num_entities and model.num_real_relations:
        model.predict_hrt(torch.zeros(2, 3, dtype=torch.long))


def use_trials(folder: Path) -> None:
    path = folder / "trials-0.jsonl"
    trials = read_trials(path)
    if trials:
        choose(trials)
    write_studies(folder / "studies.journal", trials, SPACE)
    (folder / "studies.journal").unlink(missing_ok=True)
    collect.read_chosen([path])


def use_journal(folder: Path) -> None:
    study = SequentialStudy(folder / "search.journal", Study("tiny", "TransE", "random", 1), SearchOptions(SPACE))
    study.ask(0)


def use_config(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        try:
            read_config(folder / "config.yaml")
        except WorkflowError:
            # refused by the schema, as Snakemake refuses it
            raise InputError("the schema") from None


STUDY = "tiny/TransE/random/1"


def records(read: Callable[..., Any], name: str, content: Any) -> Reader:
    def use(folder: Path) -> None:
        frame = read([folder / name])
        if "seed" in frame:
            collect.average_seeds(frame)

    return Reader(f"records:{read.__name__}", {name: dumped(content)}, use)


def dataset_readers(folder: Path) -> list[Reader]:
    write_folder(DATASET, folder / "TINY")

    files = contents_of(folder / "TINY")
    entities, relations = list(DATASET.entity_to_id), list(DATASET.relation_to_id)
    given_rows = f"{entities[0]}\t{relations[0]}\t{entities[1]}\ttail\n".encode()
    archive = folder / "TINY.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(f"TINY/{name}", content)
    DATASET.save(folder / "stored")
    return [
        Reader(
            "folder",
            {**files, "negatives.tsv": given_rows},
            lambda folder: use_dataset(SchemaDataset.from_folder(folder, "tiny", source="test")),
        ),
        Reader("archive", {"TINY.zip": archive.read_bytes()}, read_archive),
        Reader("dataset", contents_of(folder / "stored"), lambda folder: use_dataset(SchemaDataset.load(folder))),
    ]


def pool_readers(graph: Graph, folder: Path) -> list[Reader]:
    readers = []
    for name in ("random", "corrupt", "relational", "typedbyclass", "adversarial", "given"):
        for filtered in (True, False):
            path = folder / "pools.safetensors"
            save_stage(path, graph.sampler(name, filtered=filtered).stages[0], graph.triples, filtered=filtered)
            use = partial(use_pools, graph, filtered)
            readers.append(Reader("pools", {path.name: path.read_bytes()}, use))
    return readers


def model_readers(graph: Graph, folder: Path) -> list[Reader]:
    readers = []
    for name in ("TransE", "RESCAL", "QuatE"):
        settings = {"model": name, "model_kwargs": {"embedding_dim": 2}, "l2_weight": 0.1}
        model = model_resolver.make(name, with_l2(name, {"embedding_dim": 2}, 0.1), triples_factory=graph.factory)
        save_model(folder / "model.safetensors", model, settings)
        readers.append(Reader("model", {"model.safetensors": (folder / "model.safetensors").read_bytes()}, use_model))
    return readers


def other_readers(folder: Path) -> list[Reader]:
    save_tensors(folder / "x.safetensors", {"a": torch.arange(6).view(2, 3), "b": torch.zeros(2)}, {"one": [1, "x"]})
    search = SequentialStudy(folder / "search.journal", Study("tiny", "TransE", "random", 1), SearchOptions(SPACE))
    search.ask(0)
    search.tell(0, {**OUTCOME, "evaluations": [[1, 0.5]]})
    search.ask(1)
    evidence = (ROOT / "negsamp/advice/real.csv").read_bytes().split(b"\n")
    plain = (ROOT / "config.yaml").read_bytes()
    return [
        Reader(
            "tensors",
            {"x.safetensors": (folder / "x.safetensors").read_bytes()},
            lambda f: load_tensors(f / "x.safetensors"),
        ),
        Reader("json", {"x.json": dumped(STATISTICS)}, lambda f: read_json(f / "x.json")),
        Reader("jsonl", {"x.jsonl": b"\n".join(map(dumped, TRIALS))}, lambda f: read_jsonl(f / "x.jsonl")),
        Reader("trials", {"trials-0.jsonl": b"\n".join(map(dumped, TRIALS)) + b"\n"}, use_trials),
        Reader(
            "kept",
            {"part.json": dumped([OUTCOME, {"elapsed_s": 1.0}, {"head": [1.0, 2.5], "tail": [1, 2]}])},
            lambda f: read_kept(f / "part.json"),
        ),
        Reader("journal", {"search.journal": (folder / "search.journal").read_bytes()}, use_journal),
        Reader(
            "trainings",
            {"x.jsonl": dumped(TRAINING)},
            lambda f: read_trainings([f / "x.jsonl"], ["slots", "reciprocal_ranks"]),
        ),
        Reader("checks", {"x.json": dumped(CHECKS)}, lambda f: checks_table([f / "x.json"])),
        Reader("ranks", {"x.csv.gz": gzip.compress(RANKS.encode(), mtime=0)}, lambda f: read_ranks(f / "x.csv.gz")),
        Reader("tables", {"x.csv": TABLE.encode()}, lambda f: collect.read_pools([f / "x.csv"])),
        Reader("evidence", {"x.csv": b"\n".join(evidence[:5]) + b"\n"}, lambda f: read_evidence(f / "x.csv")),
        Reader("config", {"config.yaml": plain}, use_config),
    ]


def record_readers() -> list[Reader]:
    timing = f"{STUDY}/seed-0.timing.json"
    return [
        records(collect.read_reports, "report.json", DATASET.report),
        records(collect.read_statistics, "x.statistics.json", STATISTICS),
        records(collect.read_histograms, "x.statistics.json", STATISTICS),
        records(collect.read_finals, "seed-1.json", {**OUTCOME, "seed": 1}),
        records(collect.read_timings, timing, COSTS),
        records(collect.read_timings, f"{STUDY}/trials-0.timing.json", {"trials": [{**COSTS, "trial": 0}]}),
        records(collect.read_structures, "structure.json", {"dataset": "tiny", "entities": 5, "untyped": None}),
        records(collect.read_auxiliaries, "record.json", {**AUXILIARY, "validation": METRICS}),
    ]


@pytest.fixture(scope="module")
def readers(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Reader]]:
    """All readers, by name; those of one name share its inputs."""
    folder = tmp_path_factory.mktemp("valid")
    found: dict[str, list[Reader]] = {}
    for reader in [
        *dataset_readers(folder),
        *pool_readers(graph, folder),
        *model_readers(graph, folder),
        *other_readers(folder),
        *record_readers(),
    ]:
        found.setdefault(reader.name.partition(":")[0], []).append(reader)
    return found


NAMES = [
    *("folder", "archive", "dataset", "pools", "model", "tensors", "json", "jsonl", "trials", "kept", "journal"),
    *("trainings", "checks", "ranks", "tables", "evidence", "config", "records"),
]


def lay(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@st.composite
def inputs(draw: st.DrawFn, readers: list[Reader], scratch: Path) -> tuple[Reader, str, bytes]:
    """Choose a reader, one of its files, and other bytes for it."""
    reader = draw(st.sampled_from(readers))
    name = draw(st.sampled_from(sorted(reader.files)))
    valid = reader.files[name]
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return reader, name, draw(st.binary(max_size=200))
    if kind > 3 and name.endswith(".safetensors"):
        path = scratch / "valid.safetensors"
        path.write_bytes(valid)
        stored(path, draw(other_tensors(load_tensors(path))))
        return reader, name, path.read_bytes()
    if kind > 3 and name.endswith(".json"):
        return reader, name, draw(other_json(json.loads(valid))).encode("utf-8", "surrogatepass")
    if kind > 3 and name.endswith((".jsonl", ".journal")):
        lines = [line for line in valid.decode().split("\n") if line]
        at = draw(st.integers(0, len(lines) - 1))
        lines[at] = draw(other_json(json.loads(lines[at])))
        return reader, name, ("\n".join(lines) + "\n").encode()
    if kind > 3 and name.endswith(".gz"):
        return reader, name, gzip.compress(draw(damaged(gzip.decompress(valid))), mtime=0)
    if kind > 3 and name.endswith((".csv", ".yaml", ".txt")):
        odd = draw(st.sampled_from([text for text in ODD_JSON if len(text) < 6000])).encode()
        at = draw(st.integers(0, len(valid)))
        return reader, name, valid[:at] + odd + valid[at + draw(st.integers(0, 6)) :]
    return reader, name, draw(damaged(valid))


@pytest.mark.parametrize("name", NAMES)
def test_valid_files_are_taken(name: str, readers: dict[str, list[Reader]], tmp_path: Path) -> None:
    for number, reader in enumerate(readers[name]):
        folder = tmp_path / str(number)
        lay(folder, reader.files)
        reader.read(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_any_bytes_are_taken_or_refused_in_one_line(
    name: str,
    readers: dict[str, list[Reader]],
    tally: Counter[tuple[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folders = {reader.name + str(i): tmp_path_factory.mktemp("files") for i, reader in enumerate(readers[name])}
    places = dict(zip(map(id, readers[name]), folders.values(), strict=True))
    for reader in readers[name]:
        lay(places[id(reader)], reader.files)
        # what is compiled at the first use is no slow input
        reader.read(places[id(reader)])
        lay(places[id(reader)], reader.files)

    @settings(
        max_examples=max(200, settings.default.max_examples),
        deadline=timedelta(seconds=20),
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(readers[name], tmp_path_factory.mktemp("scratch")))
    def fuzz(given_input: tuple[Reader, str, bytes]) -> None:
        reader, file, content = given_input
        folder = places[id(reader)]
        (folder / file).write_bytes(content)
        try:
            with np.errstate(all="ignore"):
                reader.read(folder)
        except InputError as error:
            refused: str | None = str(error)
        else:
            refused = None
        finally:
            (folder / file).write_bytes(reader.files[file])
        tally[name, "taken" if refused is None else "refused"] += 1
        assert "\n" not in (refused or "")

    fuzz()


def test_every_reader_refuses_a_file_that_is_cut_in_half(readers: dict[str, list[Reader]], tmp_path: Path) -> None:
    whole_lines = {"folder", "tables", "evidence", "config", "journal"}
    for name in set(NAMES) - whole_lines:
        for number, reader in enumerate(readers[name]):
            for file, content in reader.files.items():
                folder = tmp_path / name / str(number)
                lay(folder, {**reader.files, file: content[: len(content) // 2]})
                with pytest.raises(InputError, match=file.rpartition("/")[2]) as caught:
                    reader.read(folder)
                assert "; " in str(caught.value), "no remedy"
                lay(folder, reader.files)
                reader.read(folder)
