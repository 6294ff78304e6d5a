"""Train every model with every sampler on generated graphs of one structure."""

from pathlib import Path

from negsamp.gpu import own_gpu
from negsamp.io import job_log, write_jsonl
from negsamp.questions import Runs, sweep_structure

with job_log(snakemake), own_gpu(snakemake.resources.gpu):
    params, output = snakemake.params, Path(snakemake.output.records)
    runs = Runs.of_job(output.parent / "parts", params.trained, **params.runs)
    write_jsonl(output, sweep_structure(params.graph, runs=runs, auxiliary=params.auxiliary, pool_options=params.pools))
