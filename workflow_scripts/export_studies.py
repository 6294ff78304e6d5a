"""Write trials as Optuna's studies."""

from negsamp.hpo import write_studies
from negsamp.io import job_log
from negsamp.records import read_all_trials

with job_log(snakemake):
    write_studies(snakemake.output.journal, read_all_trials(snakemake.input.trials), snakemake.params.space)
