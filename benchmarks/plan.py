"""What a plan takes as a grid grows, in time and memory: ``snakemake --dry-run`` of ``configs/paper.yaml``.

The fewer trials a job runs, the more jobs there are. Writes ``plan.csv`` and ``plan.md``::

    python benchmarks/plan.py
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import pandas as pd

from negsamp.io import atomic_path


@click.command()
@click.option("--config", default="configs/paper.yaml", show_default=True)
@click.option("--trials-per-job", "sizes", multiple=True, type=int, default=(20, 10, 5, 2, 1), show_default=True)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="docs/results", show_default=True)
def main(config: str, sizes: tuple[int, ...], output: Path) -> None:
    """Plan grids of several sizes."""
    rows = []
    for size in sizes:
        rows.append({"trials a job": size, **plan(config, size)})
        click.echo(rows[-1])
    table = pd.DataFrame(rows)
    output.mkdir(parents=True, exist_ok=True)
    with atomic_path(output / "plan.csv") as path:
        table.to_csv(path, index=False, float_format="%.4g")
    with atomic_path(output / "plan.md") as path:
        path.write_text(
            table.astype(object).to_markdown(index=False, floatfmt=".0f", intfmt=",") + "\n", encoding="utf-8"
        )


def plan(config: str, trials_per_job: int) -> dict[str, float]:
    """Plan once, in a process of its own."""
    with tempfile.NamedTemporaryFile("w+", suffix=".yaml") as overlay, tempfile.TemporaryFile("w+") as printed:
        overlay.write(f"hpo: {{trials_per_job: {trials_per_job}}}\n")
        overlay.flush()
        command = ["snakemake", "--dry-run", "--cores", "1", "--configfile", config, overlay.name, "--quiet", "rules"]
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", *command], stdout=printed, stderr=subprocess.STDOUT)  # noqa: S603
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        printed.seek(0)
        text = printed.read()
        if status:
            raise click.ClickException(text)
    return {
        "jobs": int(re.findall(r"^total +(\d+)", text, flags=re.MULTILINE)[-1]),
        "seconds": seconds,
        "of processor time": usage.ru_utime + usage.ru_stime,
        "peak MB": usage.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    main()
