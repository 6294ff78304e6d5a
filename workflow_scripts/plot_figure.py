"""Plot a figure of records: PNG and PDF."""

from negsamp.io import job_log
from negsamp.results import FIGURES, write_figure

with job_log(snakemake.log[0]):
    figure = FIGURES[snakemake.params.figure](**dict(snakemake.input.items()), **snakemake.params.options)
    write_figure(figure, png=snakemake.output.png, pdf=snakemake.output.pdf)
