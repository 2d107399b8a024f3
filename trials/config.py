"""What one trial is: a configuration, a seed, a recipe and a budget. Facts only: nothing here needs torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from trials.methods import Method

Value = float | int | str
Architecture = Literal["encoder-decoder", "decoder-only"]
Lane = Literal["fast", "stock"]
Precision = Literal["float32", "float32-exact", "bfloat16"]
PromptInit = Literal["text", "vocabulary", "uniform"]

TRAINER_REVISION = 2
"""Goes up when the same configuration comes to give other numbers, so that no search mixes both; kept with each search
and each checkpoint, where those of before have none (`FIRST_REVISION`).

2: `released_code` updates as transformers' AdamW did, no longer as torch's; LoRA changes the key projections of
decoder-only models, too; macro F1 averages over all classes of the task, no longer over those among the targets.
"""

FIRST_REVISION = 1
"""Of searches and checkpoints that do not say."""


@dataclass(frozen=True)
class Recipe:
    """The training constants that the paper and its released code disagree on.

    Attributes:
        betas, eps, weight_decay: AdamW's constants.
        adamw: whose order of its operations (`trials.stack.optimizer.adamw`): ``transformers`` adds eps to the root of
            the uncorrected second moment and decays last; ``torch`` corrects the moment first, and decays first.
        offset_dropout: probability on the offset network's pre-activation, 0 for none.
        prompt_init: where prompt rows start unless a configuration says otherwise.
        down_init: scale of W_down: ``fan_out`` draws from U(-1/sqrt(r), 1/sqrt(r)), what ``kaiming_uniform_`` does to
            a (d, r) matrix; ``fan_in`` from U(-1/sqrt(d), 1/sqrt(d)), what ``nn.Linear(d, r)`` would do.
    """

    name: str
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    adamw: Literal["transformers", "torch"]
    offset_dropout: float
    prompt_init: PromptInit
    down_init: Literal["fan_out", "fan_in"]
    max_grad_norm: float = 1.0


RECIPES: dict[str, Recipe] = {
    # What the public repository does when it runs (transformers' AdamW of its time with a learning rate alone, text
    # prompt, dropout before the ReLU). The published numbers most likely came from it, so it is the default.
    "released_code": Recipe("released_code", (0.9, 0.999), 1e-6, 0.0, "transformers", 0.1, "text", "fan_out"),
    # What the paper says (Tables 17 to 19; equation 3 has no dropout). It is silent on AdamW's order of operations, on
    # the start of ADePT's prompt and of W_down: torch's own, vocabulary rows as for its PT baseline, and the default of
    # a linear layer.
    "paper": Recipe("paper", (0.9, 0.98), 1e-6, 0.01, "torch", 0.0, "vocabulary", "fan_in"),
}


@dataclass(frozen=True)
class TrialConfig:
    """One point of a search space with a seed, trained up to a budget.

    Attributes:
        method: its name (`trials.methods.method_names`).
        hyperparameters: the configuration, e.g. ``{"prompt_lr": 0.3, "mlp_lr": 1e-4, "prompt_length": 60, ...}``.
        seed: moves data order, dropout and initialisation; never the data split.
        steps: the budget in optimizer updates; the learning rate decays to zero over all of it, wherever a scheduler
            may stop the trial.
        eval_every: updates between two reports.
        warmup_steps: updates of linear warm-up.
        sources: names of the source prompts that it starts from, of a method that transfers (`Method.sources`).
        shots: rows of train that it is trained on, drawn by its seed (`trials.data.few_shot`); None: all.
    """

    method: str
    hyperparameters: dict[str, Value]
    steps: int
    eval_every: int
    seed: int = 42
    recipe: str = "released_code"
    batch_size: int = 32
    warmup_steps: int = 500
    sources: tuple[str, ...] = ()
    shots: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))  # JSON has lists

    @property
    def constants(self) -> Recipe:
        """The recipe's constants."""
        return RECIPES[self.recipe]

    @property
    def inner(self) -> bool:
        """Whether it changes something inside the backbone."""
        return self._method.kind != "embedding"

    @property
    def prompt_length(self) -> int:
        """Rows of its soft prompt."""
        return self._method.prompt_length(self.hyperparameters)

    @property
    def _method(self) -> Method:
        from trials.methods import get_method  # its declarations are made of what stands here

        return get_method(self.method)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; ``TrialConfig(**d)`` is the way back."""
        found = asdict(self)
        if not self.sources:  # as a configuration was written before there were any
            del found["sources"]
        if self.shots is None:  # as a configuration was written before there were any
            del found["shots"]
        return found


@dataclass(kw_only=True)
class Report:
    """One evaluation of a trial: what a scheduler decides on.

    Scores are percentages (0 to 100, greater is better), losses nats a target token; seconds count since the report
    before. The validation loss is known where the task's answers are few (`trials.evaluation.Scored`).
    """

    step: int
    score: float
    best_score: float
    best_step: int
    train_loss: float
    validation_loss: float | None = None
    validation: dict[str, float] = field(default_factory=dict)
    learning_rates: dict[str, float] = field(default_factory=dict)
    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    status: Literal["running", "finished", "diverged"] = "running"

    def as_dict(self) -> dict[str, Any]:
        """Flat, as schedulers and metric stores want it: ``validation/accuracy``, ``learning_rate/prompt``, ..."""
        return {
            "step": self.step,
            "score": self.score,
            "best_score": self.best_score,
            "best_step": self.best_step,
            "train/loss": self.train_loss,
            **({} if self.validation_loss is None else {"validation/loss": self.validation_loss}),
            **{f"validation/{name}": value for name, value in self.validation.items()},
            **{f"learning_rate/{group}": value for group, value in self.learning_rates.items()},
            "seconds/train": self.train_seconds,
            "seconds/evaluation": self.evaluation_seconds,
            "status": self.status,
        }
