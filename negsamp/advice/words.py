"""Advice in words: every sentence with the numbers that it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import fill

from tabulate import tabulate

from negsamp.advice.advise import BASELINE, Advice, SamplerAdvice
from negsamp.advice.forecast import INTERVAL, Forecast
from negsamp.sampling import SAMPLERS

__all__ = ["advice_text"]

#: how many reasons are told, and from which share of the MRR on
_REASONS, _LEAST_CHANGE = 3, 0.03
#: letters a line
_WIDTH = 110
#: what a graph is introduced by
_SHOWN = ("entities", "relations", "triples", "triples_per_entity", "classes", "untyped", "undeclared")


def advice_text(advice: Advice) -> str:
    """Write advice as text: a table of all samplers, what speaks for each line, and what the numbers mean."""
    structure = {name: advice.structure[name] for name in _SHOWN}
    told = [f"{name} {_number(value)}" for name, value in structure.items() if value is not None]
    models = dict.fromkeys(model for one in advice.samplers for model in one.forecasts)
    ordered = sorted(advice.samplers, key=lambda one: -max((f.gain for f in one.forecasts.values()), default=-1))
    rows = [
        [
            one.sampler,
            one.verdict,
            *(_gain(one.forecasts[model]) if model in one.forecasts else "–" for model in models),
        ]
        for one in ordered
    ]
    table = tabulate(rows, headers=["sampler", f"against {BASELINE}", *models], disable_numparse=True)
    closing = (
        f"A gain is by how much test MRR is above that of {BASELINE} negatives, as a share of the latter: the "
        "geometric mean of what was measured on other graphs, generated ones counting as one more, moved by structure. "
        f"Of what structure predicts, {advice.weight:.0%} is taken, as so much of it has proved right on benchmark "
        "graphs; it goes together with gains on generated graphs, and need not be their cause. Intervals hold "
        f"{INTERVAL:.0%} of the gains on benchmark graphs, each predicted from the others. All models were trained "
        "with fixed or sparsely searched settings and little time. Where it is not clear, train with both and compare."
    )
    paragraphs = map(_paragraph, ordered)
    return "\n\n".join([f"{advice.dataset}: {', '.join(told)}", table, *paragraphs, fill(closing, _WIDTH)])


def _paragraph(one: SamplerAdvice) -> str:
    why = "" if one.lacks is None else f", the graph has no {one.lacks}"
    return "\n  ".join([f"{one.sampler}: {one.verdict}{why}.", *_pools(one), *_evidence(one)])


def _pools(one: SamplerAdvice) -> Iterator[str]:
    if one.pools is not None:
        share, empty = one.pools["pool_share"], one.pools["no_pool"]
        yield f"pools: {share:.2%} of the entities on average, none for {empty:.0%} of the triples and sides"
    elif one.lacks is None:
        whose = "an auxiliary model, trained beforehand" if SAMPLERS[one.sampler].needs == "auxiliary" else "the model"
        yield f"pools: those of {whose}"


def _evidence(one: SamplerAdvice) -> Iterator[str]:
    for model, found in one.forecasts.items():
        structural = found.structural
        measured = [f"{graph} {gain:+.0%}" for graph, gain in found.measured.items()]
        measured += [f"{structural.graphs} generated graphs {structural.mean_gain:+.0%}"]
        yield f"{model}: {_gain(found)}"
        yield f"  measured: {', '.join(measured)}"
        reasons = [
            f"{reason.descriptor} {_number(reason.value)} (usually {_number(reason.usual)}) {reason.change:+.0%}"
            for reason in structural.reasons[:_REASONS]
            if reason.value is not None and abs(reason.change) >= _LEAST_CHANGE
        ]
        skill = structural.skill
        yield (
            f"  structure: {found.moved:+.0%}; alone it predicts {structural.gain:+.0%}"
            + (f" by {', '.join(reasons)}" if reasons else "")
            + f"; right on generated graphs left out by ρ = {skill.rho:.2f} [{skill.low:.2f}, {skill.high:.2f}]"
        )
    outside = {far.descriptor: far for found in one.forecasts.values() for far in found.structural.extrapolated}
    if outside:
        told = [
            f"{far.descriptor} {_number(far.value)} ({_number(far.low)} to {_number(far.high)})"
            for far in outside.values()
        ]
        yield f"outside the generated graphs, taken for their end: {', '.join(told)}"


def _gain(found: Forecast) -> str:
    return f"{found.gain:+.0%} [{found.low:+.0%}, {found.high:+.0%}]"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
