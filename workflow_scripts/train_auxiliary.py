"""Train the auxiliary model of a data set, and save it with its own validation metrics."""

from pathlib import Path

import torch

from negsamp.auxiliary import train_auxiliary
from negsamp.datasets import SchemaDataset
from negsamp.gpu import own_gpu
from negsamp.io import job_log, stable_seed, write_json
from negsamp.models import save_model

with job_log(snakemake), own_gpu(snakemake.resources.gpu):
    torch.set_num_threads(snakemake.params.threads)
    dataset = SchemaDataset.load(Path(snakemake.input.dataset[0]).parent)
    model, record = train_auxiliary(
        dataset.training,
        dataset.validation,
        **snakemake.params.options,
        max_evaluation_triples=snakemake.params.evaluation["max_triples"],
        device=snakemake.params.device,
        random_seed=stable_seed(snakemake.params.seed, dataset.name, "auxiliary"),
    )
    save_model(snakemake.output.model, model, record)
    write_json(snakemake.output.record, {"dataset": dataset.name, "archive": dataset.archive, **record})
