"""Rank-based evaluation: PyKEEN's ranks and metrics, at the cost of a matrix product."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pykeen.evaluation import MetricResults, RankBasedEvaluator, evaluator_resolver
from pykeen.evaluation.ranks import Ranks
from pykeen.models import ERModel, Model
from pykeen.training.training_loop import NonFiniteLossError
from pykeen.typing import (
    COLUMN_HEAD,
    COLUMN_RELATION,
    COLUMN_TAIL,
    LABEL_HEAD,
    LABEL_TAIL,
    FloatTensor,
    LongTensor,
    MappedTriples,
    Target,
)
from pykeen.utils import prepare_filter_triples
from tqdm import tqdm

from negsamp.progress import progress
from negsamp.scoring import score_blocks
from negsamp.triples import distinct

__all__ = ["FastRankBasedEvaluator"]


class FastRankBasedEvaluator(RankBasedEvaluator):
    """Ranks as :class:`pykeen.evaluation.RankBasedEvaluator` does, in a small part of its time and memory.

    All entities are scored once for each distinct pair (h, r) and (r, t), by a matrix product or a distance kernel
    where the model allows it (:func:`negsamp.scoring.score_blocks`), in blocks that bound the memory by themselves.
    Known to PyKEEN by name once this package is imported::

        pipeline(dataset="wn18", model="TransE", evaluator="fastrankbased")

    What this evaluation does not cover, PyKEEN's own does: unfiltered ranks, those among some entities or relations,
    inductive models, and models without representations.

    Numbers that are none are refused: PyKEEN would fail in many ways, or count them as good ranks.
    """

    #: the realistic ranks of the last evaluation by side, in the order of its triples; shape of each: (num_triples,).
    #: Empty after one that was left to PyKEEN.
    realistic_ranks: dict[Target, NDArray[np.float64]]

    def __init__(self, *, known_positives: MappedTriples | None = None, **kwargs: Any) -> None:
        """Make the evaluator.

        :param known_positives: shape: (num_known, 3), what never competes in any evaluation, beside what that one is
            given: early stopping names the training triples alone
        :param kwargs: the options of :class:`pykeen.evaluation.RankBasedEvaluator`
        """
        super().__init__(**kwargs)
        self.known_positives = known_positives
        self.realistic_ranks = {}

    def evaluate(
        self,
        model: Model,
        mapped_triples: MappedTriples,
        batch_size: int | None = None,
        slice_size: int | None = None,
        device: torch.device | None = None,
        use_tqdm: bool = True,
        tqdm_kwargs: Mapping[str, Any] | None = None,
        restrict_entities_to: Collection[int] | None = None,
        restrict_relations_to: Collection[int] | None = None,
        do_time_consuming_checks: bool = True,
        additional_filter_triples: MappedTriples | list[MappedTriples] | None = None,
        pre_filtered_triples: bool = True,
        targets: Collection[Target] = (LABEL_HEAD, LABEL_TAIL),
    ) -> MetricResults:
        """Evaluate a model; see :meth:`pykeen.evaluation.Evaluator.evaluate`.

        :param model: the model
        :param mapped_triples: shape: (num_triples, 3), what is ranked
        :param batch_size: at most so many pairs are scored at a time; None: as many as the memory budget holds
        :param slice_size: at most so many entities are scored at a time by a model that is asked for its own scores
        :param device: where to; None: the model's
        :param use_tqdm: whether to show a progress bar
        :param tqdm_kwargs: its options
        :param restrict_entities_to: left to PyKEEN
        :param restrict_relations_to: left to PyKEEN
        :param do_time_consuming_checks: left to PyKEEN
        :param additional_filter_triples: shape of each: (num_known, 3), positives beside those that are ranked
        :param pre_filtered_triples: left to PyKEEN
        :param targets: the sides that are replaced

        :returns: the metrics

        :raises NonFiniteLossError: if a parameter of the model or a score is not finite
        """
        if not all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
            raise NonFiniteLossError("a parameter of the model is not finite")
        self.realistic_ranks = {}
        if self.known_positives is not None:
            given = [] if additional_filter_triples is None else additional_filter_triples
            given = [given] if torch.is_tensor(given) else given
            additional_filter_triples = [*given, self.known_positives]
        is_restricted = restrict_entities_to is not None or restrict_relations_to is not None
        is_usual = self.filtered and self.mode is None and set(targets) <= {LABEL_HEAD, LABEL_TAIL}
        if is_restricted or not is_usual or not isinstance(model, ERModel) or not len(mapped_triples):
            return super().evaluate(
                model,
                mapped_triples,
                batch_size,
                slice_size,
                device,
                use_tqdm,
                tqdm_kwargs,
                restrict_entities_to,
                restrict_relations_to,
                do_time_consuming_checks,
                additional_filter_triples,
                pre_filtered_triples,
                targets,
            )
        device = device or model.device
        model.to(device).eval()
        known = _known_positives(mapped_triples, additional_filter_triples).to(device)
        self.clear()
        with progress(
            description="ranking",
            unit="rank",
            **{"total": len(targets) * len(mapped_triples), "disable": not use_tqdm, **(tqdm_kwargs or {})},
        ) as bar:
            for target in targets:
                self._rank(model, mapped_triples.to(device), known, target, batch_size, slice_size, bar)
        return self.finalize()

    def _rank(
        self,
        model: ERModel,
        triples: MappedTriples,
        known: MappedTriples,
        target: Target,
        batch_size: int | None,
        slice_size: int | None,
        bar: tqdm,
    ) -> None:
        """Rank one side of the triples.

        :param triples: shape: (num_triples, 3)
        :param known: shape: (num_known, 3), distinct, the triples among them
        """
        missing, anchor = (COLUMN_TAIL, COLUMN_HEAD) if target == LABEL_TAIL else (COLUMN_HEAD, COLUMN_TAIL)
        keys = triples[:, COLUMN_RELATION] * model.num_entities + triples[:, anchor]
        known_keys = known[:, COLUMN_RELATION] * model.num_entities + known[:, anchor]
        is_asked = torch.isin(known_keys, keys)
        pairs, known_rows, num_known = known_keys[is_asked].unique(return_inverse=True, return_counts=True)
        # the known positives and the ranked triples, one list a pair, end to end
        known_rows, known_order = known_rows.sort()
        known_entities = known[is_asked, missing][known_order]
        rows, order = torch.searchsorted(pairs, keys).sort()
        entities = triples[order, missing]

        better, tied = torch.empty_like(rows), torch.empty_like(rows)
        relations, anchors = pairs // model.num_entities, pairs % model.num_entities
        start, num_candidates = 0, 0
        for scores in score_blocks(model, anchors, relations, target, batch_size=batch_size, slice_size=slice_size):
            # NaN shows in both
            if not torch.stack(scores.aminmax()).isfinite().all():
                raise NonFiniteLossError("a score is not finite")
            block = rows.new_tensor([start, start + len(scores)])
            first, last = torch.searchsorted(rows, block).tolist()
            true_scores = scores[rows[first:last] - start, entities[first:last]]
            some = slice(*torch.searchsorted(known_rows, block).tolist())
            # no known positive competes, and a ranked triple not with itself
            scores[known_rows[some] - start, known_entities[some]] = -torch.inf
            # a pair may have more triples than a block has pairs
            for chunk in torch.arange(first, last, device=rows.device).split(len(scores)):
                competitors, own = scores[rows[chunk] - start], true_scores[chunk - first, None]
                better[chunk] = _count(competitors > own)
                tied[chunk] = _count(competitors == own)
            start, num_candidates = start + len(scores), scores.shape[-1]
            bar.update(last - first)

        ranks = Ranks(
            optimistic=better + 1,
            realistic=(2 * better + tied + 2).float() / 2,
            pessimistic=better + tied + 1,
            number_of_options=num_candidates - num_known[rows] + 1,
        )
        self.num_entities = num_candidates
        in_order = order.argsort()
        self.realistic_ranks[target] = ranks.realistic[in_order].double().cpu().numpy()
        for rank_type, values in ranks.items():
            self.ranks[target, rank_type].append(values[in_order].cpu().numpy())
        self.num_candidates[target].append(ranks.number_of_options[in_order].cpu().numpy())

    def process_scores_(
        self,
        hrt_batch: MappedTriples,
        target: Target,
        scores: FloatTensor,
        true_scores: FloatTensor | None = None,
        dense_positive_mask: FloatTensor | None = None,
    ) -> None:
        """Rank a batch, where PyKEEN evaluates.

        :raises NonFiniteLossError: if the score of a ranked triple is not finite
        """
        if true_scores is not None and not true_scores.isfinite().all():
            raise NonFiniteLossError("a score is not finite")
        super().process_scores_(hrt_batch, target, scores, true_scores, dense_positive_mask)


def _known_positives(
    mapped_triples: MappedTriples, additional_filter_triples: MappedTriples | list[MappedTriples] | None
) -> MappedTriples:
    """Return what :func:`pykeen.utils.prepare_filter_triples` does, which looks for distinct rows many times longer."""
    if additional_filter_triples is None:
        # it warns that training triples are missing
        return distinct(prepare_filter_triples(mapped_triples).cpu())
    if torch.is_tensor(additional_filter_triples):
        additional_filter_triples = [additional_filter_triples]
    return distinct(torch.cat([*additional_filter_triples, mapped_triples]).cpu())


def _count(mask: torch.Tensor) -> LongTensor:
    # torch adds up 32 bits several times faster than its default 64
    return mask.sum(dim=-1, dtype=torch.int32).long()


evaluator_resolver.register(FastRankBasedEvaluator, raise_on_conflict=False)
