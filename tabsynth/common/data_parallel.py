"""Data-parallel training: each process computes the gradient of its part of every batch, and all take the mean.

The processes are those of ``torch.distributed``'s default group, which torchrun or a caller starts. Everything else of
a fit follows from the seed, or in a private fit from the random bytes of the first process, and is repeated in each, so
all end with the same model.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def n_processes() -> int:
    """Return the number of processes that train together."""
    if "torch" not in sys.modules:  # nobody has started a process group, and commands without a model need no torch
        return 1
    from torch import distributed

    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def process_rank() -> int:
    """Return the number of this process, from 0."""
    if n_processes() == 1:
        return 0
    from torch import distributed

    return distributed.get_rank()


def own_rows(batch: Tensor) -> Tensor:
    """Return this process's part of a batch."""
    many = n_processes()
    return batch if many == 1 else batch[process_rank() :: many]


def sum_gradients(gradients: Sequence[Tensor]) -> None:
    """Replace gradients by their sum over the processes, in place."""
    if n_processes() == 1:
        return
    from torch import distributed

    for gradient in gradients:
        distributed.all_reduce(gradient)


def average_gradients(gradients: Sequence[Tensor]) -> None:
    """Replace gradients by their mean over the processes, in place."""
    sum_gradients(gradients)
    many = n_processes()
    for gradient in gradients if many > 1 else ():
        gradient /= many


def share_first(tensors: Sequence[Tensor]) -> None:
    """Replace tensors by those of the first process, in place."""
    if n_processes() == 1:
        return
    from torch import distributed

    for tensor in tensors:
        distributed.broadcast(tensor, 0)


def share_number(value: float, device: torch.device) -> float:
    """Return the first process's number."""
    if n_processes() == 1:
        return value
    import torch

    shared = torch.tensor(value, dtype=torch.float64, device=device)
    share_first([shared])
    return float(shared)


def shared_random_bytes(n: int) -> bytes:
    """Return bytes of the operating system's cryptographic source, the same ones in all processes."""
    if n_processes() == 1 or n == 0:
        return os.urandom(n)
    import torch

    drawn = torch.frombuffer(bytearray(os.urandom(n)), dtype=torch.uint8).to(_group_device())
    share_first([drawn])
    return drawn.cpu().numpy().tobytes()


def _group_device() -> torch.device:
    """Return the device whose tensors the group's backend sends."""
    import torch
    from torch import distributed

    return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")


@contextmanager
def process_group() -> Iterator[int]:
    """Join the processes that torchrun started, if it did; yields the number of this process."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or n_processes() > 1:
        yield process_rank()
        return
    import torch
    from torch import distributed

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield process_rank()
    finally:
        distributed.destroy_process_group()
