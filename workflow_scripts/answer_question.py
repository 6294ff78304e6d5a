"""Answer an open question: table, figure and verdict."""

from negsamp.io import job_log
from negsamp.results.questions import ANSWERS, write_answer

with job_log(snakemake):
    params = snakemake.params
    answer = ANSWERS[params.question](snakemake.input.records, **params.options)
    write_answer(answer, **dict(snakemake.output.items()))
