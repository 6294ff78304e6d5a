"""What PyKEEN knows of negsamp wherever both are installed: data sets, by its entry point, and samplers by name.

PyKEEN loads this module in the midst of its own import, whichever of its modules is imported first: nothing that comes
after may be asked for here. So this lies beside the package ``negsamp``, which needs all of PyKEEN, and imports it only
when a data set is loaded, or a sampler is asked for that PyKEEN does not know.

Only names that PyKEEN lacks are here: one that it has would break the import of ``pykeen.datasets``.
"""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pykeen.datasets import dataset_resolver
from pykeen.datasets.base import LazyDataset
from pykeen.sampling import negative_sampler_resolver

if TYPE_CHECKING:
    from negsamp.datasets import SchemaDataset

__all__ = ["DB50K", "YAGO14K", "YAGO420", "CoDExS", "DB50KPublic", "FB15KPublic", "Synthetic"]


def _registry() -> dict[str, Any]:
    """Read the registry from beside this file, without an import of the package that it lies in."""
    path = Path(__file__).with_name("negsamp") / "datasets/registry.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        # PyKEEN goes on without what cannot be imported, and with no other error
        raise ImportError(f"{path}: cannot be read; install negsamp again") from error


_REGISTRY = _registry()


class _Registered(LazyDataset):
    """A data set of negsamp's registry, read when its triples are first asked for."""

    #: its name in the registry
    registered: ClassVar[str]
    #: what PyKEEN reads from the docstrings of its own data sets
    __docdata__: ClassVar[dict[str, Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        counts = _REGISTRY[cls.registered].get("counts") or dict.fromkeys(
            # PyKEEN sorts by these, so there must be a number even where none is published
            ("training", "validation", "testing", "entities", "relations"),
            math.nan,
        )
        splits = {split: counts[split] for split in ("training", "validation", "testing")}
        cls.__docdata__ = {
            "name": cls.__name__,
            "citation": {"link": _REGISTRY[cls.registered].get("url")},
            "statistics": {
                **{name: counts[name] for name in ("entities", "relations")},
                **splits,
                "triples": sum(splits.values()),
            },
        }

    def __init__(self, *, create_inverse_triples: bool = False, **options: Any) -> None:
        """Remember how the data set is read.

        :param create_inverse_triples: whether the training triples get an inverse each
        :param options: options of :func:`negsamp.datasets.load_dataset`, such as ``mirror``
        """
        self._create_inverse_triples = create_inverse_triples
        self._options = options

    def _load(self) -> None:
        loaded = self._read()
        self._training, self._validation, self._testing = loaded.training, loaded.validation, loaded.testing
        self.schema = loaded.schema
        if self._create_inverse_triples:
            self._training = type(loaded.training)(
                loaded.training.mapped_triples,
                entity_to_id=loaded.training.entity_to_id,
                relation_to_id=loaded.training.relation_to_id,
                create_inverse_triples=True,
            )

    def _read(self) -> SchemaDataset:
        from negsamp.datasets import load_dataset

        return load_dataset(self.registered, **self._options)


class CoDExS(_Registered):
    """CoDEx-S with classes."""

    registered = "codex-s"


class DB50K(_Registered):
    """DBpedia links, typed, as the authors of arXiv 2508.05587 publish them."""

    registered = "db50k"


class DB50KPublic(_Registered):
    """DBpedia links, typed from public sources."""

    registered = "db50k-public"


class FB15KPublic(_Registered):
    """FB15k, typed from public sources."""

    registered = "fb15k-public"


class YAGO14K(_Registered):
    """YAGO links, typed, from a semantic-loss benchmark."""

    registered = "yago14k"


class YAGO420(_Registered):
    """YAGO 4 links, typed, as the authors of arXiv 2508.05587 publish them."""

    registered = "yago4-20"


class Synthetic(_Registered):
    """A typed graph that is generated, by options of :func:`negsamp.datasets.generate`."""

    registered = "synthetic"

    def _read(self) -> SchemaDataset:
        from negsamp.datasets import generate

        return generate(**self._options)


# if this module is the first that is imported, PyKEEN finds it empty
for _cls in _Registered.__subclasses__():
    dataset_resolver.register(_cls, raise_on_conflict=False)


def _lookup(query: Any, default: Any = None) -> Any:
    """Look a sampler up as PyKEEN does; negsamp comes with the first name that PyKEEN does not know."""
    known = {*negative_sampler_resolver.lookup_dict, *negative_sampler_resolver.synonyms}
    if isinstance(query, str) and negative_sampler_resolver.normalize(query) not in known:
        # registers its samplers
        import negsamp  # noqa: F401
    return type(negative_sampler_resolver).lookup(negative_sampler_resolver, query, default)


negative_sampler_resolver.lookup = _lookup  # type: ignore[method-assign]
