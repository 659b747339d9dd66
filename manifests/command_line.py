"""Words of a command line to a request, by tyro; what is wrong with them is one line: value, rule, next step.

tyro draws a box around what it refuses. Its hook for that, which no other of its releases need have, says
what it was; help stays tyro's.
"""

import difflib
import io
import re
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from typing import Any, TypeVar

import tyro
from tyro import _errors

Request = TypeVar("Request")

_FLAG_IN_HELP = re.compile(r"│ (--[\w.-]+)(?:, (--[\w.-]+))?")
_ERROR_OF_A_UNION = re.compile(r"^- .*[>\])]: (.+)$", re.MULTILINE)


def parse(kind: type[Request], arguments: Sequence[str], prog: str, **settings: Any) -> Request:
    """Return what a command line asks for; `settings` are those of tyro.cli. Raises ValueError, of one line,
    for what cannot be understood. Prints help and leaves where that is asked for."""

    def refuse(event: _errors.ParseErrorEvent) -> None:
        if told := _told(event, lambda: _known_flags(kind, prog, settings)):
            line = " ".join(told.split())
            raise ValueError(line if "Next: " in line else f"{line}. Next: {prog} --help")

    with _errors.on_parse_error(refuse):
        request: Request = tyro.cli(kind, args=list(arguments), prog=prog, **settings)
    return request


def _told(event: _errors.ParseErrorEvent, known_flags: Callable[[], list[str]]) -> str | None:
    """Return what is wrong; None for what only tyro can say."""
    match event:
        case _errors.UnrecognizedArgs(tokens=[_, *_] as words):
            return _told_unknown(words, known_flags())
        case _errors.MissingArgs(unrecognized_tokens=[_, *_] as words):
            return _told_unknown(words, known_flags())  # most likely what is missing, misspelt
        case _errors.MissingArgs():
            return f"missing {', '.join(_taking(each.arg) for each in event.missing_arguments)}"
        case _errors.InvalidChoice():
            return f"{event.argument.display_name()} takes {', '.join(event.choices)}, not {event.value!r}"
        case _errors.BadValue(offending_value=None):
            return f"{_taking(event.argument)}: no value is given"
        case _errors.InstantiationFailure(argument=None):
            return event.message
        case _errors.InstantiationFailure():
            message = (_ERROR_OF_A_UNION.findall(event.message) or [event.message])[-1]
            return f"{_taking(event.argument)}: {message}"
    return None


def _taking(argument: Any) -> str:
    """Return a flag and what it takes, as the help shows them."""
    return f"{argument.display_name()} {argument.lowered.metavar}"


def _told_unknown(words: Sequence[str], known: Sequence[str]) -> str:
    """Return what is wrong with words that no flag takes, and which flag is near.

    >>> _told_unknown(["--timeout", "3"], ["--fetch.timeout-s", "--fetch.timeout", "--out"])
    'unknown flag --timeout, perhaps --fetch.timeout'
    >>> _told_unknown(["yes"], ["--quiet"])
    "'yes' belongs to no flag"
    """
    flag = next((word.partition("=")[0] for word in words if word.startswith("--")), None)
    if flag is None:
        return f"{words[0]!r} belongs to no flag"
    below = [name for name in known if name.endswith(f".{flag[2:]}")]
    near = below or difflib.get_close_matches(flag.replace("_", "-"), known, 1)
    return f"unknown flag {flag}" + (f", perhaps {near[0]}" if near else "")


def _known_flags(kind: type[Any], prog: str, settings: dict[str, Any]) -> list[str]:
    """Return the flags that the help shows."""
    shown = io.BytesIO()
    page = io.TextIOWrapper(shown, encoding="utf-8")  # the boxes' lines tell flags from what is said of them
    with redirect_stdout(page), suppress(SystemExit):
        tyro.cli(kind, args=["--help"], prog=prog, **settings)
    page.flush()
    return [flag for pair in _FLAG_IN_HELP.findall(shown.getvalue().decode()) for flag in pair if flag]
