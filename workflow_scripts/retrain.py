"""Choose the best setting of a study's trials, train it with a seed, and rank the test triples."""

import json
import os
from pathlib import Path

from negsamp.datasets import SchemaDataset
from negsamp.gpu import own_gpu
from negsamp.hpo import Options, Study, Tracking, retrain
from negsamp.io import job_log, write_json
from negsamp.ranks import write_ranks
from negsamp.records import read_all_trials

with job_log(snakemake), own_gpu(snakemake.resources.gpu):
    wildcards, params = snakemake.wildcards, snakemake.params
    dataset = SchemaDataset.load(Path(snakemake.input.dataset[0]).parent)
    options = Options(**params.options)
    outcome = retrain(
        dataset,
        Study(wildcards.dataset, wildcards.model, wildcards.sampler, int(wildcards.negatives)),
        read_all_trials(snakemake.input.trials, params.planned),
        seed=int(wildcards.seed),
        options=options,
        pools=snakemake.input.get("pools") or None,
        threads=params.threads,
        tracking=Tracking(**json.loads(os.environ["NEGSAMP_TRACKING"])),
    )
    write_ranks(snakemake.output.ranks, dataset.testing, options.max_evaluation_triples, outcome.ranks)
    write_json(snakemake.output.record, outcome.record)
    write_json(snakemake.output.timing, outcome.cost)
