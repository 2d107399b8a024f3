"""A soft prompt and the whole embedding matrix of the source, each row trained (ADePT's Table 10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from trials.config import Recipe
from trials.methods import (
    PROMPT_INIT,
    PROMPT_LENGTH,
    PROMPT_LR,
    Drop,
    Method,
    Sizes,
    Values,
    Weights,
    rate,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trials.methods.base.module import Surroundings


class EmbeddingMatrix(Method):
    """Input [P ; X], where token t has row t of a matrix X that starts at the backbone's and is trained.

    X stands at the input alone. The released code trains T5's shared matrix, which its decoder and its head read as
    well; the paper does not say which of the three its row means.

    Parameters: m d + vocabulary d; 24.8M (Table 10) on T5-base with 100 rows of prompt, 24.7M with the 60 of its other
    tables.
    """

    name = "embedding_matrix"
    hyperparameters: ClassVar = {
        "prompt_lr": PROMPT_LR,
        "matrix_lr": rate("largest learning rate of the embedding matrix"),
        "prompt_length": PROMPT_LENGTH,
        "prompt_init": PROMPT_INIT,
    }
    groups: ClassVar = {"prompt": "prompt_lr", "matrix": "matrix_lr"}

    def tensors(self, values: Values, sizes: Sizes, recipe: Recipe) -> dict[str, Weights]:
        """X, a row for each token of the vocabulary."""
        return {"matrix": Weights((sizes.vocabulary, sizes.width), "matrix")}

    def starts(self, values: Values, around: Surroundings, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Method.starts`: the backbone's rows."""
        return {"matrix": around.embedding.detach().float().cpu().clone()}

    def embed(
        self, parameters: Mapping[str, Tensor], tokens: Tensor, embeddings: Tensor, positions: Tensor, drop: Drop
    ) -> Tensor:
        """See `Method.embed`."""
        return parameters["matrix"].gather(1, tokens[:, :, None].expand(-1, -1, embeddings.shape[2]))
