"""The command line: what it prints, for people and for machines, and how bad input ends."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from graphs import NUM_NEIGHBORS, graph_named

from negsamp import SAMPLERS
from negsamp.cli import main
from negsamp.datasets import SchemaDataset, load_dataset, read_registry, write_folder
from negsamp.descriptors import DESCRIPTORS, describe_structure
from negsamp.triples import TripleSet

#: the samplers that need nothing, and those that need a schema
PLAIN, TYPED = ["random", "corrupt", "relational"], ["typed", "typedbyclass"]
KEYS = {"queries", "mean", "median", "share_at_most"}
Run = Callable[..., Result]


def names(rows: Iterable[dict[str, object]]) -> list[object]:
    return [row["sampler"] for row in rows]


# datasets


def test_known_data_sets(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "WN18.zip").touch()
    rows = {row["dataset"]: row for row in json.loads(run("datasets", "--json", "--mirror", "mirror").stdout)}
    assert list(rows) == list(read_registry())
    assert {frozenset(row) for row in rows.values()} == {
        frozenset({"dataset", "present", "classes", "domains_and_ranges", "url", "source"})
    }
    present = {name: row["present"] for name, row in rows.items()}
    assert (present["nations"], present["wn18"]) == ("built in", "mirror")
    for name, entry in read_registry().items():
        absent = "built in" if entry.archive is None else "to download" if entry.url else "mirror only"
        assert present[name] == ("mirror" if name == "wn18" else absent)
        assert (rows[name]["classes"], rows[name]["domains_and_ranges"]) == (entry.classes, entry.domains_and_ranges)


def test_the_table_of_data_sets(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run("datasets").stdout.splitlines()
    assert lines[0].split() == ["data", "set", "at", "hand", "classes", "domains", "source"]
    (row,) = [line for line in lines if line.startswith("nations ")]
    assert row.split("  ")[0] == "nations"
    assert "built in" in row
    assert row.split()[3:5] == ["no", "no"]
    (row,) = [line for line in lines if line.startswith("wn18 ")]
    assert "to download" in row
    # the environment names a mirror, too
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "WN18.zip").touch()
    monkeypatch.setenv("NEGSAMP_MIRROR", "mirror")
    (row,) = [line for line in run("datasets").stdout.splitlines() if line.startswith("wn18 ")]
    assert row.split()[1] == "mirror"


# describe


def test_graphs_are_described_side_by_side(run: Run, mygraph: SchemaDataset) -> None:
    found = json.loads(run("describe", "nations", "./mygraph", "--json").stdout)
    training = mygraph.training
    triples = TripleSet(training.mapped_triples, training.num_entities, training.num_relations)
    assert list(found) == ["nations", "mygraph"]
    assert found["mygraph"] == describe_structure(triples, mygraph.schema)
    lines = run("describe", "nations", "./mygraph").stdout.splitlines()
    assert lines[0].split() == ["descriptor", "nations", "mygraph", "meaning"]
    assert [line.split()[0] for line in lines[2:]] == list(DESCRIPTORS)
    # counts are whole, shares have three digits, and what cannot be counted is a dash
    rows = {line.split()[0]: line.split()[1:3] for line in lines[2:]}
    assert rows["triples"] == ["1,592", f"{len(triples.triples):,}"]
    assert rows["untyped"] == ["–", "0.000"]


# advise


def test_advice_on_a_graph_of_ones_own(run: Run, mygraph: SchemaDataset) -> None:
    found = json.loads(run("advise", "./mygraph", "--json").stdout)
    assert found["dataset"] == "mygraph"
    assert [one["sampler"] for one in found["samplers"]] == [name for name in SAMPLERS if name != "random"]
    typed = next(one for one in found["samplers"] if one["sampler"] == "typed")
    assert typed["forecasts"].keys() == {"TransE", "DistMult"}
    text = run("advise", "./mygraph").stdout
    assert text.startswith("mygraph: entities 40")
    assert f"typed: {typed['verdict']}." in text


def test_advice_on_a_graph_without_a_schema(run: Run, mygraph: SchemaDataset) -> None:
    verdicts = {
        one["sampler"]: one["verdict"] for one in json.loads(run("advise", "./bare", "--json").stdout)["samplers"]
    }
    assert {name for name, verdict in verdicts.items() if verdict == "not applicable"} == {"given", *TYPED}


def test_advice_from_evidence_of_ones_own(run: Run, mygraph: SchemaDataset, evidence: Path) -> None:
    found = json.loads(run("advise", "./mygraph", "--evidence", str(evidence), "--json").stdout)
    gains = [forecast["structural"]["gain"] for one in found["samplers"] for forecast in one["forecasts"].values()]
    assert gains == pytest.approx([1.0] * len(gains))


def test_evidence_that_is_not_there(mygraph: SchemaDataset) -> None:
    result = CliRunner().invoke(main, ["advise", "./mygraph", "--evidence", "nowhere.csv"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: nowhere.csv: cannot be read as evidence")
    assert result.output.count("\n") == 1


# pools


def test_pools_for_machines(run: Run) -> None:
    rows = json.loads(run("pools", "nations", "--json").stdout)
    assert names(rows) == PLAIN
    graph = graph_named("nations")
    for row in rows:
        assert row.keys() == {"dataset", "sampler", "inferred", *KEYS, "sides"}
        assert row["sides"].keys() == {"head", "tail"}
        for summary in (row, *row["sides"].values()):
            assert summary.keys() >= KEYS
            assert list(summary["share_at_most"]) == ["0", "2", "10", "40", "100"]
        assert all(side.keys() == KEYS for side in row["sides"].values())
        expected = graph.oracle.statistics(row["sampler"])
        assert json.dumps(row, sort_keys=True) == json.dumps(
            {
                "dataset": "nations",
                "sampler": row["sampler"],
                "inferred": None,
                **json.loads(json.dumps(expected)),
            },
            sort_keys=True,
        )


def test_pools_for_people(run: Run) -> None:
    result = run("pools", "nations", "--sampler", "corrupt")
    heading, columns, rule, row = result.stdout.splitlines()
    assert heading.startswith("nations: ")
    assert columns.split() == [
        *("sampler", "queries", "mean", "median"),
        *(word for size in (0, 2, 10, 40, 100) for word in ("≤", str(size))),
    ]
    expected = graph_named("nations").oracle.statistics("corrupt")
    shares = [f"{share:.1%}" for share in expected["share_at_most"].values()]
    assert row.split() == [
        *("corrupt", f"{expected['queries']:,}", f"{expected['mean']:,.1f}", f"{expected['median']:,.1f}"),
        *shares,
    ]
    assert len(rule) == len(columns)


@pytest.mark.parametrize("command", ["pools", "describe"])
def test_what_is_odd_in_a_graph_is_told_to_people(run: Run, tmp_path: Path, command: str) -> None:
    folder = tmp_path / "odd"
    write_folder(load_dataset("nations"), folder)
    (folder / "entity_classes.json").write_text("{}")
    assert "odd: ignored, not part of the format: entity_classes.json" in run(command, f"{folder}").stderr
    assert run(command, f"{folder}", "--json").stderr.count("ignored") == 0


def test_samplers_are_those_asked_for_in_their_order(run: Run) -> None:
    result = run("pools", "nations", "--sampler", "relational", "--sampler", "random", "--json")
    assert names(json.loads(result.stdout)) == ["relational", "random"]
    assert result.stderr == ""


def test_what_a_data_set_cannot_serve_is_told_beside_the_result(run: Run) -> None:
    result = run("pools", "nations", "--json")
    assert result.stderr.splitlines() == [
        "typed is not applicable: nations has no domains and ranges",
        "typedbyclass is not applicable: nations has no classes",
    ]
    assert names(json.loads(result.stdout)) == PLAIN


def test_a_synthetic_graph_has_classes(run: Run) -> None:
    result = run("pools", "Synthetic", "--json")
    rows = json.loads(result.stdout)
    assert names(rows) == [name for name in SAMPLERS if name in PLAIN + TYPED]
    assert {row["dataset"] for row in rows} == {"synthetic"}
    assert result.stderr == ""


def test_folders_with_and_without_metadata(run: Run, mygraph: SchemaDataset) -> None:
    rows = json.loads(run("pools", "./mygraph", "--json").stdout)
    assert names(rows) == [name for name in SAMPLERS if name in PLAIN + TYPED]
    assert {row["dataset"] for row in rows} == {"mygraph"}
    bare = json.loads(run("pools", "./bare", "--json").stdout)
    assert names(bare) == PLAIN
    # the metadata change nothing else
    assert [{**row, "dataset": "mygraph"} for row in bare] == [row for row in rows if row["sampler"] in PLAIN]


@pytest.mark.parametrize("k", [1, NUM_NEIGHBORS])
def test_an_auxiliary_model_and_k(run: Run, auxiliary: str, k: int) -> None:
    result = run("pools", "nations", "--auxiliary", auxiliary, "-k", str(k), "--json")
    rows = {row["sampler"]: row for row in json.loads(result.stdout)}
    assert list(rows) == [*PLAIN, "nearestneighbor", "adversarial"]
    graph = graph_named("nations")
    for name in ("nearestneighbor", "adversarial"):
        expected = graph.oracle.statistics(name, **{**graph.oracle_options(name), "k": k})
        assert {key: rows[name][key] for key in KEYS} == {key: json.loads(json.dumps(expected))[key] for key in KEYS}
        assert 0 < rows[name]["mean"] <= k
    # the default is larger than the graph
    assert json.loads(run("pools", "nations", "--auxiliary", auxiliary, "--json").stdout)[-1]["mean"] > NUM_NEIGHBORS


@pytest.mark.mirror
def test_wn18_from_the_mirror(run: Run, mirror: Path) -> None:
    (row,) = json.loads(run("pools", "WN18", "--sampler", "corrupt", "--json", "--mirror", str(mirror)).stdout)
    assert row["dataset"] == "wn18"
    assert row["queries"] == 171254
    assert row["sides"]["head"]["queries"] + row["sides"]["tail"]["queries"] == 171254


# bench


def test_measured_side_by_side(run: Run) -> None:
    arguments = ["--measure", "throughput", "--measure", "epoch", "--sampler", "corrupt", "--repeats", "1"]
    result = run("bench", "nations", "--negatives", "1", "2", "4", *arguments)
    assert "4 negatives a positive" in result.stdout
    assert [line.split()[0] for line in result.stdout.splitlines() if line.startswith(("basic", "corrupt"))] == [
        "basic",
        "corrupt",
    ] * 4
    assert result.stderr.endswith("written to negsamp-bench\n")
    written = {path.name for path in Path("negsamp-bench").iterdir()}
    assert written == {
        f"{part}.{suffix}" for part in ("throughput", "epoch") for suffix in ("json", "csv", "md", "png")
    }


@pytest.mark.parametrize("arguments", [["--negatives", "1", "3", "--json"], ["--json", "--negatives", "1", "3"]])
def test_numbers_in_a_row_and_json(run: Run, arguments: list[str]) -> None:
    options = ["--measure", "throughput", "--sampler", "random", "--batch-size", "50", "--repeats", "1"]
    content = json.loads(run("bench", *options, *arguments, "nations").stdout)
    assert {(row["contender"], row["negatives"]) for row in content["throughput"]["summary"]} == {
        (name, number) for name in ("basic", "random") for number in (1, 3)
    }
    assert content["throughput"]["about"]["dataset"]["name"] == "nations"
    assert content["throughput"]["about"]["options"]["negatives"] == [1, 3]


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nations", "--sampler", "corupt"], "unknown sampler 'corupt': known are random, corrupt, "),
        (["nations", "--sampler", "basic"], "unknown sampler 'basic'"),
        (["natons"], "unknown data set 'natons': did you mean 'nations'? "),
        (["./absent"], "absent: no such folder; give a folder that holds train.txt"),
        (["nations", "--sampler", "typed"], "typed is not applicable: the data set has no domains and ranges"),
        (["nations", "--sampler", "corrupt", "--sampler", "typedbyclass"], "typedbyclass is not applicable: "),
        (["./bare", "--sampler", "typed"], "typed is not applicable: "),
        (["nations", "--sampler", "adversarial"], "adversarial "),
        (["nations", "--sampler", "nearestneighbor"], "nearestneighbor "),
        (["nations", "--auxiliary", "absent.safetensors"], "absent.safetensors: cannot be read as safetensors"),
        (["synthetic", "--auxiliary", "auxiliary.safetensors"], "auxiliary.safetensors: trained on other triples"),
        (["wn18", "--mirror", "absent"], "absent: no such mirror folder; "),
        (["./broken"], "broken/train.txt line 2: 2 columns, expected 3 separated by tabs; correct the line"),
    ],
)
def test_bad_input_ends_in_one_line(
    arguments: list[str], message: str, mygraph: SchemaDataset, auxiliary: str, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tmp_path / "bare", broken)
    (broken / "train.txt").write_text((broken / "train.txt").read_text().replace("\n", "\none\ttwo\n", 1))
    result = CliRunner().invoke(main, ["pools", *arguments])
    # an error of another kind would be the exception itself
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 1
    assert result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if "is not applicable: nations has no" not in line]
    assert len(errors) == 1
    assert errors[0].startswith(f"Error: {message}")


def test_claims_are_tested_on_tables(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    result = CliRunner().invoke(main, ["claims", str(folder)])
    assert result.exit_code == 2
    folder.mkdir()
    result = CliRunner().invoke(main, ["claims", str(folder)])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {folder}/datasets.csv: cannot be read (No such file or directory); run")
    assert result.stderr.count("\n") == 1
    (folder / "link_prediction").mkdir()
    study = "dataset,model,sampler,negatives"
    compared = "difference,difference_low,difference_high,p_value,p_holm,verdict"
    columns = {
        "datasets": "dataset",
        "pools": "dataset,sampler,side,mean,share_at_most_0",
        "auxiliary": "dataset,inverse_harmonic_mean_rank",
        "link_prediction/a": f"{study},{compared},fallback_share,seeds,seeds_failed,trials,trials_failed",
    }
    for name, header in columns.items():
        (folder / f"{name}.csv").write_text(f"{header}\n" + ("a\n" if name == "datasets" else ""))
    with (folder / "pools.csv").open("a") as file:
        file.write("a,random,both,100,0\na,corrupt,both,10,0\n")
    result = CliRunner().invoke(main, ["claims", str(folder), "--output", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    assert [row["answer"] for row in json.loads(result.stdout)] == ["holds", *["not decided by these data"] * 4]
    assert "| holds " in (tmp_path / "claims.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nations", "--sampler", "corupt"], "unknown contender 'corupt': known are basic, basic+bloom, "),
        (["nations", "--sampler", "typed"], "typed is not applicable: the data set has no domains and ranges"),
        (["natons"], "unknown data set 'natons': did you mean 'nations'? "),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["bench", *arguments])
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {message}")
    assert result.stderr.count("\n") == 1


def test_a_mirror_that_is_not_there_is_named_for_the_list(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["datasets", "--mirror", "absent"])
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: absent: no such mirror folder")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pools"], "Missing argument 'DATASET'"),
        (["pools", "nations", "-k", "0"], "0 is not in the range x>=1"),
        (["pool", "nations"], "No such command 'pool'"),
        (["pools", "nations", "--samplers", "corrupt"], "No such option"),
    ],
)
def test_a_wrong_call_is_told(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize("command", ["", *main.commands])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(run: Run, command: str, flag: str) -> None:
    output = run(*command.split(), flag).stdout
    assert output.startswith("Usage: ")
    if command:
        assert f"Example: negsamp {command} " in " ".join(output.split())
        assert "--json" in output


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("negsamp de", ["describe"]),
        ("negsamp pools wn", ["wn18"]),
        ("negsamp describe nations code", ["codex-s"]),
        ("negsamp sample nations --sampler typ", ["typed", "typedbyclass"]),
        ("negsamp train nations --model Trans", ["transe", "transh", "transr", "transd"]),
    ],
)
def test_shells_complete(monkeypatch: pytest.MonkeyPatch, words: str, completed: list[str]) -> None:
    """As bash asks for it; click writes the script that does."""
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    result = CliRunner().invoke(main, prog_name="negsamp", env={"_NEGSAMP_COMPLETE": "bash_complete"})
    assert [line.split(",")[1] for line in result.output.splitlines()] == completed


def test_version(run: Run) -> None:
    assert run("--version").stdout.split()[-1].count(".") == 2


# sample


def examples(run: Run, *arguments: str) -> list[dict[str, object]]:
    return json.loads(run("sample", *arguments, "--json").stdout)


@pytest.mark.parametrize("sampler", [*PLAIN, *TYPED, "nearestneighbor", "adversarial"])
def test_negatives_are_shown_by_name(run: Run, mygraph: SchemaDataset, sampler: str) -> None:
    training = mygraph.training
    known = {tuple(triple) for triple in training.triples.tolist()}
    found = examples(run, "./mygraph", "--sampler", sampler, "-n", "7", "--triples", "4", "--fallback", "random")
    assert len(found) == 4
    for example in found:
        head, relation, tail = example["positive"]
        assert (head, relation, tail) in known
        assert len(example["negatives"]) == 7
        assert {negative["side"] for negative in example["negatives"]} == {"head", "tail"}
        for negative in example["negatives"]:
            replaced = {"head": (negative["entity"], relation, tail), "tail": (head, relation, negative["entity"])}
            assert replaced[negative["side"]] not in known
            assert negative["stage"] in ("pool", "everything")


def test_the_stage_is_that_of_the_pool_that_holds_the_entity(run: Run, mygraph: SchemaDataset) -> None:
    triples = mygraph.training.triples.tolist()
    found = examples(
        run, "./mygraph", "--sampler", "relational", "--fallback", "corrupt", "--triples", "200", "-n", "9"
    )
    stages = Counter()
    for example in found:
        head, relation, tail = example["positive"]
        for negative in example["negatives"]:
            stages[negative["stage"]] += 1
            entity = negative["entity"]
            of_other_relation = (
                {t for h, r, t in triples if h == head and r != relation}
                if negative["side"] == "tail"
                else {h for h, r, t in triples if t == tail and r != relation}
            )
            of_same_relation = {(t if negative["side"] == "tail" else h) for h, r, t in triples if r == relation}
            match negative["stage"]:
                case "pool":
                    assert entity in of_other_relation
                case "corrupt":
                    assert entity in of_same_relation
                case stage:
                    assert (stage, entity) == ("masked", None)
    assert min(stages["pool"], stages["corrupt"]) > 20


def test_triples_are_chosen_by_their_parts_and_the_seed(run: Run) -> None:
    found = examples(run, "nations", "--head", "usa", "--relation", "embassy", "--triples", "100")
    assert {tuple(example["positive"][:2]) for example in found} == {("usa", "embassy")}
    assert len({example["positive"][2] for example in found}) == len(found) > 5
    (one,) = examples(run, "nations", "--tail", found[0]["positive"][2], "--triples", "1")
    assert one["positive"][2] == found[0]["positive"][2]
    assert (
        examples(run, "nations") == examples(run, "nations", "--seed", "0") != examples(run, "nations", "--seed", "1")
    )


def test_negatives_are_laid_out_under_their_triple(run: Run) -> None:
    output = run("sample", "nations", "--sampler", "corrupt", "-n", "2", "--triples", "2").stdout
    (first, _), rows = (
        examples(run, "nations", "--sampler", "corrupt", "-n", "2", "--triples", "2"),
        output.splitlines(),
    )
    assert rows[0].split() == ["head", "relation", "tail", "stage"]
    assert rows[2].split() == ["triple", "1", *first["positive"]]
    for row, negative in zip(rows[3:5], first["negatives"], strict=True):
        assert negative["entity"] in row
        assert row.endswith("pool")
    assert rows[6].startswith("triple 2")
    assert len(rows) == 9


def test_a_slot_that_nothing_is_left_for_is_shown_as_masked(run: Run, tmp_path: Path) -> None:
    # both tails are known positives: relational has no other relation to take entities from
    (tmp_path / "line").mkdir()
    (tmp_path / "line" / "train.txt").write_text("ann\tlikes\tbob\nbob\tlikes\tcat\n")
    for name in ("valid", "test"):
        (tmp_path / "line" / f"{name}.txt").write_text("ann\tlikes\tcat\n")
    found = examples(run, "./line", "--sampler", "relational", "-n", "3", "--triples", "1")
    assert found[0]["negatives"][-1] == {"side": None, "entity": None, "stage": "masked"}
    assert "–" in run("sample", "./line", "--sampler", "relational", "-n", "3").stdout


def test_a_model_is_trained_for_near_misses_where_none_is_given(run: Run, auxiliary: str) -> None:
    given = run("sample", "nations", "--sampler", "adversarial", "--auxiliary", auxiliary)
    assert given.stderr == ""
    made = run("sample", "nations", "--sampler", "adversarial")
    assert made.stderr == "no --auxiliary: DistMult was trained for 5 epochs in its place\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--relation", "embasy"], "unknown relation 'embasy': did you mean 'embassy', "),
        (["--head", "mars"], "unknown head 'mars': none of 14 names is like it"),
        (["--head", "usa", "--tail", "usa"], "no training triple has head 'usa', tail 'usa'"),
        (["--sampler", "typed"], "typed is not applicable: the data set has no domains and ranges"),
        (["--sampler", "adaptiveadversarial"], "adaptiveadversarial has no pools before a training"),
        (["--fallback", "everyone"], "no pool is called 'everyone'; a fallback may name everything, "),
        (
            ["--fallback", "random", "--fallback", "random"],
            "fallback is ['random', 'random']; each pool can be named once",
        ),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_line(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["sample", "nations", *arguments])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {message}")
    assert result.stderr.count("\n") == 1
