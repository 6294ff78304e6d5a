"""Negatives that the user gives: how their file is read, what is drawn of them, and where a data set carries them."""

import json
import logging
import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from graphs import counted, graph_of, total
from pykeen.datasets import Nations
from pykeen.pipeline import pipeline
from pykeen.triples import TriplesFactory

from negsamp import GivenNegatives, GivenNegativeSampler, SamplerHandle, make_sampler
from negsamp.datasets import SchemaDataset, write_folder
from negsamp.errors import InputError
from negsamp.sampling import serves

#: ann … eve are 0 … 4, likes and sees 0 and 1
FILES: Mapping[str, Any] = {
    "train.txt": "ann\tlikes\tbob\nann\tlikes\tcat\nbob\tlikes\tcat\ncat\tsees\tdan\n",
    "valid.txt": "dan\tsees\teve\n",
    "test.txt": "bob\tsees\tann\n",
}
#: the other way round
MAPPING = {
    "mapping/entity_to_id.json": {"eve": 0, "dan": 1, "cat": 2, "bob": 3, "ann": 4},
    "mapping/relation_to_id.json": {"sees": 0, "likes": 1},
}
METADATA = {"metadata/entity_classes.json": {"ann": ["person"]}}

#: two candidates, a training triple and a triple of validation for tails; two candidates for heads; a pair that no
#: triple has
NEGATIVES = (
    "ann\tlikes\tdan\ttail\n"
    "ann\tlikes\teve\ttail\n"
    "ann\tlikes\tcat\ttail\n"
    "cat\tlikes\teve\thead\n"
    "cat\tlikes\tdan\thead\n"
    "dan\tsees\teve\ttail\n"
    "eve\tlikes\tann\ttail\n"
)


def write(folder: Path, files: Mapping[str, Any]) -> Path:
    """Write text as it is, anything else as JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((content if isinstance(content, str) else json.dumps(content)).encode())
    return folder


def read(folder: Path | zipfile.Path) -> SchemaDataset:
    return SchemaDataset.from_folder(folder, "tiny", source="test")


with_or_without_mapping = pytest.mark.parametrize(
    "files", [FILES, {**FILES, **MAPPING}], ids=["without mapping", "with mapping"]
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "tiny", {**FILES, "negatives.tsv": NEGATIVES})


@pytest.fixture
def dataset(folder: Path) -> SchemaDataset:
    return read(folder)


def sampler_of(dataset: SchemaDataset, **options: Any) -> GivenNegativeSampler:
    training = dataset.training
    return GivenNegativeSampler(
        mapped_triples=training.mapped_triples,
        num_entities=training.num_entities,
        num_relations=training.num_relations,
        **{"negatives": dataset.negatives, "num_negs_per_pos": 200, **options},
    )


def draw(sampler: GivenNegativeSampler, dataset: SchemaDataset, *names: str) -> dict[str, set[str]]:
    """Return the names of the heads and tails that valid slots put in place of a triple's own."""
    head, relation, tail = names
    positive = [dataset.entity_to_id[head], dataset.relation_to_id[relation], dataset.entity_to_id[tail]]
    # beside another triple, so that nothing needs to be rescued
    negatives, mask = sampler.sample(torch.cat([torch.tensor([positive]), dataset.training.mapped_triples]))
    valid = negatives[0] if mask is None else negatives[0][mask[0]]
    assert bool((valid[:, 1] == positive[1]).all())
    names_of = list(dataset.entity_to_id)
    return {
        side: {names_of[row[column]] for row in valid.tolist() if row[column] != positive[column]}
        for side, column in (("head", 0), ("tail", 2))
    }


def named(dataset: SchemaDataset, negatives: GivenNegatives) -> set[tuple[str, str, str, str]]:
    entities, relations = list(dataset.entity_to_id), list(dataset.relation_to_id)
    return {
        (entities[a], relations[r], entities[c], ("head", "tail")[side]) for a, r, c, side in negatives.rows.T.tolist()
    }


LINES = {tuple(line.split("\t")) for line in NEGATIVES.splitlines()}


# Reading


@with_or_without_mapping
def test_names_become_the_ids_of_the_factory(files: Mapping[str, Any], tmp_path: Path):
    dataset = read(write(tmp_path, files))
    path = write(tmp_path, {"negatives.tsv": NEGATIVES}) / "negatives.tsv"
    negatives = GivenNegatives.from_file(path, dataset.training)
    assert negatives.rows.shape == (4, 7)
    assert named(dataset, negatives) == LINES
    ids = dataset.entity_to_id
    likes, sees = (dataset.relation_to_id[name] for name in ("likes", "sees"))
    assert set(map(tuple, negatives.triples.tolist())) == {
        (ids["ann"], likes, ids["dan"]),
        (ids["ann"], likes, ids["eve"]),
        (ids["ann"], likes, ids["cat"]),
        (ids["eve"], likes, ids["cat"]),
        (ids["dan"], likes, ids["cat"]),
        (ids["dan"], sees, ids["eve"]),
        (ids["eve"], likes, ids["ann"]),
    }


def test_the_factories_of_pykeen_give_ids_too(tmp_path: Path):
    training = Nations().training
    path = write(tmp_path, {"n.tsv": "brazil\taidenemy\tusa\ttail\nbrazil\taidenemy\tusa\thead\n"}) / "n.tsv"
    rows = GivenNegatives.from_file(path, training).rows
    brazil, usa = training.entity_to_id["brazil"], training.entity_to_id["usa"]
    assert rows.T.tolist() == [[brazil, training.relation_to_id["aidenemy"], usa, side] for side in (0, 1)]


def test_repeated_lines_count_once_and_their_order_does_not_matter(dataset: SchemaDataset, tmp_path: Path):
    lines = NEGATIVES.splitlines(keepends=True)
    path = write(tmp_path, {"n.tsv": "".join([*reversed(lines), *lines])}) / "n.tsv"
    assert torch.equal(GivenNegatives.from_file(path, dataset.training).rows, dataset.negatives.rows)


def test_line_ends_and_marks_of_other_systems_are_read(dataset: SchemaDataset, tmp_path: Path):
    text = "\ufeff" + NEGATIVES.replace("\n", "\r\n")
    path = write(tmp_path, {"n.tsv": text}) / "n.tsv"
    assert torch.equal(GivenNegatives.from_file(path, dataset.training).rows, dataset.negatives.rows)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ann\tlikes\tzoe\ttail", "line 2: 'zoe' is in no triple and in no mapping; remove or rename it"),
        ("zoe\tlikes\tann\ttail", "line 2: 'zoe' is in no triple"),
        ("ann\thates\tbob\thead", "line 2: 'hates' is in no triple"),
        ("ann\tlikes\tbob", "line 2: 3 columns, expected 4 separated by tabs"),
        ("ann likes bob tail", "line 2: 1 column, expected 4 separated by tabs"),
        ("ann\tlikes\tbob\ttail\t1", "line 2: 5 columns, expected 4"),
        ("", "line 2: 1 column, expected 4"),
        ("ann\t\tbob\ttail", "line 2: an empty name; give entity that stays, relation, candidate and side"),
        ("ann\tlikes\tbob\tleft", "line 2: the side is 'left'; it must be head or tail"),
        ("ann\tlikes\tbob\tTail", "line 2: the side is 'Tail'; it must be head or tail"),
    ],
)
@pytest.mark.parametrize("where", ["beside", "with the data set", "by its path"])
def test_a_wrong_line_is_named_by_file_and_number(where: str, line: str, message: str, folder: Path, tmp_path: Path):
    text = f"ann\tlikes\tdan\ttail\n{line}\nann\tlikes\teve\ttail\n"
    dataset = read(folder)
    if where == "beside":
        path = write(tmp_path, {"other.tsv": text}) / "other.tsv"
    else:
        path = write(folder, {"negatives.tsv": text}) / "negatives.tsv"
    do = {
        "beside": lambda: GivenNegatives.from_file(path, dataset.training),
        "with the data set": lambda: read(folder),
        "by its path": lambda: sampler_of(dataset, negatives=str(path)),
    }
    with pytest.raises(InputError, match=re.escape(f"{path} {message}")):
        do[where]()


@pytest.mark.parametrize(("content", "message"), [("", "empty; it needs at least one line"), (None, "no such file")])
def test_a_file_without_any_line_is_refused(content: str | None, message: str, dataset: SchemaDataset, tmp_path: Path):
    path = tmp_path / "n.tsv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=f"n.tsv: {message}"):
        GivenNegatives.from_file(path, dataset.training)


# By path


@with_or_without_mapping
@pytest.mark.parametrize("form", [str, Path])
@pytest.mark.parametrize("place", ["negatives.tsv", "."])
def test_a_path_is_read_with_the_ids_of_its_folder(place: str, form: Any, files: Mapping[str, Any], tmp_path: Path):
    dataset = read(write(tmp_path, {**files, "negatives.tsv": NEGATIVES}))
    sampler = sampler_of(dataset, negatives=form(tmp_path / place))
    assert draw(sampler, dataset, "ann", "likes", "bob") == {"head": set(), "tail": {"dan", "eve"}}
    assert draw(sampler, dataset, "bob", "likes", "cat") == {"head": {"dan", "eve"}, "tail": set()}


def test_another_file_of_the_folder_can_be_named(folder: Path):
    dataset = read(write(folder, {"mine.tsv": "ann\tlikes\teve\ttail\n"}))
    sampler = sampler_of(dataset, negatives=folder / "mine.tsv")
    assert draw(sampler, dataset, "ann", "likes", "bob") == {"head": set(), "tail": {"eve"}}


def test_a_path_without_a_data_set_around_it_is_refused(dataset: SchemaDataset, tmp_path: Path):
    path = write(tmp_path / "alone", {"negatives.tsv": NEGATIVES}) / "negatives.tsv"
    with pytest.raises(InputError, match=r"alone/train.txt: no such file; a data set has train\.txt"):
        sampler_of(dataset, negatives=path)


def test_the_folder_of_other_triples_is_refused(dataset: SchemaDataset, tmp_path: Path):
    """The same names with other ids: without the check, other entities would be drawn in silence."""
    other = write(tmp_path / "other", {**FILES, **MAPPING, "negatives.tsv": NEGATIVES})
    for negatives in (other, str(other / "negatives.tsv"), read(other).negatives):
        with pytest.raises(InputError, match=r"the negatives belong to other triples .*GivenNegatives\.from_file"):
            sampler_of(dataset, negatives=negatives)


def test_no_negatives_are_refused(dataset: SchemaDataset):
    with pytest.raises(InputError, match=r"given needs negatives: give negatives=\.\.\. or pools=\.\.\."):
        sampler_of(dataset, negatives=None)


# Drawing


def test_only_what_is_listed_for_the_pair_and_side_is_drawn(dataset: SchemaDataset):
    sampler = sampler_of(dataset)
    # each triple with its heads and tails; the pair (eve, likes) has no triple
    assert draw(sampler, dataset, "ann", "likes", "bob") == {"head": set(), "tail": {"dan", "eve"}}
    assert draw(sampler, dataset, "ann", "likes", "cat") == {"head": {"dan", "eve"}, "tail": {"dan", "eve"}}
    assert draw(sampler, dataset, "bob", "likes", "cat") == {"head": {"dan", "eve"}, "tail": set()}
    assert draw(sampler, dataset, "cat", "sees", "dan") == {"head": set(), "tail": set()}
    # a triple of validation is none of training
    assert draw(sampler, dataset, "dan", "sees", "ann") == {"head": set(), "tail": {"eve"}}
    assert draw(sampler, dataset, "eve", "likes", "dan") == {"head": set(), "tail": {"ann"}}


def test_a_listed_training_triple_is_drawn_only_without_the_filter(dataset: SchemaDataset):
    found = draw(sampler_of(dataset, filtered=False), dataset, "ann", "likes", "bob")
    assert found == {"head": set(), "tail": {"dan", "eve", "cat"}}


@pytest.mark.parametrize("filtered", [True, False])
def test_listed_training_triples_are_warned_of(
    filtered: bool, dataset: SchemaDataset, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, logger="negsamp"):
        sampler_of(dataset, filtered=filtered)
    assert caplog.messages == ["1 of 7 given negatives are training triples, which are drawn only if filtered=False"]


def test_nothing_is_warned_of_where_no_training_triple_is_listed(folder: Path, caplog: pytest.LogCaptureFixture):
    dataset = read(write(folder, {"negatives.tsv": "ann\tlikes\tdan\ttail\n"}))
    with caplog.at_level(logging.WARNING, logger="negsamp"):
        sampler_of(dataset)
    assert not caplog.messages


def test_pairs_without_candidates_fall_back(dataset: SchemaDataset):
    sampler = sampler_of(dataset, fallback=["corrupt", "everything"], num_negs_per_pos=10)
    _, mask = sampler.sample(dataset.training.mapped_triples)
    assert mask is None
    # of five slots a side, two each for the tails of (ann, likes), twice, and the heads of (likes, cat), twice
    usage = sampler.usage
    assert usage["pool"] == 4 * 2
    assert usage["corrupt"] > 0
    assert usage["everything"] > 0
    assert total(usage) == 4 * 10


def test_a_short_list_is_given_once_and_the_rest_falls_back(dataset: SchemaDataset):
    sampler = sampler_of(dataset, fallback="random", num_negs_per_pos=3, corruption="tail")
    ann, likes, bob = dataset.entity_to_id["ann"], dataset.relation_to_id["likes"], dataset.entity_to_id["bob"]
    negatives, _ = sampler.sample(torch.tensor([[ann, likes, bob]]))
    names = [list(dataset.entity_to_id)[tail] for tail in negatives[0, :, 2].tolist()]
    assert {"dan", "eve"} <= set(names)
    assert counted(sampler.usage) == {"pool": 2, "everything": 1}


def test_slots_without_candidates_and_fallback_are_masked(dataset: SchemaDataset):
    sampler = sampler_of(dataset, num_negs_per_pos=4)
    _, mask = sampler.sample(dataset.training.mapped_triples)
    # two slots a side: of four triples, two have candidates for tails and two for heads
    assert int(mask.sum()) == 8
    assert counted(sampler.usage) == {"pool": 8, "masked": 8}


# With a data set


@with_or_without_mapping
def test_a_folder_carries_its_negatives(files: Mapping[str, Any], tmp_path: Path):
    dataset = read(write(tmp_path, {**files, **METADATA, "negatives.tsv": NEGATIVES}))
    assert named(dataset, dataset.negatives) == LINES
    assert dataset.schema is not None
    assert not any("not part of the format" in note for note in dataset.report["notes"])


def test_a_folder_without_the_file_has_no_negatives(tmp_path: Path):
    dataset = read(write(tmp_path, FILES))
    assert dataset.negatives is None
    assert not any("negatives" in note for note in dataset.report["notes"])


def test_the_report_tells_where_negatives_stand(tmp_path: Path):
    text = NEGATIVES + "ann\tsees\tbob\thead\n"
    dataset = read(write(tmp_path, {**FILES, "negatives.tsv": text}))
    (note,) = (note for note in dataset.report["notes"] if "negatives" in note)
    assert note == "8 negatives are given, of which 1 stand in training, 1 stand in validation, 1 stand in testing"


def test_an_archive_carries_its_negatives(folder: Path, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "tiny.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"tiny/{path.name}")
    with zipfile.ZipFile(tmp_path / "tiny.zip") as archive:
        dataset = read(zipfile.Path(archive, "tiny/"))
    assert named(dataset, dataset.negatives) == LINES


@with_or_without_mapping
def test_saving_and_loading_keeps_negatives(files: Mapping[str, Any], tmp_path: Path):
    dataset = read(write(tmp_path / "given", {**files, **METADATA, "negatives.tsv": NEGATIVES}))
    dataset.save(tmp_path / "saved")
    again = SchemaDataset.load(tmp_path / "saved")
    assert torch.equal(again.negatives.rows, dataset.negatives.rows)
    assert again.negatives.identity == dataset.negatives.identity
    assert draw(sampler_of(again), again, "ann", "likes", "bob")["tail"] == {"dan", "eve"}


def test_saving_and_loading_keeps_that_there_are_none(tmp_path: Path):
    read(write(tmp_path / "given", FILES)).save(tmp_path / "saved")
    assert SchemaDataset.load(tmp_path / "saved").negatives is None


@with_or_without_mapping
def test_writing_and_reading_keeps_negatives(files: Mapping[str, Any], tmp_path: Path):
    dataset = read(write(tmp_path / "given", {**files, **METADATA, "negatives.tsv": NEGATIVES}))
    write_folder(dataset, tmp_path / "written")
    again = read(tmp_path / "written")
    assert torch.equal(again.negatives.rows, dataset.negatives.rows)
    assert again.negatives.identity == dataset.negatives.identity
    lines = (tmp_path / "written" / "negatives.tsv").read_text().splitlines()
    assert {tuple(line.split("\t")) for line in lines} == LINES
    assert len(lines) == len(LINES)


def test_a_data_set_is_sampled_by_name(dataset: SchemaDataset, tmp_path: Path):
    sampler = make_sampler("given", dataset, num_negs_per_pos=200)
    assert draw(sampler, dataset, "ann", "likes", "bob") == {"head": set(), "tail": {"dan", "eve"}}
    assert serves("given", dataset)
    without = read(write(tmp_path / "without", FILES))
    assert not serves("given", without)
    with pytest.raises(InputError, match="given is not applicable: the data set has no negatives"):
        make_sampler("given", without)


def test_negatives_can_be_given_beside_a_data_set(folder: Path, tmp_path: Path):
    dataset = read(write(folder, {"mine.tsv": "ann\tlikes\teve\ttail\n"}))
    sampler = make_sampler("given", dataset, num_negs_per_pos=200, negatives=str(folder / "mine.tsv"))
    assert draw(sampler, dataset, "ann", "likes", "bob")["tail"] == {"eve"}


# In PyKEEN


def run(dataset: Any, options: dict[str, Any], **kwargs: Any) -> SamplerHandle:
    handle = SamplerHandle()
    result = pipeline(
        **({"dataset": dataset} if dataset is not None else {}),
        model="TransE",
        model_kwargs={"embedding_dim": 4},
        negative_sampler="given",
        negative_sampler_kwargs={**options, "num_negs_per_pos": 4, "handle": handle},
        training_loop_kwargs={"automatic_memory_optimization": False},
        training_kwargs={"num_epochs": 2, "batch_size": 4, "use_tqdm": False},
        evaluation_kwargs={"batch_size": 256, "use_tqdm": False},
        random_seed=0,
        **kwargs,
    )
    assert all(map(math.isfinite, result.losses))
    return handle


@with_or_without_mapping
def test_the_pipeline_takes_a_plain_path(files: Mapping[str, Any], tmp_path: Path):
    folder = write(tmp_path, {**files, "negatives.tsv": NEGATIVES})
    handle = run(read(folder), {"negatives": str(folder / "negatives.tsv")})
    assert counted(handle.sampler.usage) == {"pool": 2 * 8, "masked": 2 * 8}


def test_the_pipeline_takes_the_negatives_of_a_data_set(dataset: SchemaDataset):
    handle = run(dataset, {"negatives": dataset.negatives, "fallback": "random"})
    assert counted(handle.sampler.usage) == {"pool": 2 * 8, "everything": 2 * 8}


def test_factories_that_number_the_same_names_alike_go_with_the_path(tmp_path: Path):
    """PyKEEN numbers the names of training alone: no other name may come in."""
    folder = write(
        tmp_path, {**FILES, "train.txt": FILES["train.txt"] + "dan\tsees\teve\n", "negatives.tsv": NEGATIVES}
    )
    training = TriplesFactory.from_path(folder / "train.txt")
    testing = TriplesFactory.from_path(
        folder / "test.txt", entity_to_id=training.entity_to_id, relation_to_id=training.relation_to_id
    )
    handle = run(None, {"negatives": str(folder)}, training=training, testing=testing)
    assert handle.sampler.usage["pool"] > 0


def test_factories_that_number_fewer_names_are_refused(folder: Path):
    training = TriplesFactory.from_path(folder / "train.txt")
    with pytest.raises(InputError, match="the negatives belong to other triples"):
        run(None, {"negatives": str(folder)}, training=training, testing=training)


def test_a_training_with_inverse_triples_draws_what_is_listed():
    """The list names each pair as the graph has it; the reverse of a triple has its heads for tails."""
    graph = graph_of({(0, 0, 1), (2, 1, 3)}, num_entities=6, num_relations=2)
    negatives = GivenNegatives.from_names(
        [("e0", "r0", "e4", "tail"), ("e1", "r0", "e5", "head")],
        entity_to_id={f"e{i}": i for i in range(6)},
        relation_to_id={"r0": 0, "r1": 1},
        mapped_triples=graph.lines,
    )
    doubled = torch.cat([graph.lines, graph.lines.flip(-1)])
    doubled[:2, 1], doubled[2:, 1] = 2 * graph.lines[:, 1], 2 * graph.lines[:, 1] + 1
    sampler = GivenNegativeSampler(
        mapped_triples=doubled, num_entities=6, num_relations=4, negatives=negatives, num_negs_per_pos=50
    )
    drawn, mask = sampler.sample(doubled)
    assert set(map(tuple, drawn[mask].tolist())) == {(0, 0, 4), (5, 0, 1), (4, 1, 0), (1, 1, 5)}
