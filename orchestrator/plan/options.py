"""What an option of a search is: all that the command line, a search's files, MLflow and the docs need to know of it.

`orchestrator.plan.settings` lists the options. An option's name, type, bounds and default are those of its field there;
an `Option` beside them says the rest. Nothing else names an option but the code that uses its value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, get_args

from pydantic import BaseModel

from orchestrator.command_lines import flag

Given = dict[str, str | None]
"""Options as text, by their names in Python; None: not given."""


class Group(StrEnum):
    """The heading in ``--help`` below which an option stands."""

    TRAIN = "What to train"
    SEARCH = "How to search"
    PLACE = "Where it runs"
    RESULT = "What it leaves"
    NOW = "What to do now"


class When(StrEnum):
    """Whether an option's value is written down: never, where it is not the default, or always."""

    NEVER = "never"
    CHANGED = "changed"
    ALWAYS = "always"


@dataclass(frozen=True)
class Option:
    """An option's description; its name, type and default are those of its field.

    Attributes:
        help: what it is, for ``--help`` and the docs; ``{choices}`` stands for its values.
        metavar: what its value is called; empty for one without a value.
        unset: what holds where it is not given, in words; empty: its default.
        choices: makes the values that it may have; those of a `Literal` are known without.
        schedulers: those that make use of it; empty: all.
        former: names that it had; they are understood with a note.
        numbers: what depends on it: of each trial alone (``trial``), of which trials are trained and how far
            (``search``), or none (``none``).
        decides: when it stands in a search's definition by itself; what a search trains by other options follows from
            the configurations of its trials.
        recorded: when it stands among the settings of a search's record and the parameters of its run in MLflow.
        identifies: whether it is a parameter of the run in MLflow though no setting: the record has a field for it.
        resume: on going on with a search by its name it is as it was (``same``), says where the search is (``finds``),
            or may be given anew (``anew``).
        moves: what it names, in words, where that is a file or folder, which may have moved when a search goes on.
    """

    group: Group
    help: str
    metavar: str = ""
    unset: str = ""
    choices: Callable[[], Sequence[str]] | None = None
    schedulers: tuple[str, ...] = ()
    former: tuple[str, ...] = ()
    numbers: Literal["trial", "search", "none"] = "search"
    decides: When = When.NEVER
    recorded: When = When.NEVER
    identifies: bool = False
    resume: Literal["same", "finds", "anew"] = "same"
    moves: str = ""

    @property
    def renewable(self) -> bool:
        """Whether it may be given anew when a search goes on."""
        return self.resume == "anew" or bool(self.moves)


class OptionModel(BaseModel):
    """A model whose fields are options: each has an `Option` in its annotation."""

    @classmethod
    def options(cls) -> dict[str, Option]:
        """The options by their names in Python, in the order in which they are shown."""
        return {
            name: next(found for found in field.metadata if isinstance(found, Option))
            for name, field in cls.model_fields.items()
        }

    @classmethod
    def names(cls, wanted: Callable[[Option], bool] = lambda option: True) -> tuple[str, ...]:
        """The names of all options, or of those of which something is true."""
        return tuple(name for name, option in cls.options().items() if wanted(option))

    @classmethod
    def choices(cls, name: str) -> tuple[str, ...]:
        """The values that an option may have; none where they cannot be listed."""
        make = cls.options()[name].choices
        return tuple(make()) if make else get_args(cls.model_fields[name].annotation) if cls._is_literal(name) else ()

    @classmethod
    def is_flag(cls, name: str) -> bool:
        """Whether an option takes no value."""
        return cls.model_fields[name].annotation is bool

    @classmethod
    def default(cls, name: str) -> Any:
        """An option's value where it is not given; None where something else decides it then, an environment too."""
        field = cls.model_fields[name]
        return field.default if field.default_factory is None else None

    @classmethod
    def meaning(cls, name: str) -> str:
        """What an option is, in words."""
        option, choices = cls.options()[name], cls.choices(name)
        used = f"{', '.join(option.schedulers)}: " if option.schedulers else ""
        listed = " or ".join(filter(None, (", ".join(choices[:-1]), *choices[-1:])))
        return used + option.help.replace("{choices}", listed)

    @classmethod
    def unset(cls, name: str) -> str:
        """What holds where an option is not given, in words; empty where there is nothing to say."""
        default = cls.default(name)
        number = f"{default:g}" if isinstance(default, float) else str(default)
        return cls.options()[name].unset or ("" if default is None or cls.is_flag(name) else number)

    @classmethod
    def _is_literal(cls, name: str) -> bool:
        return getattr(cls.model_fields[name].annotation, "__origin__", None) is Literal


def current(options: Mapping[str, Any], model: type[OptionModel]) -> dict[str, Any]:
    """Options as an earlier version wrote them down, under their names of now."""
    renamed = {old: name for name, option in model.options().items() for old in option.former}
    return {renamed.get(key, key): value for key, value in options.items()}


def former_flags(*models: type[OptionModel]) -> dict[str, str]:
    """Options of the command line that have other names now: ``--eta`` and its new name."""
    return {
        flag(old): flag(name) for model in models for name, option in model.options().items() for old in option.former
    }


def written(values: Mapping[str, Any], model: type[OptionModel], when: Callable[[Option], When]) -> dict[str, Any]:
    """Those values that are to be written down.

    Args:
        values: of all options, as they were resolved.
        when: of an option, e.g. its `Option.recorded`.
    """

    def is_written(name: str, option: Option) -> bool:
        rule = when(option)
        return rule is When.ALWAYS or (rule is When.CHANGED and values[name] != model.default(name))

    return {name: values[name] for name, option in model.options().items() if is_written(name, option)}
