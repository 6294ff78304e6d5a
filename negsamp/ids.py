"""Ids that come from a file: in range, or refused."""

import torch

__all__ = ["are_ids", "check_ids"]


def are_ids(tensor: torch.Tensor, count: int) -> bool:
    """Tell whether all are at least 0 and below a count."""
    return not tensor.numel() or bool(int(tensor.min()) >= 0 and int(tensor.max()) < count)


def check_ids(name: str, rows: torch.Tensor, *counts: int) -> None:
    """Refuse a tensor that is not of so many rows of ids.

    :param name: what it is, for the error
    :param rows: to be of shape (num_counts, num_ids) and of type long
    :param counts: for each row, how many there are

    :raises ValueError: if it is not
    """
    if rows.dtype != torch.long or rows.dim() != 2 or len(rows) != len(counts):
        raise ValueError(f"{name} are {rows.dtype}, shape {tuple(rows.shape)}")
    for row, count in zip(rows, counts, strict=True):
        if not are_ids(row, count):
            raise ValueError(f"{name} name ids that there are not")
