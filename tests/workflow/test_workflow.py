"""The real Snakefile, run on small graphs in a copy of the repository."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from browser import Opened, open_page
from repository import SMALL, copy_repository, planned, snakemake

from negsamp.advice import predictors_of
from negsamp.datasets import generate, write_folder

pytestmark = pytest.mark.workflow

SWEEPS = "open_questions: {{graph_structure: {{sweeps: [{}]}}}}"
KINDS = "open_questions: {{auxiliary_quality: {{auxiliaries: [{}]}}}}"
STUDY = "nations/TransE/random/3"
#: a workflow that goes on where ours ends
MODULE = """\
configfile: "config.yaml"

module negsamp:
    snakefile: "../Snakefile"
    config: config["negsamp"]

use rule * from negsamp as negsamp_*

rule best:
    default_target: True
    input: "results/small/tables/claims.csv"
    output: "best.csv"
    shell: "cp {input} {output}"
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which the small config has run."""
    folder = tmp_path_factory.mktemp("repository")
    copy_repository(folder)
    (folder / "small.yaml").write_text(SMALL)
    result = snakemake(folder, "--configfile", "small.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture
def small(finished: Path) -> Path:
    """The finished copy, with nothing left to do; what an earlier test has taken away is made again."""
    if planned(finished, "--configfile", "small.yaml"):
        result = snakemake(finished, "--configfile", "small.yaml")
        assert result.returncode == 0, result.stdout + result.stderr
        assert planned(finished, "--configfile", "small.yaml") == {}
    return finished


def test_every_table_and_figure_is_there(small: Path) -> None:
    results = small / "results/small"
    for table in (
        "datasets",
        "structure",
        "pools",
        "parameters",
        "slots",
        "cost",
        "claims",
        "published",
        "auxiliary",
        "link_prediction/nations",
    ):
        for suffix in (".csv", ".tex", ".md"):
            assert (results / "tables" / f"{table}{suffix}").stat().st_size > 0
    for figure in ("negatives/synthetic", "pool_sizes/nations"):
        assert (results / f"figures/{figure}.png").read_bytes().startswith(b"\x89PNG")
        assert (results / f"figures/{figure}.pdf").read_bytes().startswith(b"%PDF")


def test_the_page_opens_in_a_browser(small: Path, tmp_path: Path) -> None:
    opened = open_page(small / "results/small/index.html", tmp_path)
    assert errors_of(opened) == []
    # each table and each panel: two data sets with one model and the sizes of their pools
    assert opened.html.count("slick-viewport") >= 11
    assert "Which negatives train the best models?" in opened.html


def test_the_report_opens_in_a_browser(small: Path, tmp_path: Path) -> None:
    result = snakemake(small, "--configfile", "small.yaml", "--report", "report.html")
    assert result.returncode == 0, result.stderr
    html = (small / "report.html").read_text()
    for chapter in ("Which negatives train the best models?", "What do samplers draw from?", "What does it cost?"):
        assert chapter in html
    opened = open_page(small / "report.html", tmp_path)
    assert errors_of(opened) == []
    assert "Which negatives train the best models?" in opened.html


def errors_of(opened: Opened) -> list[str]:
    return [line for line in opened.console if "rror" in line]


def test_a_run_ends_with_a_line_that_says_where_results_are(small: Path) -> None:
    (small / "results/small/index.html").unlink()
    result = snakemake(small, "--configfile", "small.yaml")
    line = "Tables: results/small/tables. Figures: results/small/figures. Both on one page: results/small/index.html"
    assert line in result.stderr.splitlines()
    assert '<a href="small/index.html">small</a>' in (small / "results/index.html").read_text()


def test_it_is_a_module_of_another_workflow(tmp_path: Path) -> None:
    copy_repository(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/Snakefile").write_text(MODULE)
    (tmp_path / "other/config.yaml").write_text(yaml.safe_dump({"negsamp": yaml.safe_load(SMALL)}))
    jobs = planned(tmp_path / "other")
    assert jobs["negsamp_run_trials"] == 14
    assert jobs["best"] == 1
    result = snakemake(tmp_path / "other", "--", "resources/datasets/nations/report.json")
    assert result.returncode == 0, result.stderr


def test_pykeens_own_folders_are_among_the_resources(small: Path) -> None:
    assert (small / "resources/pykeen/pykeen").is_dir()


def test_named_targets_print_verdicts(small: Path) -> None:
    result = snakemake(small, "--configfile", "small.yaml", "--", "checks", "first_experiments")
    assert result.returncode == 0, result.stderr
    assert "the auxiliary model saw exactly the training split" in result.stdout
    assert "| passes" in result.stdout
    assert "| fails" not in result.stdout
    assert "is adversarial better than random, 3 negatives?" in result.stdout
    # corrupt is not among the samplers
    assert "is corrupt better than basic?" in result.stdout


def test_open_questions_are_answered(tmp_path: Path) -> None:
    # the setting of the embedded default, on its own graphs
    copy_repository(tmp_path)
    result = snakemake(tmp_path, "--", "open_questions")
    assert result.returncode == 0, result.stdout + result.stderr
    for question in ("How does the structure of a graph decide", "How much does the auxiliary", "Can the random"):
        assert f"**{question}" in result.stdout
    # where both sweeps start is one graph a seed
    assert "On 10 generated graphs, 30 trainings" in result.stdout
    for question in ("graph_structure", "auxiliary_quality", "random_integration"):
        for suffix in (".csv", ".tex", ".md", ".png", ".pdf", ".verdict.md"):
            assert (tmp_path / f"results/default/open_questions/{question}{suffix}").stat().st_size > 0
    evidence = pd.read_csv(tmp_path / "results/default/open_questions/evidence.csv")
    assert set(evidence["group"]) == {"num_triples", "noise", "graph_structure/base"}
    assert set(predictors_of("typed")) <= set(evidence)
    # printing is all that is left
    assert planned(tmp_path, "--", "open_questions") == {"open_questions": 1}
    # any part of an answer that is gone is made again
    (tmp_path / "results/default/open_questions/random_integration.png").unlink()
    assert planned(tmp_path, "--", "random_integration") == {"answer_question": 1, "random_integration": 1}


def test_a_sampler_that_cannot_be_served_is_not_applicable(small: Path) -> None:
    tables = small / "results/small/tables"
    assert "not applicable" in (tables / "link_prediction/nations.md").read_text()
    assert "not applicable" not in (tables / "link_prediction/synthetic.md").read_text()
    assert "not applicable" in (tables / "pools.md").read_text()


def test_records_hold_what_made_them(small: Path) -> None:
    record = json.loads((small / f"results/small/final/{STUDY}/seed-0.json").read_text())
    study = {"dataset": "nations", "model": "TransE", "sampler": "random", "negatives": 3, "seed": 0}
    assert study.items() <= record.items()
    assert record["state"] == "complete"
    trials = [json.loads((small / f"results/small/hpo/{STUDY}/trials-{chunk}.jsonl").read_text()) for chunk in range(2)]
    best = max(trials, key=lambda trial: trial["metrics"]["inverse_harmonic_mean_rank"])
    assert record["trial"] == best["trial"]
    assert record["parameters"] == best["parameters"]
    other = small / "results/small/hpo/nations/TransE/adversarial/3/trials-1.jsonl"
    # common random numbers: settings do not depend on the sampler
    assert json.loads(other.read_text())["parameters"] == trials[1]["parameters"]


@pytest.mark.parametrize(
    ("deleted", "rules"),
    [
        ("results/small/tables/slots.tex", {"make_table": 1, "make_index": 1}),
        (
            f"results/small/hpo/{STUDY}/trials-1.jsonl",
            {
                "run_trials": 1,
                "retrain": 1,
                # parameters, slots, cost; and of these and link prediction claims and published
                "make_table": 5,
                "make_link_prediction_table": 1,
                "plot_retrainings": 2,
                "export_studies": 1,
                "make_index": 1,
            },
        ),
        (
            "results/small/pools/nations/random.safetensors",
            {
                "build_pools": 1,
                "run_trials": 2,
                "retrain": 1,
                "make_table": 6,
                "make_link_prediction_table": 1,
                "plot_retrainings": 2,
                "export_studies": 1,
                "plot_pool_sizes": 1,
                "make_index": 1,
            },
        ),
    ],
)
def test_deleting_a_file_redoes_what_depends_on_it(small: Path, deleted: str, rules: dict[str, int]) -> None:
    (small / deleted).unlink()
    assert planned(small, "--configfile", "small.yaml") == rules


def test_a_rerun_takes_finished_trials_from_where_they_are_kept(small: Path) -> None:
    trials = small / f"results/small/hpo/{STUDY}/trials-0.jsonl"
    before, kept = trials.read_bytes(), sorted((trials.parent / "parts").iterdir())
    stamps = [path.stat().st_mtime_ns for path in kept]
    trials.unlink()
    result = snakemake(small, "--configfile", "small.yaml")
    assert result.returncode == 0, result.stderr
    assert trials.read_bytes() == before
    assert sorted((trials.parent / "parts").iterdir()) == kept
    assert [path.stat().st_mtime_ns for path in kept] == stamps


@pytest.mark.parametrize(
    ("module", "expected", "spared"),
    [
        ("results/figures.py", {"plot_retrainings", "plot_pool_sizes"}, {"run_trials", "build_pools", "make_table"}),
        ("datasets/listing.py", set(), {"prepare_dataset", "run_trials", "make_table"}),
        ("sampling/base.py", {"build_pools", "run_trials", "retrain"}, {"prepare_dataset", "train_auxiliary"}),
        ("datasets/folder.py", {"prepare_dataset"}, {"obtain_archive"}),
        ("results/page.html.jinja", {"make_index"}, {"make_table", "run_trials"}),
        ("cli/graphs.py", set(), {"make_table", "run_trials"}),
    ],
)
def test_editing_a_module_redoes_what_depends_on_it(
    small: Path, module: str, expected: set[str], spared: set[str]
) -> None:
    path = small / "negsamp" / module
    content = path.read_text()
    path.write_text(content + "\n# edited\n")
    try:
        rules = planned(small, "--configfile", "small.yaml").keys()
    finally:
        path.write_text(content)
    assert expected <= rules
    assert not spared & rules


@pytest.mark.mirror
def test_an_archive_that_is_fetched_again_leaves_nothing_out(mirror: Path, tmp_path: Path) -> None:
    copy_repository(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL.replace("[synthetic, Nations]", f"[codex-s]\nmirror: {mirror}"))
    result = snakemake(tmp_path, "--configfile", "small.yaml", "--", "resources/archives/codex-s.zip")
    assert result.returncode == 0, result.stderr
    script = tmp_path / "workflow_scripts/obtain_archive.py"
    script.write_text(script.read_text() + "# edited\n")
    rules = planned(tmp_path, "--configfile", "small.yaml").keys()
    assert {"obtain_archive", "prepare_dataset", "run_trials", "make_index"} <= rules


def write_graph_of_classes_and_negatives(folder: Path) -> None:
    """Write a graph that has classes and given negatives, but no domains and ranges."""
    write_folder(generate(num_entities=40, num_relations=4, num_triples=200, depth=2), folder)
    (folder / "metadata/relation_domain_range.json").unlink()
    rows = [line.split("\t") for line in (folder / "train.txt").read_text().splitlines()]
    negatives = [f"{head}\t{relation}\t{rows[0][0]}\ttail\n" for head, relation, _ in rows]
    (folder / "negatives.tsv").write_text("".join(negatives))


def test_another_config_keeps_the_first_one_s_results(small: Path) -> None:
    before = {path: path.read_bytes() for path in sorted((small / "results/small/tables").rglob("*.csv"))}
    assert before
    (small / "other.yaml").write_text(
        SMALL.replace("name: small", "name: other")
        .replace("[synthetic, Nations]", "[mine]\nfolders: {mine: graphs/mine}")
        .replace("[basic, random, typed, adversarial]", "[typed, given, adaptiveadversarial]")
        .replace("num_neighbors: 5", "num_neighbors: 5, fallback: [corrupt, everything], infer_schema: 0.9")
        .replace("epochs: 1, batch", "epochs: 2, batch")
        .replace("training_loop: null", "training_loop: lcwa")
        + "refresh: {refresh_every: 1}\n"
    )
    write_graph_of_classes_and_negatives(small / "graphs/mine")
    result = snakemake(small, "--configfile", "other.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    tables = small / "results/other/tables"
    for table in ("link_prediction/mine", "pools", "parameters", "slots"):
        assert "| typed (inferred)" in (tables / f"{table}.md").read_text()
    assert "negatives are given, of which" in (tables / "datasets.md").read_text()
    final = json.loads((small / "results/other/final/mine/TransE/given/3/seed-0.json").read_text())
    assert final["slots"].keys() == {"pool", "corrupt", "everything", "masked", "rescued"}
    assert min(final["slots"]["pool"], final["slots"]["corrupt"]) > 0
    assert "| no sampling (LCWA) " in (tables / "link_prediction/mine.md").read_text()
    assert {path: path.read_bytes() for path in before} == before
    assert planned(small, "--configfile", "small.yaml") == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("negatives: [3]", "negatives: [3]\nspeed: 3"), r"'speed' was unexpected"),
        (("negatives: [3]", "negatives: [0]"), r"0 is less than the minimum"),
        (("[TransE]", "[TransX]"), r"config\.models\.0: 'TransX' is not one of"),
        (("random,", "randome,"), r"'randome' is not one of"),
        (("Nations]", "nation]"), r"unknown data set 'nation'; known are .*nations"),
        (("epochs: 1, batch", "epoch: 1, batch"), r"config\.training: .*'epoch' was unexpected"),
        (("Nations]", "mine]\nfolders: {mine: graphs/absent}"), r"folders\.mine: .*/graphs/absent: no such folder"),
        (("name: small", "name: ../small"), r"'\.\./small' does not match"),
        (
            ("negatives: [3]", f"negatives: [3]\n{SWEEPS.format('{property: noise, values: [0, 2]}')}"),
            r"open_questions\.graph_structure, noise/2: noise 2 is greater than the maximum",
        ),
        (
            ("negatives: [3]", f"negatives: [3]\n{SWEEPS.format('{property: skew, values: [0, 1], with: {sed: 1}}')}"),
            r"open_questions\.graph_structure, skew/0: .*'sed' was unexpected",
        ),
        (
            ("negatives: [3]", "negatives: [3]\n" + SWEEPS.format(", ".join(2 * ["{property: skew, values: [0, 1]}"]))),
            r"open_questions\.graph_structure\.sweeps: the property 'skew' is given twice; give it once",
        ),
        (
            ("negatives: [3]", "negatives: [3]\n" + KINDS.format("{model: TransE}, {model: TransE, loss: nssa}")),
            r"open_questions\.auxiliary_quality\.auxiliaries: the model 'TransE' is given twice",
        ),
        (("loop: null", "loop: lcwa, models: [TransH]"), r"reference\.models: 'TransH' is none of the models"),
        (
            ("loop: null}", "loop: null}\ncompute: {gpu: 1, device: cpu}"),
            r"compute\.device: with compute\.gpu each job is",
        ),
        (("hpo: {", "hpo: {sampler: tpe, pruner: median, "), r"hpo\.pruner: it needs .* early_stopping\.patience"),
    ],
)
def test_a_bad_config_is_refused_by_name(finished: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in SMALL
    (finished / "bad.yaml").write_text(SMALL.replace(*change))
    result = snakemake(finished, "--dry-run", "--configfile", "bad.yaml")
    assert result.returncode != 0
    assert re.search(message, result.stdout + result.stderr)


def test_a_folder_with_a_bad_line_ends_in_one_clear_line(small: Path) -> None:
    folder = small / "graphs/broken"
    write_folder(generate(num_entities=40, num_relations=4, num_triples=200, depth=2), folder)
    train = folder / "train.txt"
    train.write_text(train.read_text().replace("\t", " ", 1))
    (small / "broken.yaml").write_text(
        SMALL.replace("[synthetic, Nations]", "[broken]\nfolders: {broken: graphs/broken}")
    )
    result = snakemake(small, "--configfile", "broken.yaml")
    assert result.returncode != 0
    log = (small / "logs/prepare_dataset/broken.log").read_text()
    assert re.search(r"graphs/broken/train\.txt line 1: 2 columns, expected 3", log)
    assert "Traceback" not in log
    assert not (small / "resources/datasets/broken").exists() or not any(
        (small / "resources/datasets/broken").glob("*.safetensors")
    )
