"""The methods that are known: the files of `trials.methods`, and what installed packages add.

A package adds one by an entry point of the group `GROUP`, with the method's name and its class::

    [project.entry-points."adept_search.methods"]
    scale = "my_package.scale:Scale"

It is imported when its name is asked for, so a broken package harms no search that has no use for it.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import get_args

from trials.errors import UserError, did_you_mean
from trials.methods.base.declaration import Kind, Method
from trials.methods.base.hyperparameters import Hyperparameter
from trials.methods.base.tensors import RECIPE, Sizes, Weights

GROUP = "adept_search.methods"
EXAMPLE = Sizes(8, 16, {"0": (8, 8)})
"""On which a declaration is tried out."""


@cache
def shipped() -> dict[str, Method]:
    """The methods of this project by name: every `Method` that a module of `trials.methods` declares."""
    package = import_module("trials.methods")
    modules = [
        import_module(f"{package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(package.__path__)
        if not found.ispkg
    ]
    classes = [
        one
        for module in modules
        for one in vars(module).values()
        if isinstance(one, type)
        and issubclass(one, Method)
        and one.__module__ == module.__name__
        and hasattr(one, "name")
    ]
    return {one.name: one() for one in sorted(classes, key=lambda one: (not one.standard, one.name))}


@cache
def installed() -> dict[str, list[EntryPoint]]:
    """The entry points of other packages by name; one that several folders hold alike counts once."""
    found: dict[str, list[EntryPoint]] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        same = found.setdefault(point.name, [])
        if point.value not in {other.value for other in same}:
            same.append(point)
    return found


def method_names() -> list[str]:
    """All names: the standard method, this project's others, those of other packages. Imports none of the last."""
    return list(dict.fromkeys([*shipped(), *installed()]))


def standard_method() -> str:
    """The method of a search that names none."""
    return next(name for name, method in shipped().items() if method.standard)


@cache
def get_method(name: str) -> Method:
    """The method of a name.

    Raises:
        UserError: there is none; several packages have one of that name; it cannot be imported; or its declaration is
            wrong, with everything that is.
    """
    points = installed().get(name, [])
    if len(points) + (name in shipped()) > 1:
        owners = [*["adept-search"] * (name in shipped()), *map(_owner, points)]
        again = f"uninstall one, or give its entry point in {GROUP} another name"
        raise UserError([f"method {name!r}: declared by {' and by '.join(owners)}; {again}"])
    if name in shipped():
        return shipped()[name]
    if not points:
        names = method_names()
        raise UserError([f"method {name!r}: must be one of {', '.join(names)}{did_you_mean(name, names)}"])
    where = f"method {name!r}: {_owner(points[0])}"
    try:
        declared = points[0].load()
        method = declared() if isinstance(declared, type) else declared
    except Exception as error:  # somebody else's code: whatever it raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError([f"{where} cannot be imported ({reason}); mend that package, or uninstall it"]) from error
    if not isinstance(method, Method):
        raise UserError([f"{where} is no subclass of trials.methods.Method but {declared!r} (docs/own-method.md)"])
    found = problems(method)
    if getattr(method, "name", name) != name:
        found.append(f"its name is {method.name!r}, but its entry point's {name!r}; give both the same")
    if found:
        raise UserError([f"{where}: {problem}" for problem in found])
    return method


def stackable_methods() -> str:
    """What to choose where a method cannot be used on a backbone, for messages."""
    names = [name for name, method in shipped().items() if method.kind == "embedding"]
    return f"choose a method at the input ({', '.join(names)})"


def problems(method: Method) -> list[str]:
    """What is wrong with a declaration, each with the fix; empty where nothing is."""
    for part in ("name", "hyperparameters", "groups"):
        if not getattr(method, part, None):
            return [f"it says nothing of its {part}"]
    rules, found = method.hyperparameters, []
    for name, rule in rules.items():
        if not isinstance(rule, Hyperparameter):
            found.append(f"hyperparameter {name}: {rule!r} is none; write rate(...), count(...) or choice(...)")
            continue
        found += [f"hyperparameter {name}: {problem}" for problem in rule.problems()]
    if found:
        return found
    for group, name in method.groups.items():
        if name not in rules or rules[name].type != "float":
            found.append(f"group {group}: its learning rate {name!r} is no hyperparameter that is a number")
    if method.kind not in get_args(Kind):
        found.append(f"its kind {method.kind!r} is not one of {', '.join(get_args(Kind))}")
    if method.sized is not None and (method.sized not in rules or rules[method.sized].type != "int"):
        found.append(f"sized: {method.sized!r} is no hyperparameter that is a whole number")
    elif method.sized is not None and method.kind == "modules":
        found.append(
            f"sized: {method.sized!r} follows from a budget of prompt rows, which a method inside has no part in"
        )
    if method.kind != "modules" and not found:
        found += _problems_of_tensors(method)
    return found


def _problems_of_tensors(method: Method) -> list[str]:
    """Whether the tensors of a small configuration can be made, and have learning rates."""
    values = {name: _some_value(rule) for name, rule in method.hyperparameters.items()}
    try:
        tensors = method.tensors(values, EXAMPLE, RECIPE)
    except Exception as error:  # somebody else's code: whatever it raises
        return [f"its tensors of {values} cannot be declared ({type(error).__name__}: {error})"]
    return [
        f"tensor {name}: {weights!r} is no Weights with a group out of {', '.join(method.groups)}"
        for name, weights in tensors.items()
        if not isinstance(weights, Weights) or weights.group not in method.groups
    ]


def _some_value(rule: Hyperparameter) -> float | int | str:
    if rule.default is not None:
        return rule.default
    if rule.type == "choice":
        return rule.choices[0]
    ends = [end for end in (rule.minimum, rule.maximum, 1) if end is not None]
    return int(ends[0]) if rule.type == "int" else float(ends[0])


def _owner(point: EntryPoint) -> str:
    return f"the package {point.dist.name if point.dist else '?'} ({point.value})"
