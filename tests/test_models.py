"""PyKEEN's models: saved without pickle, the same when loaded; their regularizers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from names import MODELS
from pykeen.datasets import Nations
from pykeen.models import ERModel, model_resolver
from pykeen.regularizers import LpRegularizer, NoRegularizer

from negsamp.auxiliary import train_auxiliary
from negsamp.errors import InputError
from negsamp.io import load_tensors, save_tensors
from negsamp.models import load_model, save_model, takes_regularizer, with_l2


def train(model: str, **options: Any) -> tuple[ERModel, dict[str, Any]]:
    return train_auxiliary(
        Nations().training,
        Nations().validation,
        model=model,
        model_kwargs={"embedding_dim": 8},
        training_loop="slcwa",
        loss="marginranking",
        epochs=1,
        **options,
    )


@pytest.mark.parametrize("l2_weight", [0.0, 0.001])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_the_same_when_loaded(name: str, l2_weight: float, tmp_path: Path):
    model, settings = train(name, l2_weight=l2_weight)
    path = tmp_path / "model.safetensors"
    save_model(path, model, settings)
    loaded, found = load_model(path)
    assert found == {**settings, "num_entities": 14, "num_relations": 55, "create_inverse_triples": False}
    assert type(loaded) is type(model)
    assert not loaded.training
    lines = Nations().training.mapped_triples
    assert torch.equal(loaded.predict_hrt(lines), model.eval().predict_hrt(lines))
    assert torch.equal(loaded.predict_t(lines[:20, :2]), model.predict_t(lines[:20, :2]))
    assert torch.equal(loaded.predict_h(lines[:20, 1:]), model.predict_h(lines[:20, 1:]))


def test_loading_leaves_the_generator_of_the_sampler_alone(tmp_path: Path):
    model, settings = train("TransE")
    save_model(tmp_path / "model.safetensors", model, settings)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    load_model(tmp_path / "model.safetensors")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_training_gives_the_same_bytes(tmp_path: Path):
    contents = set()
    for _ in range(2):
        model, settings = train("RESCAL")
        # several keys in a header would come in a random order
        for i in range(10):
            save_model(tmp_path / f"{i}.safetensors", model, settings)
            contents.add((tmp_path / f"{i}.safetensors").read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize("name", MODELS)
def test_l2_takes_the_place_of_the_models_own_regularizer(name: str):
    factory = Nations().training
    for weight in (None, 0.0, 0.25):
        made = model_resolver.make(name, triples_factory=factory, **with_l2(name, {"embedding_dim": 8}, weight))
        found = [module for module in made.modules() if isinstance(module, LpRegularizer)]
        weighted = [regularizer.weight.item() for regularizer in found]
        if takes_regularizer(name) and weight:
            assert set(weighted) == {0.25}
            assert {regularizer.p for regularizer in found} == {2.0}
        else:
            assert not found


def test_which_models_take_a_regularizer():
    without = {name for name in MODELS if not takes_regularizer(name)}
    assert "QuatE" in without
    assert "TransE" not in without
    options = with_l2("TransE", {"embedding_dim": 3}, None)
    assert options["embedding_dim"] == 3
    assert isinstance(options["regularizer"], NoRegularizer)


def test_a_cut_file_is_named(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    save_model(path, *train("TransE"))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be read as safetensors .*; delete"):
        load_model(path)
    with pytest.raises(InputError, match=r"nothing\.safetensors: cannot be read"):
        load_model(tmp_path / "nothing.safetensors")


def other_model(settings: dict[str, Any]) -> None:
    settings["model"] = "NoSuchModel"


def no_model(settings: dict[str, Any]) -> None:
    del settings["model"]


def other_size(settings: dict[str, Any]) -> None:
    settings["model_kwargs"] = {"embedding_dim": 9}


def unknown_option(settings: dict[str, Any]) -> None:
    settings["model_kwargs"] = {"colour": "red"}


@pytest.mark.parametrize("change", [other_model, no_model, other_size, unknown_option])
def test_a_file_that_holds_no_such_model_is_named_in_one_line(change: Any, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    save_model(path, *train("TransE"))
    tensors, settings = load_tensors(path)
    change(settings)
    save_tensors(path, tensors, settings)
    message = r"(?s)model\.safetensors: no model can be rebuilt from these settings .*; train it again"
    with pytest.raises(InputError, match=message) as error:
        load_model(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_refused(number: float, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    save_model(path, *train("TransE"))
    tensors, settings = load_tensors(path)
    tensors["entity_representations.0._embeddings.weight"][3, 1] = number
    save_tensors(path, tensors, settings)
    with pytest.raises(InputError, match=r"model\.safetensors: the model holds what is no number; train it again"):
        load_model(path)


def test_weights_of_another_type_are_refused(tmp_path: Path):
    # found by fuzzing: torch can ask numbers of eight bits next to nothing
    path = tmp_path / "model.safetensors"
    save_model(path, *train("TransE"))
    tensors, settings = load_tensors(path)
    name = "entity_representations.0._embeddings.weight"
    save_tensors(path, {**tensors, name: tensors[name].to(torch.float8_e4m3fn)}, settings)
    with pytest.raises(
        InputError, match=r"no model can be rebuilt .*the tensor .* is .*float8_e4m3fn.*; train it again"
    ):
        load_model(path)


def test_settings_that_do_not_make_the_model_are_refused_before_anything_is_written(tmp_path: Path):
    # PyKEEN's own default brings a regularizer, which these settings leave out
    model = model_resolver.make("TransE", triples_factory=Nations().training, embedding_dim=2, random_seed=0)
    path = tmp_path / "model.safetensors"
    with pytest.raises(InputError, match=r"model\.safetensors: no model can be rebuilt .*regularizer"):
        save_model(path, model, {"model": "TransE", "model_kwargs": {"embedding_dim": 2}, "l2_weight": None})
    assert not path.exists()
