"""Every error the harness raises on purpose, and every exit code it ends with.

HarnessError            something a person can act on; the command line prints it as one sentence
├── UsageError          wrong usage or input: a name, a file, a value, a flag
│   ├── UnknownName     no such thing; carries the nearest valid name
│   ├── ArgumentError   an argument has a wrong value; the command line names its flag
│   ├── FileError       a suite or claim file that cannot be read as one
│   └── DatasetError    a data set whose files are damaged or are not what they should be
├── RecordNotKept       the results folder cannot be written any more; the run stops, what is recorded stays
└── CannotRunHere       a cell lacks something on this machine now: it is skipped, and tried again by the next run
    └── DatasetMissing  a data set is nowhere on this machine
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum

#: Names shown in an error where there are no more; of more, so many of those that are like the wrong name.
SHOWN, ALIKE = 12, 3


class ExitCode(IntEnum):
    """What a command's exit status says."""

    #: Every cell has a good record (skipped cells are allowed), or there was nothing to run.
    OK = 0
    #: At least one cell failed, crashed or timed out; or a record or the output could not be written; or a defect.
    CELLS_FAILED = 1
    #: Wrong usage or input; nothing was run.
    USAGE = 2
    #: A required verdict does not hold, or a re-run differs.
    NOT_HELD = 3
    #: The end of the login (SIGHUP) stopped it; what had finished is recorded, as in the two below.
    HUNG_UP = 129
    #: Ctrl-C (SIGINT) stopped it.
    INTERRUPTED = 130
    #: SIGTERM stopped it, as schedulers, containers and service managers send it.
    TERMINATED = 143


class HarnessError(Exception):
    """Base of all errors that a person can act on."""

    #: What the command ends with.
    exit_code = ExitCode.USAGE


class UsageError(HarnessError):
    """The command, a file or an argument is wrong; the message says where, what was found, what is allowed."""


class UnknownName(UsageError):
    """A name that nothing registered goes by.

    >>> raise UnknownName("method", "flatnse", ["flatnce", "infonce"])
    Traceback (most recent call last):
    harness.errors.UnknownName: unknown method 'flatnse'; did you mean 'flatnce'? Known: flatnce, infonce
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "", hint: str = "") -> None:
        known = sorted(known)
        self.nearest = nearest(name, known)
        place = f"{where}: " if where else ""
        # A name that is like a known one is a typo.
        advice = f" ({hint})" if hint and not self.nearest else ""
        super().__init__(f"{place}unknown {kind} {name!r}{suggestion(name, known)}{advice}")


class ArgumentError(UsageError):
    """An argument has a wrong value.

    >>> raise ArgumentError("jobs", 0, "at least 1 is needed")
    Traceback (most recent call last):
    harness.errors.ArgumentError: jobs=0: at least 1 is needed
    """

    def __init__(self, argument: str, value: object, problem: str) -> None:
        super().__init__(f"{argument}={value}: {problem}")
        #: The same sentence about the flag of the command line.
        self.as_flag = f"{_flag(argument)} {value}: {problem}"


class ConflictingArguments(ArgumentError):
    """Two arguments that contradict each other."""

    def __init__(self, first: str, second: str, reason: str) -> None:
        text = "{} and {} contradict each other: {}"
        UsageError.__init__(self, text.format(first, second, reason))
        self.as_flag = text.format(_flag(first), _flag(second), reason)


class MissingArgument(ArgumentError):
    """An argument that says nothing without another one."""

    def __init__(self, argument: str, other: str, reason: str) -> None:
        text = "{} needs {}: {}"
        UsageError.__init__(self, text.format(argument, other, reason))
        self.as_flag = text.format(_flag(argument), _flag(other), reason)


def _flag(argument: str) -> str:
    return f"--{argument.replace('_', '-')}"


class FileError(UsageError):
    """A file that a person wrote does not follow its schema."""


class DatasetError(UsageError):
    """A data set is there but damaged, or is not the one it claims to be."""


class RecordNotKept(HarnessError):
    """A record cannot be written: the disk is full, or the folder is gone. The message says where the record is."""

    exit_code = ExitCode.CELLS_FAILED


class CannotRunHere(HarnessError):
    """A cell lacks something on this machine now, a package or idle cores; the message says what would help."""


class DatasetMissing(CannotRunHere):
    """A data set is nowhere on this machine; the message says how to get it."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like ``name``, or None when none is close.

    >>> nearest("metod", ["method", "task"])
    'method'
    """
    matches = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a wrong name: the nearest valid one, then all, or a few that are like it.

    >>> suggestion("axis", ["seed", "task"])
    '. Known: seed, task'
    >>> suggestion("name13", [f"name{i}" for i in range(13)])
    "; did you mean 'name3'? 13 are known, also name1, name12"
    """
    known = sorted(known)
    if not known:
        return "; there are none"
    close = nearest(name, known)
    hint = f"; did you mean {close!r}?" if close else "."
    if len(known) <= SHOWN:
        return f"{hint} Known: {', '.join(known)}"
    alike = [other for other in difflib.get_close_matches(name.lower(), known, n=ALIKE, cutoff=0.5) if other != close]
    return f"{hint} {len(known)} are known{', also ' + ', '.join(alike) if alike else ''}"
