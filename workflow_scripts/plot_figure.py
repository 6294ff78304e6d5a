"""Plot a figure of records: PNG and PDF."""

from negsamp.io import job_log
from negsamp.results import FIGURES, Grid, write_figure

with job_log(snakemake):
    grid = Grid(**snakemake.params.grid)
    figure = FIGURES[snakemake.params.figure](**dict(snakemake.input.items()), grid=grid)
    write_figure(figure, png=snakemake.output.png, pdf=snakemake.output.pdf)
