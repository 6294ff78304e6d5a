"""The exchange format is read as it stands, or refused with the line to correct."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from pykeen.datasets import get_dataset

from negsamp.datasets import SchemaDataset, load_dataset, read_mapping, read_metadata, read_triples, write_folder
from negsamp.datasets.folder import stray_files
from negsamp.errors import InputError
from negsamp.schema import Schema
from negsamp.triples import TripleSet

FILES: Mapping[str, Any] = {
    "train.txt": "ann\tlikes\tbob\nbob\tlikes\tcat\nann\tlikes\tbob\n",
    "valid.txt": "ann\tlikes\tbob\n",
    "test.txt": "cat\tsees\tdan\n",
}
MAPPING = {
    "mapping/entity_to_id.json": {"dan": 0, "cat": 1, "bob": 2, "ann": 3},
    "mapping/relation_to_id.json": {"sees": 0, "likes": 1},
}
METADATA = {
    "metadata/entity_classes.json": {"ann": ["person", "adult"], "bob": ["person"], "cat": []},
    "metadata/relation_domain_range.json": {
        "likes": {"domain": "person", "range": ["person", "animal"]},
        "sees": {"domain": "None", "range": None},
    },
    "metadata/subclass_of.json": {"adult": ["person"], "person": []},
}
FULL = {**FILES, **MAPPING, **METADATA}


def write(folder: Path, files: Mapping[str, Any]) -> Path:
    """Write text as it is, anything else as JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((content if isinstance(content, str) else json.dumps(content)).encode())
    return folder


def read(folder: Path | zipfile.Path) -> SchemaDataset:
    return SchemaDataset.from_folder(folder, "tiny", source="test")


def same_schema(one: Schema | None, other: Schema | None) -> bool:
    if one is None or other is None:
        return one is other
    (tensors, rest), (other_tensors, other_rest) = one.to_tensors(), other.to_tensors()
    return rest == other_rest and all(tensor.equal(other_tensors[key]) for key, tensor in tensors.items())


# Triples


def test_lines_are_kept_as_they_stand(tmp_path: Path) -> None:
    assert read_triples(write(tmp_path, FILES)) == {
        "training": [("ann", "likes", "bob"), ("bob", "likes", "cat"), ("ann", "likes", "bob")],
        "validation": [("ann", "likes", "bob")],
        "testing": [("cat", "sees", "dan")],
    }


def test_both_line_ends_and_no_other_end_a_line(tmp_path: Path) -> None:
    odd = "\u2028 \x85 \x0b \x0c \x1c \r !"
    files = {**FILES, "train.txt": f"{odd}\tlikes\tbob\r\n{odd}\tlikes\t{odd}\nbob\tlikes\tcat"}
    assert read_triples(write(tmp_path, files))["training"] == [
        (odd, "likes", "bob"),
        (odd, "likes", odd),
        ("bob", "likes", "cat"),
    ]


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    files = {**FILES, "train.txt": "\ufeffann\tlikes\tbob\n"}
    assert read_triples(write(tmp_path, files))["training"] == [("ann", "likes", "bob")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ann\tlikes", "2 columns, expected 3 separated by tabs; correct the line"),
        ("ann likes bob", "1 column, expected 3"),
        ("ann\tlikes\tbob\t", "4 columns, expected 3"),
        ("", "1 column, expected 3"),
        ("ann\t\tbob", "an empty name"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    write(tmp_path, {**FILES, "train.txt": f"ann\tlikes\tbob\n{line}\nann\tlikes\tbob\n"})
    with pytest.raises(InputError, match=rf"train\.txt line 2: {message}"):
        read_triples(tmp_path)


@pytest.mark.parametrize("file", ["train.txt", "valid.txt", "test.txt"])
def test_all_three_splits_are_needed(tmp_path: Path, file: str) -> None:
    write(tmp_path, FILES)
    (tmp_path / file).write_text("")
    with pytest.raises(InputError, match=rf"{file}: empty; it needs at least one line"):
        read_triples(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(InputError, match=rf"{file}: no such file; a data set has train\.txt"):
        read_triples(tmp_path)


def test_text_must_be_utf8(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    (tmp_path / "test.txt").write_bytes("j\u00f6rg\tlikes\tbob\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"test\.txt: cannot be read \(.*it must be UTF-8 text"):
        read_triples(tmp_path)


# Mapping


def test_without_a_mapping_the_sorted_names_of_all_splits_are_numbered(tmp_path: Path) -> None:
    assert read_mapping(write(tmp_path, FILES)) is None
    dataset = read(tmp_path)
    assert list(dataset.entity_to_id.items()) == [("ann", 0), ("bob", 1), ("cat", 2), ("dan", 3)]
    assert list(dataset.relation_to_id.items()) == [("likes", 0), ("sees", 1)]


def test_a_mapping_gives_the_ids(tmp_path: Path) -> None:
    dataset = read(write(tmp_path, {**FILES, **MAPPING}))
    assert list(dataset.entity_to_id) == ["dan", "cat", "bob", "ann"]
    assert list(dataset.relation_to_id) == ["sees", "likes"]
    assert dataset.training.mapped_triples.tolist() == [[2, 1, 1], [3, 1, 2]]
    assert dataset.testing.mapped_triples.tolist() == [[1, 0, 0]]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ({"ann": 0, "bob": 2}, "'bob' has the id 2, expected each of 0 to 1 once"),
        ({"ann": 0, "bob": 0}, "'bob' has the id 0"),
        ({"ann": 0, "bob": -1}, "'bob' has the id -1"),
        ({"ann": 0, "bob": "1"}, "'bob' has the id '1'"),
        ({"ann": 0, "bob": True}, "'bob' has the id True"),
        ({"ann": 0, "bob": 1.0}, r"'bob' has the id 1\.0"),
        (["ann", "bob"], "expected an object by name"),
        ("{", "not valid JSON"),
    ],
)
def test_ids_must_be_a_numbering(tmp_path: Path, ids: Any, message: str) -> None:
    write(tmp_path, {**FILES, **MAPPING, "mapping/entity_to_id.json": ids})
    with pytest.raises(InputError, match=rf"entity_to_id\.json: .*{message}"):
        read_mapping(tmp_path)


def test_a_mapping_needs_both_files(tmp_path: Path) -> None:
    write(tmp_path, {**FILES, **MAPPING})
    (tmp_path / "mapping/relation_to_id.json").unlink()
    with pytest.raises(InputError, match=r"relation_to_id\.json: no such file; .*both files of mapping/ or none"):
        read_mapping(tmp_path)


@pytest.mark.parametrize(
    ("line", "found"), [("eve\tlikes\tbob", "entity 'eve'"), ("ann\thates\tbob", "relation 'hates'")]
)
def test_a_name_without_an_id_is_named(tmp_path: Path, line: str, found: str) -> None:
    write(tmp_path, {**FILES, **MAPPING, "test.txt": f"cat\tsees\tdan\n{line}\n"})
    kind = found.partition(" ")[0]
    with pytest.raises(InputError, match=rf"test\.txt line 2: the {found} is not in mapping/{kind}_to_id\.json"):
        read(tmp_path)


# Metadata


def test_without_metadata_there_is_no_schema(tmp_path: Path) -> None:
    assert read_metadata(write(tmp_path, FILES)) is None
    (tmp_path / "metadata").mkdir()
    assert read_metadata(tmp_path) is None
    assert read(tmp_path).schema is None


@pytest.mark.parametrize("file", sorted(METADATA))
def test_each_file_of_metadata_is_optional(tmp_path: Path, file: str) -> None:
    metadata = read_metadata(write(tmp_path, {**FILES, file: METADATA[file]}))
    assert metadata is not None
    assert metadata.keys() == {"entity_classes", "domain_range", "subclass_of"}
    assert [content for content in metadata.values() if content] == [METADATA[file]]


def test_missing_domains_and_lists_of_classes(tmp_path: Path) -> None:
    dataset = read(write(tmp_path, FULL))
    schema = dataset.schema
    assert schema is not None
    assert schema.classes == ("adult", "animal", "person")
    assert schema.entity_classes.T.tolist() == [[2, 2], [3, 0], [3, 2]]
    assert schema.domains.T.tolist() == [[1, 2]]
    assert schema.ranges.T.tolist() == [[1, 1], [1, 2]]
    assert schema.superclasses.T.tolist() == [[0, 2]]
    assert same_schema(schema, Schema.from_folder(tmp_path, dataset.training))


def test_metadata_that_type_nothing_make_no_schema(tmp_path: Path) -> None:
    files = {
        **FILES,
        "metadata/entity_classes.json": {"ann": []},
        "metadata/relation_domain_range.json": {"likes": {"domain": "None", "range": "None"}},
        "metadata/subclass_of.json": {"adult": ["person"]},
    }
    assert read(write(tmp_path, files)).schema is None


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("entity_classes", {"ann": "person"}, "'ann' has 'person', expected a list of class names"),
        ("entity_classes", {"ann": [1]}, r"'ann' has \[1\], expected a list"),
        ("entity_classes", ["ann"], "expected an object by name"),
        ("subclass_of", {"adult": "person"}, "'adult' has 'person', expected a list"),
        ("relation_domain_range", {"likes": ["person", "person"]}, "'likes' has .* expected {\"domain\": class"),
        ("relation_domain_range", {"likes": {"Domain": "person"}}, "'likes' has .* expected {\"domain\": class"),
        ("relation_domain_range", {"likes": {"range": 3}}, "the range of 'likes' is 3, expected a class"),
        (
            "relation_domain_range",
            {"likes": {"domain": [None]}},
            r"the domain of 'likes' is \[None\], expected a class",
        ),
        (
            "relation_domain_range",
            {"likes": {"domain": "person", "inferred": "domain"}},
            "'likes' has 'domain' inferred, expected some of",
        ),
        (
            "relation_domain_range",
            {"likes": {"domain": "person", "inferred": ["Domain"]}},
            r"'likes' has \['Domain'\] inferred, expected some of \[\"domain\", \"range\"\]",
        ),
        ("relation_domain_range", {"likes": {"inferred": [1]}}, r"'likes' has \[1\] inferred, expected some of"),
        ("relation_domain_range", {"likes": {"inferred": None}}, "'likes' has None inferred, expected some of"),
        ("relation_domain_range", {"likes": {"inferred": {"range": 1}}}, "'likes' has .* inferred, expected some of"),
    ],
)
def test_metadata_of_a_wrong_shape_are_refused(tmp_path: Path, file: str, content: Any, message: str) -> None:
    write(tmp_path, {**FULL, f"metadata/{file}.json": content})
    with pytest.raises(InputError, match=rf"metadata/{file}\.json: .*{message}"):
        read_metadata(tmp_path)


def with_domains(tmp_path: Path, content: Mapping[str, Any]) -> SchemaDataset:
    return read(write(tmp_path, {**FULL, "metadata/relation_domain_range.json": content}))


def test_inferred_domains_and_ranges_are_marked_as_they_are_written(tmp_path: Path) -> None:
    content = {
        "sees": {"domain": ["adult", "person"], "range": "animal", "inferred": ["domain", "range"]},
        "likes": {"domain": "person", "range": "person", "inferred": ["range"]},
    }
    dataset = with_domains(tmp_path / "given", content)
    assert dataset.schema is not None
    # sees is relation 0, likes is relation 1
    assert dataset.schema.inferred.tolist() == [0, 1, 3]
    assert dataset.report["notes"][-1] == "1 domains and 2 ranges are inferred"
    write_folder(dataset, tmp_path / "written")
    written = json.loads((tmp_path / "written/metadata/relation_domain_range.json").read_text())
    assert written == content
    assert same_schema(read(tmp_path / "written").schema, dataset.schema)


def test_what_is_not_inferred_has_no_mark(tmp_path: Path) -> None:
    content = {"likes": {"domain": "person", "range": "None", "inferred": []}, "sees": {"range": "animal"}}
    dataset = with_domains(tmp_path / "given", content)
    assert dataset.schema is not None
    assert dataset.schema.inferred.tolist() == []
    assert not any("inferred" in note for note in dataset.report["notes"])
    write_folder(dataset, tmp_path / "written")
    written = json.loads((tmp_path / "written/metadata/relation_domain_range.json").read_text())
    assert {key for entry in written.values() for key in entry} == {"domain", "range"}


def test_a_mark_is_of_a_relation_that_has_an_id(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'hates' is in no triple and in no mapping; remove or rename it"):
        with_domains(tmp_path, {"hates": {"domain": "person", "inferred": ["domain"]}})


def test_what_is_missing_is_not_inferred(tmp_path: Path) -> None:
    dataset = with_domains(tmp_path, {"likes": {"domain": "None", "range": "person", "inferred": ["domain", "range"]}})
    assert dataset.schema is not None
    assert dataset.schema.inferred.tolist() == [3]
    assert dataset.report["notes"][-1] == "0 domains and 1 ranges are inferred"


# Archives


def test_an_archive_is_read_like_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "TINY", FULL)
    archive = tmp_path / "TINY.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("TINY/.DS_Store", b"\x00\xff")
        file.writestr("__MACOSX/TINY/._train.txt", b"\x00\xff")
        file.writestr("TINY/mapping/entity_to_id.jsonZone.Identifier", b"\xff")
        for path in sorted((tmp_path / "TINY").rglob("*.*")):
            file.write(path, path.relative_to(tmp_path))
    with zipfile.ZipFile(archive) as file:
        root = zipfile.Path(file, "TINY/")
        inside, outside = read(root), read(tmp_path / "TINY")
        assert stray_files(root) == [".DS_Store", "mapping/entity_to_id.jsonZone.Identifier"]
    assert inside == outside
    assert same_schema(inside.schema, outside.schema)
    assert inside.report["notes"][-1].startswith("ignored, not part of the format: .DS_Store, mapping/")
    assert inside.report["notes"][:-1] == outside.report["notes"]
    assert not (tmp_path / "TINY.zip.extracted").exists()


def test_an_error_inside_an_archive_names_archive_and_line(tmp_path: Path) -> None:
    archive = tmp_path / "TINY.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("TINY/train.txt", "ann\tlikes\n")
    with (
        zipfile.ZipFile(archive) as file,
        pytest.raises(InputError, match=r"TINY\.zip/TINY/train\.txt line 1: 2 columns"),
    ):
        read_triples(zipfile.Path(file, "TINY/"))


# Report


def test_the_report_counts_what_is_odd(tmp_path: Path) -> None:
    mapping = {"entity_to_id": {"dan": 0, "cat": 1, "bob": 2, "ann": 3, "eve": 4}}
    files = {**FULL, "mapping/entity_to_id.json": mapping["entity_to_id"]}
    report = read(write(tmp_path, files)).report
    assert report == {
        "dataset": "tiny",
        "source": "test",
        "licence": None,
        "archive": None,
        "entities": 5,
        "relations": 2,
        "splits": {
            "training": {"lines": 3, "distinct": 2, "unseen": 0},
            "validation": {"lines": 1, "distinct": 1, "unseen": 0},
            "testing": {"lines": 1, "distinct": 1, "unseen": 1},
        },
        "leaks": {"training_validation": 1, "training_testing": 0, "validation_testing": 0},
        "classes": 3,
        "typed_entities": 2,
        "domains": 1,
        "ranges": 1,
        "domains_and_ranges": 1,
        "superclass_pairs": 1,
        "notes": [
            "1 duplicate lines in training",
            "1 triples of testing hold an entity or a relation that is not in training",
            "1 of 1 triples of validation also stand in training",
            "1 of 5 entities are in no triple",
            "3 of 5 entities have no class",
            "1 of 2 relations have no domain",
            "1 of 2 relations have no range",
            "1 of 3 classes have no entity",
        ],
    }


def test_the_report_tells_cycles_and_classes_that_nobody_has(tmp_path: Path) -> None:
    above = {"adult": ["person"], "person": ["being", "adult"], "being": [], "plant": ["tree"], "tree": ["plant"]}
    report = read(write(tmp_path, {**FULL, "metadata/subclass_of.json": {**above, "stone": ["stone"]}})).report
    # animal, plant, stone and tree
    assert report["notes"][-4:] == [
        "4 of 7 classes have no entity",
        "the class hierarchy has a cycle through adult, person",
        "the class hierarchy has a cycle through plant, tree",
        "the class hierarchy has a cycle through stone",
    ]
    assert report["superclass_pairs"] == 6
    assert not any("cycle" in note for note in read(write(tmp_path, FULL)).report["notes"])


def test_triples_with_unseen_names_are_kept(tmp_path: Path) -> None:
    dataset = read(write(tmp_path, {**FILES, "test.txt": "ann\tsees\tbob\nann\tlikes\tdan\nann\tlikes\tann\n"}))
    assert dataset.testing.num_triples == 3
    assert dataset.report["splits"]["testing"]["unseen"] == 2
    assert {factory.num_entities for factory in dataset.factory_dict.values()} == {4}


def test_near_inverses_are_told_but_symmetry_is_not(tmp_path: Path) -> None:
    pairs = [(f"a{i}", f"b{i}") for i in range(10)]
    lines = [
        *((h, "owns", t) for h, t in pairs),
        *((t, "owned", h) for h, t in pairs[:9]),  # nine of ten: near enough
        *((t, "partly", h) for h, t in pairs[:8]),  # eight of ten: not
        *((h, "knows", t) for h, t in pairs),
        ("b0", "knows", "a0"),
    ]
    lines += [("x", "married", "y"), ("y", "married", "x")]
    text = "".join("\t".join(line) + "\n" for line in lines)
    report = read(
        write(tmp_path, {**FILES, "train.txt": text, "valid.txt": "x\tmarried\ty\n", "test.txt": text})
    ).report
    # owned reverses owns and knows, and both reverse it
    assert "3 of 5 relations have a near inverse in training (more than 80% of the pairs of both)" in report["notes"]


# Writing


@pytest.mark.parametrize("files", [FILES, {**FILES, **MAPPING}, FULL], ids=["triples", "mapping", "full"])
def test_writing_and_reading_is_the_identity(tmp_path: Path, files: Mapping[str, Any]) -> None:
    dataset = read(write(tmp_path / "given", files))
    write_folder(dataset, tmp_path / "written")
    again = read(tmp_path / "written")
    assert again == dataset
    assert list(again.entity_to_id) == list(dataset.entity_to_id)
    assert same_schema(again.schema, dataset.schema)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["given", "written"]


def test_writing_overwrites_nothing(tmp_path: Path) -> None:
    dataset = read(write(tmp_path, FILES))
    with pytest.raises(InputError, match="exists already; remove it"):
        write_folder(dataset, tmp_path)
    assert read(tmp_path) == dataset


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = read(write(tmp_path / "given", FULL))

    def fail(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("negsamp.datasets.folder._write_schema", fail)
    with pytest.raises(OSError, match="disk full"):
        write_folder(dataset, tmp_path / "written")
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


# Storage


@pytest.mark.parametrize("files", [FILES, FULL], ids=["triples", "full"])
def test_saving_and_loading_is_the_identity(tmp_path: Path, files: Mapping[str, Any]) -> None:
    dataset = read(write(tmp_path / "given", files))
    dataset.save(tmp_path / "saved")
    again = SchemaDataset.load(tmp_path / "saved")
    assert again == dataset
    assert (again.name, again.report) == (dataset.name, dataset.report)
    assert list(again.entity_to_id) == list(dataset.entity_to_id)
    assert same_schema(again.schema, dataset.schema)
    if again.schema is not None:
        again.schema.check(TripleSet(again.training.mapped_triples, again.num_entities, again.num_relations))
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == [
        "dataset.safetensors",
        "labels.json",
        "report.json",
    ]


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    dataset = read(write(tmp_path / "given", FULL))
    for name in ("one", "two"):
        dataset.save(tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_labels_of_another_data_set_are_refused(tmp_path: Path) -> None:
    read(write(tmp_path / "given", FILES)).save(tmp_path / "one")
    read(write(tmp_path / "given", {**FILES, **MAPPING})).save(tmp_path / "two")
    (tmp_path / "one/labels.json").replace(tmp_path / "two/labels.json")
    with pytest.raises(InputError, match=r"two/labels\.json: names other ids than dataset\.safetensors"):
        SchemaDataset.load(tmp_path / "two")


def test_a_missing_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dataset\.safetensors: cannot be read"):
        SchemaDataset.load(tmp_path)


def test_the_splits_are_pykeens(tmp_path: Path) -> None:
    """PyKEEN's own reader finds the same triples and numbers the names of training alike."""
    from pykeen.triples import TriplesFactory

    write(tmp_path, {**FILES, "train.txt": FILES["train.txt"] + "cat\tsees\tdan\n"})
    ours, theirs = read(tmp_path).training, TriplesFactory.from_path(tmp_path / "train.txt")
    assert torch.equal(ours.mapped_triples, theirs.mapped_triples)
    assert ours.entity_to_id == theirs.entity_to_id


def test_a_data_set_of_pykeens_is_written_too(tmp_path: Path) -> None:
    nations = get_dataset(dataset="nations")
    write_folder(nations, tmp_path / "nations")
    read = load_dataset(f"{tmp_path}/nations")
    assert read.entity_to_id == nations.entity_to_id
    for split in ("training", "validation", "testing"):
        found, wanted = (getattr(of, split).mapped_triples.tolist() for of in (read, nations))
        assert sorted(found) == sorted(wanted)
