"""Where the sampler that a training loop makes for itself can be met."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from negsamp.sampling.base import PoolNegativeSampler

__all__ = ["SamplerHandle"]


class SamplerHandle:
    """Shows the sampler that was made last with this handle among its options.

    PyKEEN's pipeline keeps the class and the options of a sampler, and its training loop makes an instance of them.
    Whoever holds the handle meets that instance::

        handle = SamplerHandle()
        pipeline(..., negative_sampler="corrupt", negative_sampler_kwargs={"handle": handle})
        handle.sampler.usage
    """

    #: None: none was made yet
    sampler: PoolNegativeSampler | None = None
