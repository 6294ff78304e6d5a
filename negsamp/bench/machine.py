"""Time, memory, and what the machine is."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import nn

__all__ = ["about", "clock", "clock_name", "memory", "tensor_bytes"]

_MB = 1e6


def clock_name() -> str:
    """Name the clock: with one thread, the processor's time, which other programs on the machine disturb least."""
    return "processor" if torch.get_num_threads() == 1 else "wall"


def clock() -> float:
    """Return the seconds of this clock."""
    return time.process_time() if clock_name() == "processor" else time.perf_counter()


def memory() -> dict[str, float]:
    """Return what this process holds now, has held at most, and shares with nobody, in MB; empty where Linux is not.

    What the system tells by ``getrusage`` would not do: a new process inherits the maximum of the one that started it.
    """
    try:
        status, rollup = (Path(f"/proc/self/{file}").read_text() for file in ("status", "smaps_rollup"))
    except OSError:
        return {}
    kilobytes = {
        key: int(value.split()[0])
        for key, _, value in (line.partition(":") for line in (status + rollup).splitlines())
        if value.endswith(" kB")
    }
    private = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    found = {"resident_mb": kilobytes["VmRSS"], "peak_mb": kilobytes["VmHWM"], "private_mb": private}
    return {key: value * 1024 / _MB for key, value in found.items()}


def tensor_bytes(thing: Any) -> int:
    """Sum what tensors and arrays take that an object holds, directly or inside of what it holds; shared ones once."""
    seen: set[int] = set()
    storages: dict[int, int] = {}
    todo = [thing]
    while todo:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, torch.Tensor):
            storages[item.untyped_storage().data_ptr()] = item.untyped_storage().nbytes()
        elif isinstance(item, np.ndarray):
            storages.setdefault(item.ctypes.data, item.nbytes)
        elif isinstance(item, dict):
            todo += item.values()
        elif isinstance(item, list | tuple):
            todo += item
        elif isinstance(item, nn.Module) or type(item).__module__.startswith("negsamp."):
            todo += vars(item).values() if hasattr(item, "__dict__") else ()
    return sum(storages.values())


def about(context: click.Context, seed: int, **details: Any) -> dict[str, Any]:
    """Say what ran where.

    :param context: the command and its options; paths are left out, which say more of a machine than of a measurement
    :param seed: the seed
    :param details: whatever else is worth telling, such as the data set
    """
    options = {key: value for key, value in context.params.items() if not isinstance(value, Path | None)}
    return {
        "command": context.command_path,
        "options": options,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "clock": clock_name(),
        "seed": seed,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        **details,
    }


_PACKAGES = ("negsamp", "pykeen", "torch", "torchkge")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """Name the processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
