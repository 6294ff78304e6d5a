"""The rank of each test triple, kept so that methods can be compared triple by triple."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pykeen.triples import CoreTriplesFactory

from negsamp.errors import InputError
from negsamp.io import atomic_path
from negsamp.pipeline import sample_triples

__all__ = ["read_ranks", "write_ranks"]

_TRIPLE = ["head", "relation", "tail"]
_RANKS = ["head_rank", "tail_rank"]
#: how many bytes they may unpack to: those of ten million triples
_LARGEST = 1 << 30


def write_ranks(
    path: str | os.PathLike[str],
    split: CoreTriplesFactory,
    max_triples: int | None,
    ranks: Mapping[str, Sequence[float]] | None,
) -> None:
    """Write the ranked triples by id, and the realistic rank of the entity on either side: compressed CSV.

    :param path: the file, ``.csv.gz``
    :param split: what was ranked
    :param max_triples: how many of it, see :func:`negsamp.pipeline.sample_triples`
    :param ranks: by side, in the order of the triples; None: nothing was ranked, and the file holds no row
    """
    triples = sample_triples(split, max_triples).mapped_triples[: None if ranks else 0]
    frame = pd.DataFrame(triples.numpy(), columns=_TRIPLE)
    for name in _RANKS:
        frame[name] = ranks[name.removesuffix("_rank")] if ranks else []
    text = frame.to_csv(index=False, float_format="%.10g", lineterminator="\n")
    with atomic_path(path) as temporary:
        # without the time of writing, and the name: other bytes of the same ranks
        temporary.write_bytes(gzip.compress(text.encode(), mtime=0))


def read_ranks(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read what :func:`write_ranks` wrote.

    :returns: columns ``head``, ``relation``, ``tail``, ``head_rank``, ``tail_rank``; one row a triple

    :raises InputError: if the file is missing or damaged
    """
    try:
        with gzip.open(path) as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"it unpacks to more than {_LARGEST:,} bytes")
        dtypes: dict[str, Any] = {**dict.fromkeys(_TRIPLE, "int64"), **dict.fromkeys(_RANKS, float)}
        frame = pd.read_csv(io.BytesIO(content), dtype=dtypes)[[*_TRIPLE, *_RANKS]]
        if (frame[_TRIPLE] < 0).any(axis=None) or not frame[_RANKS].apply(np.isfinite).all(axis=None):
            raise ValueError("an id is negative, or a rank is no number")
        if (frame[_RANKS] < 1).any(axis=None):
            raise ValueError("a rank is less than 1")
        return frame
    except (OSError, EOFError, OverflowError, ValueError, KeyError, zlib.error) as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise InputError(
            f"{path}: not the ranks of a retraining ({reason}); delete it and run its job again"
        ) from error
