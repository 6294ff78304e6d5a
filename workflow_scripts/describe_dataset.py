"""Describe the structure of a data set in numbers."""

from pathlib import Path

from negsamp.datasets import SchemaDataset
from negsamp.descriptors import describe_dataset
from negsamp.io import job_log, write_json

with job_log(snakemake):
    dataset = SchemaDataset.load(Path(snakemake.input.dataset[0]).parent)
    write_json(snakemake.output.structure, {"dataset": dataset.name, **describe_dataset(dataset)})
