"""Run some trials of a study."""

import json
import os
from pathlib import Path

from negsamp.datasets import SchemaDataset
from negsamp.gpu import own_gpu
from negsamp.hpo import Options, SearchOptions, Study, Tracking, run_trials
from negsamp.io import job_log, write_json, write_jsonl

with job_log(snakemake), own_gpu(snakemake.resources.gpu):
    wildcards, params = snakemake.wildcards, snakemake.params
    records, costs = run_trials(
        SchemaDataset.load(Path(snakemake.input.dataset[0]).parent),
        Study(wildcards.dataset, wildcards.model, wildcards.sampler, int(wildcards.negatives)),
        params.trials,
        search=SearchOptions(**params.search),
        options=Options(**params.options),
        pools=snakemake.input.get("pools") or None,
        threads=params.threads,
        parts=Path(snakemake.output.trials).parent / "parts",
        code=params.code,
        tracking=Tracking(**json.loads(os.environ["NEGSAMP_TRACKING"])),
    )
    write_jsonl(snakemake.output.trials, records)
    write_json(snakemake.output.timing, {"trials": costs})
