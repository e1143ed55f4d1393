"""Runs perturbed calls and counts what they did."""

import contextlib
import random
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch

from ohmweave.base import DeployError
from ohmweave.programming import WriteStoppedError
from tests.fuzz.judge import GOOD, Kind, Outcome, nan_as_in, overflows, refusal, unsound
from tests.fuzz.nasty import Nasty, perturbed
from tests.fuzz.watched import digest

LIMIT = 2.0
"""Seconds of the processor, of a call, above which it counts as hanging: other programs do not matter."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One valid call, ready to be perturbed.

    Attributes:
        function: called with `arguments` by keyword.
        arguments: valid ones.
        watched: what must be as before if the call is refused.
        use: a first use of the result, whose result is judged too.
        negative: False if no number of the results may be negative.
        lets_nan_through: True if NaN or infinity in tensors may come out again (reads and layers).
        like: the referee, called with the same arguments: where its result is NaN, that of `function` may be NaN too.
            For torch's own NaN alone, as of attention with every key masked.
    """

    function: Callable[..., Any]
    arguments: dict[str, Any]
    watched: Sequence[Any] = ()
    use: Callable[[Any], Any] | None = None
    negative: bool = True
    lets_nan_through: bool = False
    like: Callable[..., Any] | None = None


Case = Callable[[], Call]
"""Makes a fresh valid call."""


@dataclass
class Tally:
    """Counts of outcomes by kind, and an example of each failure by case."""

    counts: Counter[Kind] = field(default_factory=Counter)
    failures: dict[tuple[str, Kind, str], tuple[int, str]] = field(default_factory=dict)

    def add(self, name: str, outcome: Outcome, inputs: str) -> bool:
        """Count one input. True if it is the first failure of its kind."""
        self.counts[outcome.kind] += 1
        if outcome.kind in GOOD and outcome.kind is not Kind.TYPE:
            return False
        key = (name, outcome.kind, outcome.what[-60:])
        n, example = self.failures.get(key, (0, f"{inputs}: {outcome.what}"))
        self.failures[key] = n + 1, example
        return n == 0 and outcome.kind is not Kind.TYPE

    def merged(self, other: "Tally") -> "Tally":
        """Both together."""
        failures = dict(self.failures)
        for key, (n, example) in other.failures.items():
            failures[key] = n + failures.get(key, (0, ""))[0], example
        return Tally(self.counts + other.counts, failures)

    @property
    def bad(self) -> int:
        """Number of failures."""
        return sum(n for kind, n in self.counts.items() if kind not in GOOD)

    def report(self, *, types: bool = False) -> str:
        """Counts by kind, then the failures, the most frequent first."""
        lines = [f"{n:8,} {kind.value}" for kind, n in self.counts.most_common()]
        for (name, kind, _), (n, example) in sorted(self.failures.items(), key=lambda one: -one[1][0]):
            if types or kind is not Kind.TYPE:
                lines.append(f"{n:6} x {name}: {kind.value}: {example}")
        return "\n".join(lines)


def run(
    cases: dict[str, Case],
    *,
    n: int,
    seed: int,
    seconds: float | None = None,
    watch: Callable[[str], None] = lambda text: None,
) -> Tally:
    """Perturb the arguments of `cases` in turn, `n` inputs in all, or as many as fit into `seconds`.

    `watch` is called with each new failure and from time to time with the number of inputs, for long runs.
    """
    rng, tally, names = random.Random(seed), Tally(), sorted(cases)
    stop = None if seconds is None else time.monotonic() + seconds
    for k in range(n):
        if stop is not None and time.monotonic() > stop:
            break
        name = names[k % len(names)]
        torch.default_generator.manual_seed(0)
        with warnings.catch_warnings():  # of writes that do not converge, and the like
            warnings.simplefilter("ignore")
            outcome, inputs = one(cases[name](), rng)
        if tally.add(name, outcome, inputs):
            watch(f"{name}: {outcome.kind.value}: {inputs}: {outcome.what}")
        if k % 5000 == 4999:
            watch(f"{k + 1:,} inputs")
    return tally


def one(call: Call, rng: random.Random) -> tuple[Outcome, str]:
    """The outcome of one perturbed call, and the perturbed arguments in words."""
    arguments, made = dict(call.arguments), {}
    for name in rng.sample(sorted(arguments), min(len(arguments), rng.choice((1, 1, 2)))):
        made[name] = perturbed(arguments[name], rng)
        arguments[name] = made[name].value
    return outcome_of(call, arguments, made), ", ".join(f"{k}={_short(v.value)}" for k, v in made.items())


def outcome_of(call: Call, arguments: dict[str, Any], made: dict[str, Nasty]) -> Outcome:
    """Call and judge."""
    wrong_type, same = any(one.wrong_type for one in made.values()), all(one.same for one in made.values())
    before, start = digest(call.watched), time.process_time()
    result, error = _tried(lambda: call.function(**arguments))
    used, late = None, None
    if error is None and call.use is not None:
        used, late = _tried(lambda: call.use(result))  # type: ignore[misc]
    if isinstance(error or late, _Hang) or time.process_time() - start > LIMIT:
        return Outcome(Kind.HANG)
    if error is not None:
        found = refusal(error, wrong_type=wrong_type)
        if isinstance(error, WriteStoppedError | DeployError):  # its report says what was done until then
            return found
        if digest(call.watched) != before:
            return Outcome(Kind.HALF, f"{type(error).__name__}: {str(error)[:100]}")
        if same and found.kind is not Kind.FOREIGN:
            return Outcome(Kind.NUMPY, str(error)[:100])
        return found
    if late is not None:
        found = refusal(late, wrong_type=False)
        return Outcome(Kind.LATER) if found.kind is Kind.REFUSED else Outcome(Kind.LATE, found.what)
    nan = call.lets_nan_through and (bool(unsound(arguments)) or overflows(arguments))
    bad = unsound(result, negative=call.negative, nan=nan) or unsound(used, negative=call.negative, nan=nan)
    if bad and call.like is not None and nan_as_in(result, call.like(**arguments)):
        return Outcome(Kind.OK)
    return Outcome(Kind.NONSENSE, bad) if bad else Outcome(Kind.OK)


class _Hang(BaseException):
    pass


def _tried(function: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    with _limited():
        try:
            return function(), None
        except (Exception, _Hang) as error:  # noqa: BLE001 - the point of a fuzzer
            return None, error


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def stop(signum: int, frame: FrameType | None) -> None:
        raise _Hang

    before = signal.signal(signal.SIGPROF, stop)
    waiting = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    signal.setitimer(signal.ITIMER_REAL, 30 * LIMIT)  # of a call that waits and computes nothing
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGPROF, before)
        signal.signal(signal.SIGALRM, waiting)


def _short(value: Any) -> str:
    text = f"tensor{tuple(value.shape)} {value.dtype}" if isinstance(value, torch.Tensor) else ""
    try:
        text += str(value.tolist() if isinstance(value, torch.Tensor) else value)
    except ValueError:  # integers of many digits
        return type(value).__name__
    return text if len(text) < 100 else text[:97] + "..."
