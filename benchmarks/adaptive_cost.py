"""What a refresh of the adaptive near misses costs, beside an epoch of training.

Trains with ``adaptiveadversarial`` and refreshes its pools after each epoch but the last, once within a budget of pairs
and once in full; epochs are timed from the second one on, since only then they draw from pools that were found. Times
are those of the processor, which other programs on the machine disturb least. Writes ``adaptive-cost.csv`` (each time
that was taken) and ``adaptive-cost.md`` (medians)::

    NEGSAMP_MIRROR=path/to/archives python benchmarks/adaptive_cost.py
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch
from pykeen.models import model_resolver
from pykeen.training import SLCWATrainingLoop, TrainingCallback

from negsamp import SamplerHandle
from negsamp.datasets import SchemaDataset, load_dataset
from negsamp.io import atomic_path
from negsamp.models import with_l2
from negsamp.twins import twin_of


class Stopwatch(TrainingCallback):
    """Times the epochs, and refreshes between them; the time of a refresh is no part of an epoch's."""

    def __init__(self, handle: SamplerHandle, repeats: int, max_pairs: int) -> None:
        """Prepare the watch.

        :param handle: shows the sampler of the training loop
        :param repeats: after how many epochs to refresh
        :param max_pairs: the budget of the first of the two refreshes
        """
        super().__init__()
        self.handle = handle
        self.repeats = repeats
        self.max_pairs = max_pairs
        self.start: float | None = None
        #: what was timed, pairs searched for (0: an epoch), and seconds of the processor
        self.times: list[tuple[str, int, float]] = []

    def pre_batch(self, **kwargs: Any) -> None:
        """Start the epoch."""
        if self.start is None:
            self.start = time.process_time()

    def post_epoch(self, epoch: int, epoch_loss: float, **kwargs: Any) -> None:
        """Stop the epoch, and refresh twice."""
        if epoch > 1:
            self.times.append(("epoch", 0, time.process_time() - self.start))
        self.start = None
        if epoch <= self.repeats:
            for what, budget in (("refresh within the budget", self.max_pairs), ("refresh of all pairs", None)):
                start = time.process_time()
                pairs = self.handle.sampler.refresh(self.model, budget)
                self.times.append((what, pairs, time.process_time() - start))


def measure(dataset: SchemaDataset, name: str, repeats: int, max_pairs: int) -> Iterator[dict[str, Any]]:
    """Train a model for one epoch more than the repeats.

    :yields: one row a time that was taken
    """
    handle = SamplerHandle()
    watch = Stopwatch(handle, repeats, max_pairs)
    model = model_resolver.make(
        twin_of(name),
        with_l2(name, {"embedding_dim": 50}, None),
        triples_factory=dataset.training,
        random_seed=0,
        loss="marginranking",
    )
    loop = SLCWATrainingLoop(
        model=model,
        triples_factory=dataset.training,
        optimizer="adam",
        optimizer_kwargs={"lr": 1e-3},
        negative_sampler="adaptiveadversarial",
        negative_sampler_kwargs={"num_negs_per_pos": 10, "handle": handle},
        automatic_memory_optimization=False,
    )
    loop.train(dataset.training, num_epochs=repeats + 1, batch_size=1000, callbacks=watch, use_tqdm=False)
    for what, pairs, seconds in watch.times:
        yield {"dataset": dataset.name, "model": name, "what": what, "pairs": pairs, "seconds": round(seconds, 3)}


def table(frame: pd.DataFrame) -> str:
    """Lay out medians, with each refresh as a share of an epoch."""
    medians = frame.groupby(["model", "what", "pairs"], sort=False)["seconds"].median().reset_index()
    epoch = medians.query("what == 'epoch'").set_index("model")["seconds"]
    medians["in epochs"] = (medians["seconds"] / medians["model"].map(epoch)).map("{:.2f}".format)
    medians["pairs"] = medians["pairs"].map(lambda pairs: f"{pairs:,}" if pairs else "")
    medians["seconds"] = medians["seconds"].map("{:.1f}".format)
    return medians.to_markdown(index=False, disable_numparse=True, colalign=("left", "left", "right", "right", "right"))


@click.command()
@click.option("--dataset", default="fb15k-237", show_default=True)
@click.option("--model", "models", multiple=True, default=("TransE", "RESCAL"), show_default=True, help="Repeatable.")
@click.option("--repeats", default=3, show_default=True, help="Times taken of each.")
@click.option("--max-pairs", default=10_000, show_default=True, help="The budget.")
@click.option("--threads", default=1, show_default=True, help="Torch threads.")
@click.option("--mirror", type=click.Path(file_okay=False), envvar="NEGSAMP_MIRROR", help="Folder of archives.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default="docs/results",
    show_default=True,
    help="Folder to write to.",
)
def main(
    dataset: str, models: tuple[str, ...], repeats: int, max_pairs: int, threads: int, mirror: str | None, output: Path
) -> None:
    """Time epochs and refreshes, in dimension 50, with 10 negatives a positive and batches of 1000."""
    torch.set_num_threads(threads)
    loaded = load_dataset(dataset, mirror=mirror)
    rows = []
    for name in models:
        rows += measure(loaded, name, repeats, max_pairs)
        frame = pd.DataFrame(rows)
        click.echo(frame)
        with atomic_path(output / "adaptive-cost.csv") as path:
            frame.to_csv(path, index=False)
        with atomic_path(output / "adaptive-cost.md") as path:
            path.write_text(table(frame) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
