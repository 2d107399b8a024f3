"""Numbers and names as a paper prints them, for every place that shows some."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MISSING = "—"

_COLOUR = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")  # a traceback's colours, whole
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",  # the one form that every font encoding has
    "`": r"\textasciigrave{}",
    "\0": "{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\N{EM DASH}": "---",
    "\N{EN DASH}": "--",
    "\N{MINUS SIGN}": "$-$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{HORIZONTAL ELLIPSIS}": r"\dots{}",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
}
# Within a word an underscore is no emphasis in CommonMark, and names read better without a backslash.
_MARKDOWN = re.compile(r"[\\`*\[\]<>#|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def score(value: float | None, signed: bool = False) -> str:
    """Points with one decimal: ``82.0``; with ``signed``, ``+0.7``."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:+.1f}" if signed else f"{value:.1f}"


def points(value: float | None) -> str:
    """What one example is worth, in points with two decimals: ``0.72``."""
    return f"{value:.2f}" if value else MISSING


def between(low: float | None, high: float | None, signed: bool = False) -> str:
    """An interval of scores: ``74.0 to 86.9``."""
    return MISSING if low is None or high is None else f"{score(low, signed)} to {score(high, signed)}"


def whole(value: float | None) -> str:
    """A count with thousands separators: ``30,000``."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:,.0f}"


def parameters(count: float | None) -> str:
    """A count of parameters as papers print it: ``76.1K``, ``1.9M``, ``640``."""
    if count is None or not math.isfinite(count):
        return MISSING
    scale, unit = next(((s, u) for s, u in ((1e9, "B"), (1e6, "M"), (1e3, "K")) if count >= 0.99995 * s), (1.0, ""))
    return f"{count / scale:.1f}{unit}" if unit else f"{count:.0f}"


def share(part: float, whole: float) -> str:
    """A part of a whole in percent: ``33.1 %``."""
    return f"{100.0 * part / whole:.1f} %" if whole else MISSING


def probability(value: float) -> str:
    """A p value: ``0.25``, ``0.031``, ``< 0.001``."""
    if not math.isfinite(value):
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def number(value: float) -> str:
    """A setting in few characters: ``60``, ``30,000``, ``0.3``, ``1e-4``; four significant digits."""
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def value(thing: Any) -> str:
    """Any value of a configuration or of the settings, on one line."""
    if thing is None or thing == "":
        return MISSING
    if isinstance(thing, bool):
        return "yes" if thing else "no"
    if isinstance(thing, int | float):
        return number(thing)
    if isinstance(thing, dict | list | tuple):
        return line(json.dumps(thing, default=str))
    return line(str(thing))


def pairs(things: dict[str, Any]) -> str:
    """Names with their values: ``prompt_length 60, prompt_lr 0.3``."""
    return ", ".join(f"{line(name)} {value(thing)}" for name, thing in things.items())


def clock(seconds: float) -> str:
    """Time passed as ``0:12:34``, hours first."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def duration(seconds: float | None) -> str:
    """A span in two units at most: ``8.3 s``, ``12 min 30 s``, ``75 h 04 min``."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < 3599.5:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes:02d} min"


def line(text: str) -> str:
    """The text on one line, without control characters: an error message must not move a terminal's cursor."""
    return _CONTROL.sub(" ", _COLOUR.sub("", text)).strip()


def shortened(text: str, columns: int) -> str:
    """One line of at most that many characters."""
    text = line(text)
    return text if len(text) <= columns else text[: columns - 1].rstrip() + "…"


def markdown(text: str) -> str:
    """The text as it stands, in Markdown and in a cell of a Markdown table."""
    return _MARKDOWN.sub(lambda match: "\\" + match.group(), line(text).replace("&", "&amp;"))


def latex(text: str) -> str:
    """The text as it stands, in LaTeX's text mode, for any engine.

    A character that a plain pdfLaTeX has no glyph for becomes its code point in brackets, such as ``[U+4E2D]``: a paper
    that does not compile is worse than an odd name in it.
    """
    text = re.sub("-(?=-)", "-\0", line(text))  # two hyphens, as before an option's name, must not become a dash
    return "".join(_LATEX.get(sign) or (sign if sign.isascii() else _beyond_ascii(sign)) for sign in text)


def _beyond_ascii(sign: str) -> str:
    # Latin letters with accents can be set in every font, given UTF-8 input (the default since 2018).
    if "\u00c0" <= sign <= "\u00ff" and sign not in "×÷ÐÞðþ":
        return sign
    return f"[U+{ord(sign):04X}]"
