"""Train every model with a sampler and one of its fallbacks."""

from pathlib import Path

from negsamp.datasets import SchemaDataset
from negsamp.gpu import own_gpu
from negsamp.io import job_log, write_jsonl
from negsamp.questions import Runs, vary_fallback

with job_log(snakemake), own_gpu(snakemake.resources.gpu):
    wildcards, params, output = snakemake.wildcards, snakemake.params, Path(snakemake.output.records)
    runs = Runs.of_job(output.parent / "parts", params.trained, **params.runs)
    dataset = SchemaDataset.load(Path(snakemake.input.dataset[0]).parent)
    fallback = None if wildcards.fallback == "none" else wildcards.fallback
    write_jsonl(
        output, vary_fallback(dataset, wildcards.sampler, fallback, runs=runs, pools=Path(snakemake.input.pools))
    )
