"""What the open questions have in common: trainings with a fixed setting, and the pools that they draw from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pykeen.training.training_loop import NonFiniteLossError
from pykeen.utils import resolve_device

from negsamp.auxiliary import train_auxiliary
from negsamp.choice import OBJECTIVE
from negsamp.datasets import SchemaDataset
from negsamp.descriptors import POOL_DESCRIPTORS, describe_pools
from negsamp.errors import InputError
from negsamp.hpo import Options, Study, Training, content_of, run_kept
from negsamp.hpo.process import run_forked
from negsamp.hpo.training import versions
from negsamp.io import digest, file_hash, stable_seed
from negsamp.models import save_model
from negsamp.pools import save_stage
from negsamp.sampling import SAMPLERS, make_sampler

__all__ = ["Found", "Runs", "find_pools"]


@dataclass(frozen=True)
class Runs:
    """Trainings of one job: every model with every number of negatives and seed, each kept once it is finished.

    Settings are fixed beforehand, the same for every sampler: nothing is searched for, and nothing chosen on test.
    """

    #: model → ``margin``, ``learning_rate``, ``l2_weight``
    settings: Mapping[str, Mapping[str, float]]
    #: numbers of negatives a positive
    negatives: Sequence[int]
    seeds: Sequence[int]
    #: sampler → what its trainings have in common
    options: Mapping[str, Options]
    #: torch threads
    threads: int
    #: the folder that finished trainings are kept in
    parts: Path
    #: a digest of the code that decides what a training comes to
    code: str

    @classmethod
    def of_job(cls, parts: Path, code: str, *, options: Mapping[str, Mapping[str, Any]], **kwargs: Any) -> Runs:
        """Make the runs of a job from plain values.

        :param parts: see the class
        :param code: see the class
        :param options: sampler → the options of its trainings
        :param kwargs: the rest
        """
        return cls(options={name: Options(**own) for name, own in options.items()}, parts=parts, code=code, **kwargs)

    def train(
        self, dataset: SchemaDataset, sampler: str, pools: Path | None, seeds: Iterable[int] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Train, and rank the test triples.

        :param dataset: the data set
        :param sampler: one of the samplers of :attr:`options`
        :param pools: its stored pools; None for samplers that have none beforehand
        :param seeds: None: all

        :yields: a record of each training: the study, ``seed``, ``state`` and ``reason``, the test MRR, ``slots`` by
            stage, and the ``reciprocal_ranks`` of the test triples, the mean of both sides; MRR and ranks are None
            where it failed
        """
        content = content_of(dataset, "training", "validation", "testing")
        inputs = [self.code, self._ran_on, content, pools and file_hash(pools, "sha256")]
        for model, number, seed in product(self.settings, self.negatives, self.seeds if seeds is None else seeds):
            study, setting = Study(dataset.name, model, sampler, number), self.settings[model]
            options = self.options[sampler]
            # the same for every sampler and number of negatives
            random_seed = stable_seed(seed, dataset.name, model)
            file = None if pools is None else str(pools)
            training = Training(dataset, study, setting, random_seed, options, file, "testing")
            part = digest([inputs, asdict(study), dict(setting), random_seed, asdict(options)])
            record, _, ranks = run_kept(training, self.threads, self.parts / f"{part}.json", with_ranks=True)
            mean = None if ranks is None else np.mean([1 / np.array(of_side) for of_side in ranks.values()], axis=0)
            yield {
                **asdict(study),
                "seed": seed,
                **{name: record[name] for name in ("state", "reason", "slots")},
                OBJECTIVE: record["metrics"] and record["metrics"][OBJECTIVE],
                "reciprocal_ranks": None if mean is None else mean.round(7).tolist(),
            }

    def train_with(self, dataset: SchemaDataset, found: Found, sampler: str, seed: int) -> Iterator[dict[str, Any]]:
        """Train with pools that were found for one seed; see :meth:`train`.

        :yields: the records, without reciprocal ranks, and with the description of the ``pools``
        """
        pools = found.described.get(sampler, dict.fromkeys(POOL_DESCRIPTORS))
        for record in self.train(dataset, sampler, found.files.get(sampler), seeds=[seed]):
            del record["reciprocal_ranks"]
            yield {**record, "pools": pools}

    def in_fork(self, name: str, work: Callable[[], Any]) -> Any:
        """Do what may use a GPU: a process that has cannot leave it to its children, which train."""
        return run_forked(name, work, self.threads)

    @cached_property
    def _ran_on(self) -> list[Any]:
        device = next(iter(self.options.values())).device
        return [self.threads, self.in_fork("looking for the device", lambda: str(resolve_device(device))), versions()]


@dataclass(frozen=True)
class Found:
    """Pools that were found, and the auxiliary model that some of them were found with."""

    #: sampler → the file
    files: Mapping[str, Path]
    #: sampler → the numbers of :data:`negsamp.descriptors.POOL_DESCRIPTORS`; empty if they were not asked for
    described: Mapping[str, Mapping[str, float]]
    #: of the auxiliary model, on validation triples; None: there is none
    auxiliary_mrr: float | None


def find_pools(
    dataset: SchemaDataset,
    samplers: Iterable[str],
    folder: Path,
    *,
    runs: Runs,
    auxiliary: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    described: bool = True,
    max_triples: int | None = None,
) -> Found:
    """Train an auxiliary model if a sampler asks for one, find the pools of samplers, store them, and describe them.

    :param dataset: the data set
    :param samplers: the samplers; one that has no pools before a training is left out
    :param folder: where files go
    :param runs: what they are for
    :param auxiliary: options of :func:`negsamp.auxiliary.train_auxiliary`; None: no sampler asks for a model
    :param options: of the samplers, that decide which pools are found
    :param described: whether they are described
    :param max_triples: how many training triples describe the pools, evenly spread; None: all

    :raises InputError: if the auxiliary model diverges
    """
    files = {name: folder / f"{name}.safetensors" for name in samplers if SAMPLERS[name].needs != "training"}
    is_asked = any(SAMPLERS[name].needs == "auxiliary" for name in files)

    def work() -> tuple[float | None, dict[str, dict[str, float]]]:
        model_file, quality = None, None
        if auxiliary is not None and is_asked:
            model_file = folder / "auxiliary.safetensors"
            try:
                model, record = train_auxiliary(dataset.training, dataset.validation, **auxiliary)
            except NonFiniteLossError as error:
                raise InputError(
                    f"{dataset.name}: the auxiliary {auxiliary['model']} diverged ({error}); lower its learning_rate"
                ) from error
            save_model(model_file, model, record)
            quality = record["validation"][OBJECTIVE]
        held_out = torch.cat([dataset.validation.mapped_triples, dataset.testing.mapped_triples])
        descriptions = {}
        for name, path in files.items():
            sampler = make_sampler(name, dataset, auxiliary=model_file, **options)
            save_stage(path, sampler.stages[0], sampler.triples, filtered=options["filtered"])
            if described:
                descriptions[name] = describe_pools(sampler, held_out, max_triples)
        return quality, descriptions

    quality, descriptions = runs.in_fork(f"finding the pools of {dataset.name}", work)
    return Found(files, descriptions, quality)
