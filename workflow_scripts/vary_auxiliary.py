"""Train every model with the negatives of one kind of auxiliary model, from untrained to trained."""

from pathlib import Path

from negsamp.datasets import SchemaDataset
from negsamp.gpu import own_gpu
from negsamp.io import job_log, write_jsonl
from negsamp.questions import Runs, vary_auxiliary

with job_log(snakemake), own_gpu(snakemake.resources.gpu):
    params, output = snakemake.params, Path(snakemake.output.records)
    runs = Runs.of_job(output.parent / "parts", params.trained, **params.runs)
    dataset = SchemaDataset.load(Path(snakemake.input.dataset[0]).parent)
    records = vary_auxiliary(
        dataset, runs=runs, auxiliary=params.auxiliary, epochs=params.epochs, pool_options=params.pools
    )
    write_jsonl(output, records)
