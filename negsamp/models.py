"""PyKEEN's models by name: their regularizer, and how they are saved without pickle."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from pykeen.models import ERModel, model_resolver
from pykeen.regularizers import NoRegularizer
from pykeen.triples import CoreTriplesFactory
from pykeen.utils import NoRandomSeedNecessary

from negsamp.errors import InputError
from negsamp.io import load_tensors, save_tensors
from negsamp.twins import L2Regularizer, twin_of

__all__ = ["load_model", "save_model", "takes_regularizer", "with_l2"]


def takes_regularizer(model: str) -> bool:
    """Tell whether a model has an option ``regularizer``."""
    return "regularizer" in inspect.signature(model_resolver.lookup(model)).parameters


def with_l2(model: str, model_kwargs: Mapping[str, Any], l2_weight: float | None) -> dict[str, Any]:
    """Return a model's options with L2 regularization of a given weight in place of PyKEEN's default for the model.

    A model that takes no ``regularizer`` is made without any (QuatE has two of its own, which are switched off).

    :param model: the name of a PyKEEN model
    :param model_kwargs: its other options
    :param l2_weight: the weight; None or 0: no regularization
    """
    parameters = inspect.signature(model_resolver.lookup(model)).parameters
    if "regularizer" in parameters:
        regularizer = L2Regularizer(l2_weight) if l2_weight else NoRegularizer()
        return {**model_kwargs, "regularizer": regularizer}
    own = [name for name in parameters if name.endswith("_regularizer")]
    return {**model_kwargs, **dict.fromkeys(own)}


def save_model(path: str | os.PathLike[str], model: ERModel, settings: Mapping[str, Any]) -> None:
    """Save a model to one safetensors file.

    :param path: the file
    :param model: the model
    :param settings: ``model``, ``model_kwargs`` and ``l2_weight`` as the model was made by :func:`with_l2`, and
        whatever else is worth telling, such as the ``triples_digest`` of its training triples

    :raises InputError: if the settings do not make such a model
    """
    header = {
        **settings,
        "num_entities": model.num_entities,
        "num_relations": model.num_real_relations,
        "create_inverse_triples": model.use_inverse_triples,
    }
    # copies: parts of a model may share a tensor, which safetensors would note in a header of no fixed order
    tensors = {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}
    _rebuild(header, tensors, path)
    save_tensors(path, tensors, header)


def load_model(path: str | os.PathLike[str]) -> tuple[ERModel, dict[str, Any]]:
    """Load what :func:`save_model` saved.

    :returns: the model, on the CPU and in evaluation mode; and its settings

    :raises InputError: if the file is damaged or holds no model
    """
    tensors, settings = load_tensors(path)
    model = _rebuild(settings, tensors, path)
    # only now, when they are known to be of types that can be asked
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise InputError(f"{path}: the model holds what is no number; train it again")
    return model, settings


def _rebuild(settings: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], path: str | os.PathLike[str]) -> ERModel:
    try:
        _require_plain(settings["model_kwargs"])
        # laid out without memory at first: a header may ask for more than there is
        layout = _make(settings, "meta").state_dict()
        wanted, found = ({name: (t.shape, t.dtype) for name, t in state.items()} for state in (layout, tensors))
        if wanted != found:
            name = min(wanted.items() ^ found.items(), key=str)[0]
            raise ValueError(f"the tensor {name} is {found.get(name)}, expected {wanted.get(name)}")
        model = _make(settings, "cpu")
        model.load_state_dict(tensors)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: no model can be rebuilt from these settings ({reason}); train it again") from error
    return model.eval()


def _make(settings: Mapping[str, Any], device: str) -> ERModel:
    if not issubclass(cls := model_resolver.lookup(settings["model"]), ERModel):
        raise TypeError(f"{cls.__name__} has no representations")
    factory = CoreTriplesFactory(
        torch.empty(0, 3, dtype=torch.long),
        settings["num_entities"],
        settings["num_relations"],
        create_inverse_triples=settings["create_inverse_triples"],
    )
    kwargs = with_l2(settings["model"], settings["model_kwargs"], settings["l2_weight"])
    # weights are drawn, and thrown away: the global generator is the samplers', and must not notice
    with torch.random.fork_rng(), torch.device(device):
        made = model_resolver.make(
            twin_of(settings["model"]), kwargs, triples_factory=factory, random_seed=NoRandomSeedNecessary
        )
    return cast(ERModel, made)


def _require_plain(kwargs: Mapping[str, Any]) -> None:
    """Refuse texts inside options: some of PyKEEN's models take a path there, and load a pickle from it."""
    for name, value in kwargs.items():
        if any(isinstance(leaf, str) for leaf in _leaves(value)) and not isinstance(value, str):
            raise ValueError(f"the option {name} holds texts")


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from _leaves([*value.values()])
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
