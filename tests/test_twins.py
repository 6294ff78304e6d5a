"""Twins are the models themselves."""

from collections.abc import Callable

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.models import ERModel, model_resolver
from pykeen.regularizers import LpRegularizer, PowerSumRegularizer

from negsamp.models import takes_regularizer
from negsamp.twins import L2Regularizer, twin_of

TWINS = ["RESCAL", "TransR", "RotatE", "DistMult"]


def both(name: str, p: float = 2.0) -> list[ERModel]:
    """Make the model and its twin, with the same weights."""
    kwargs = {"embedding_dim": 8}
    if takes_regularizer(name):
        kwargs["regularizer"] = LpRegularizer(weight=0.3, p=p)
    make = {"triples_factory": Nations().training, "random_seed": 0}
    return [model_resolver.make(found, dict(kwargs), **make) for found in (name, twin_of(name))]


#: what is scored: triples, or all entities on either side of pairs
SCORES: dict[str, Callable[[ERModel, torch.Tensor], torch.Tensor]] = {
    "triples": lambda model, lines: model.score_hrt(lines),
    "tails": lambda model, lines: model.score_t(lines[:, :2]),
    "heads": lambda model, lines: model.score_h(lines[:, 1:]),
}


def learnt(
    model: ERModel, lines: torch.Tensor, what: str = "triples"
) -> tuple[torch.Tensor, float, list[torch.Tensor]]:
    """Score, regularize and differentiate."""
    scores = SCORES[what](model, lines)
    term = model.collect_regularization_term()
    (scores.square().mean() + term).backward()
    return scores.detach(), torch.as_tensor(term).item(), [p.grad for p in model.parameters() if p.requires_grad]


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("count", [1, 7, 500])
@pytest.mark.parametrize("p", [1.0, 2.0])
@pytest.mark.parametrize("what", SCORES)
def test_scores_regularization_and_gradients_are_the_same(name: str, count: int, p: float, what: str):
    lines = Nations().training.mapped_triples[torch.randperm(1592, generator=torch.Generator().manual_seed(1))[:count]]
    model, twin = both(name, p)
    assert type(twin) is not type(model)
    assert list(twin.state_dict()) == list(model.state_dict())
    (scores, term, gradients), (scores_too, term_too, gradients_too) = (
        learnt(model, lines, what),
        learnt(twin, lines, what),
    )
    torch.testing.assert_close(scores_too, scores)
    assert term_too == pytest.approx(term)
    assert term > 0 or not takes_regularizer(name)
    for gradient, gradient_too in zip(gradients, gradients_too, strict=True):
        torch.testing.assert_close(gradient_too, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", TWINS)
def test_no_triples_have_no_scores(name: str):
    model, twin = both(name)
    lines = torch.empty(0, 3, dtype=torch.long)
    assert twin.score_hrt(lines).shape == model.score_hrt(lines).shape == (0, 1)


@pytest.mark.parametrize("inverse", [False, True])
def test_some_entities_and_inverse_relations_are_left_to_the_model(inverse: bool):
    training = Nations(create_inverse_triples=inverse).training
    kwargs = {"embedding_dim": 8, "triples_factory": training, "random_seed": 0}
    model, twin = (model_resolver.make(found, kwargs).eval() for found in ("DistMult", twin_of("DistMult")))
    lines = training.mapped_triples[:20]
    some = torch.tensor([3, 1, 7])
    for options in ({}, {"slice_size": 4}):
        torch.testing.assert_close(twin.score_t(lines[:, :2], **options), model.score_t(lines[:, :2], **options))
        torch.testing.assert_close(twin.score_h(lines[:, 1:], **options), model.score_h(lines[:, 1:], **options))
    torch.testing.assert_close(twin.score_t(lines[:, :2], tails=some), model.score_t(lines[:, :2], tails=some))
    torch.testing.assert_close(twin.score_h(lines[:, 1:], heads=some), model.score_h(lines[:, 1:], heads=some))


@pytest.mark.parametrize("dtype", [torch.float, torch.cfloat])
def test_the_regularizer_is_pykeens(dtype: torch.dtype):
    terms = []
    for regularizer in (LpRegularizer(weight=0.3, p=2.0), L2Regularizer(0.3)):
        x = torch.randn(50, 8, dtype=dtype, generator=torch.Generator().manual_seed(0)).requires_grad_()
        regularizer.update(x)
        term = regularizer.pop_regularization_term()
        term.backward()
        terms.append((term.detach(), x.grad))
    torch.testing.assert_close(*terms)


def test_a_regularizer_that_is_no_mean_norm_is_taken_over_all_triples():
    kwargs = {"embedding_dim": 8, "triples_factory": Nations().training, "random_seed": 0}
    lines, terms = Nations().training.mapped_triples[:100], []
    for regularizer in (LpRegularizer(weight=0.3, normalize=True), PowerSumRegularizer(weight=0.3)):
        for found in ("RESCAL", twin_of("RESCAL")):
            model = model_resolver.make(found, {**kwargs, "regularizer": regularizer})
            model.score_hrt(lines)
            terms.append(float(model.collect_regularization_term().detach()))
    assert terms[0] == pytest.approx(terms[1])
    assert terms[2] == pytest.approx(terms[3])


def test_regularizers_stay_where_they_are():
    _, twin = both("RESCAL")
    before = list(twin.modules())
    twin.score_hrt(Nations().training.mapped_triples[:5])
    assert [id(module) for module in twin.modules()] == [id(module) for module in before]


@pytest.mark.parametrize("name", ["TransE", "ComplEx"])
def test_other_models_are_pykeens(name: str):
    assert twin_of(name) is model_resolver.lookup(name)
