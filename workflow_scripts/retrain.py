"""Choose the best setting of a study's trials, train it with a seed, and rank the test triples."""

from pathlib import Path

from negsamp.datasets import SchemaDataset
from negsamp.hpo import Options, Study, choose, retrain
from negsamp.io import job_log, read_jsonl, write_json

with job_log(snakemake.log[0]):
    wildcards, params = snakemake.wildcards, snakemake.params
    record, cost = retrain(
        SchemaDataset.load(Path(snakemake.input.dataset[0]).parent),
        Study(wildcards.dataset, wildcards.model, wildcards.sampler, int(wildcards.negatives)),
        choose([record for chunk in snakemake.input.trials for record in read_jsonl(chunk)]),
        seed=int(wildcards.seed),
        options=Options(**params.options),
        pools=snakemake.input.get("pools") or None,
        threads=params.threads,
    )
    write_json(snakemake.output.record, record)
    write_json(snakemake.output.timing, cost)
