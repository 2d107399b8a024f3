"""MPT (t): MPT's second half, from a shared prompt that was made of source prompts (Wang et al. 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from trials.methods import PROMPT_LR, Values
from trials.methods.base.transfer import SOURCE_LENGTH, Transfer
from trials.methods.mpt import RANK, TASK_LR, Mpt

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trials.methods.base.module import Surroundings

ROUNDS = 25
"""Of the decomposition: alternating least squares, each round of which fits no worse than the one before."""


class MptT(Transfer, Mpt):
    """As ``mpt``; S, U and V start at what the source prompts P_1, ..., P_K have in common.

    The source prompts are decomposed, P_k = S * (u_k v_k), by least squares, and the target starts at S with the means
    of u_k and of v_k (PEFT's AVERAGE_SOURCE_TASKS); of a rank above 1 the other columns are zero. One source gives
    S = P_1 and a matrix of ones. Our reading: MPT finds S, u_k and v_k by training on all source tasks at once,
    distilling from the same prompts as teachers; no code of it is at hand, and a search here trains on one task.

    Parameters: as ``mpt``.
    """

    name = "mpt_t"
    hyperparameters: ClassVar = {
        "prompt_lr": PROMPT_LR,
        "task_lr": TASK_LR,
        "prompt_length": SOURCE_LENGTH,
        "rank": RANK,
    }

    def starts(self, values: Values, around: Surroundings, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Method.starts`."""
        import torch

        shared, columns, rows = decomposed(self.source_prompts(around))
        rest = self.rank(values) - 1
        mean_columns, mean_rows = columns.mean(0)[:, None], rows.mean(0)[None]
        more = torch.randn(rest, shared.shape[1], generator=generator) * 0.02  # as Mpt's: zero times it is zero
        return {
            "prompt": shared,
            "columns": torch.cat([mean_columns, mean_columns.new_zeros(len(shared), rest)], dim=1),
            "rows": torch.cat([mean_rows, more]),
        }


def decomposed(prompts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Source prompts as a shared prompt times a matrix of rank 1 each: sum_k |P_k - S * (u_k v_k)|^2 is made small.

    Starts at their mean and matrices of ones. A scale that could stand in S, u or v is left in S: u and v have a mean
    square of 1 over the sources.

    Args:
        prompts: shape (K, m, d).

    Returns:
        S of shape (m, d), u of shape (K, m), v of shape (K, d), float32.
    """
    p = prompts.double()
    k, m, d = p.shape
    shared, u, v = p.mean(0), p.new_ones(k, m), p.new_ones(k, d)
    for _ in range(ROUNDS if k > 1 else 0):
        weighted = shared * v[:, None]  # what u_k stands before, (K, m, d)
        u = _ratio((p * weighted).sum(2), (weighted**2).sum(2), u)
        weighted = shared * u[:, :, None]
        v = _ratio((p * weighted).sum(1), (weighted**2).sum(1), v)
        matrix = u[:, :, None] * v[:, None]
        shared = _ratio((p * matrix).sum(0), (matrix**2).sum(0), shared)
    if k > 1 and float(u.square().sum()) and float(v.square().sum()):
        of_u, of_v = u.square().mean().sqrt(), v.square().mean().sqrt()
        shared, u, v = shared * of_u * of_v, u / of_u, v / of_v
    return shared.float(), u.float(), v.float()


def _ratio(above: Tensor, below: Tensor, else_: Tensor) -> Tensor:
    """A least-squares coefficient; what it was where nothing depends on it."""
    import torch

    return torch.where(below > 0, above / below.clamp(min=1e-30), else_)
