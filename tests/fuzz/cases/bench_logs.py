"""Logs, remote arrays, conformance and stubs of the bench."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ohmweave import bench, testing
from ohmweave.bench import Crosspoints, Recorded, RemoteArray, RemoteServer, Replayed, StubBoard
from ohmweave.cells import Pulse
from tests.fuzz.cases.bench import cells, stub, used
from tests.fuzz.runner import Call, Case

TOKEN = "0123456789abcdef0123456789abcdef"


def _log(folder: str) -> Path:
    """A log of a pulse and a readout."""
    path = Path(folder) / "log.msgpack"
    with Recorded(cells(), path) as array:
        used(array)
    return path


def _with_log(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a log, given a name of a file in its folder and further arguments."""

    def called(name: Any, **more: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            _log(folder)
            where = f"{folder}/{name}" if isinstance(name, str) else name
            return function(where, **more)

    return called


def _recorded(path: Any, **options: Any) -> Any:
    with Recorded(cells(), path, **options) as array:
        return used(array)


def _replayed(path: Any, skip: Any) -> Any:
    array = Replayed(path, skip=skip)
    at = torch.arange(3)
    if skip == 0:
        array.pulse(at, Pulse(torch.ones_like(at)))
    return [array.readout(at)]


def _served(**options: Any) -> Any:
    with RemoteServer(cells(), **options) as server:
        return server.port


def _remote(token: Any, timeout: Any, max_bytes: Any, host: Any) -> Any:
    with (
        RemoteServer(cells(), token=TOKEN, timeout=1.0) as server,
        RemoteArray(server.port, token=token, timeout=timeout, max_bytes=max_bytes, host=host) as array,
    ):
        return used(array)


def _bare(**options: Any) -> Any:
    array = testing.BareArray(**options)
    return used(array)


def _checked(**options: Any) -> Any:
    try:
        return bench.check_array(testing.BareArray(rows=5, cols=6), **options).n_pulses
    except AssertionError:  # it has not passed, because the budget is too small
        return None


_LOG = {"name": "log.msgpack"}
_CHECK = {"corner": (0, 0, 0), "max_pulses": 500, "n_pulses": 20, "tolerance": 0.05}
BENCH_LOGS: dict[str, Case] = {
    "bench.Crosspoints": lambda: Call(
        function=Crosspoints, arguments={"array": cells(), "v_set": 1.5, "v_reset": 1.2},
        use=lambda made: torch.from_numpy(made.conductances(0, [0, 1], [0, 1])), negative=False,
    ),
    "bench.StubBoard": lambda: Call(
        function=lambda reads, i_max: used(bench.DriverArray(StubBoard(Crosspoints(cells(), v_set=1.5, v_reset=1.2),
                                                                       reads=reads, i_max=i_max))),
        arguments={"reads": "parallel", "i_max": 1e-3},
    ),
    "bench.Recorded": lambda: Call(
        function=_with_log(_recorded), arguments={"name": "new.msgpack", "sync_every": 1.0, "temperature_period": 1.0}
    ),
    "bench.Replayed": lambda: Call(function=_with_log(_replayed), arguments=_LOG | {"skip": 0}),
    "bench.wear": lambda: Call(function=_with_log(bench.wear), arguments=dict(_LOG), negative=False),
    "bench.activity": lambda: Call(
        function=_with_log(lambda path: bench.activity(path).n_set), arguments=dict(_LOG), negative=False
    ),
    "bench.read_events": lambda: Call(
        function=_with_log(lambda path: len(list(bench.read_events(path)))), arguments=dict(_LOG)
    ),
    "bench.read_header": lambda: Call(
        function=_with_log(lambda path: bench.read_header(path).n_cells), arguments=dict(_LOG)
    ),
    "bench.save_pulse_trains": lambda: Call(
        function=_with_log(lambda path: bench.save_pulse_trains(path, Path(path).with_name("x.csv"))),
        arguments=dict(_LOG),
    ),
    "bench.RemoteServer": lambda: Call(
        function=_served, arguments={"token": TOKEN, "port": 0, "timeout": 1.0, "idle": 10.0, "max_bytes": 2**20}
    ),
    "bench.RemoteArray": lambda: Call(
        function=_remote, arguments={"token": TOKEN, "timeout": 5.0, "max_bytes": 2**20, "host": "127.0.0.1"}
    ),
    "bench.check_array": lambda: Call(
        function=_checked, arguments=dict(_CHECK), negative=False,
    ),
    "bench.inspect_array": lambda: Call(
        function=lambda **options: bench.inspect_array(stub(), **options).n_pulses, arguments=dict(_CHECK),
        negative=False,
    ),
    "bench.station_of": lambda: Call(
        function=bench.station_of, arguments={"array": cells()}, use=lambda one: repr(one)
    ),
    "testing.BareArray": lambda: Call(
        function=_bare,
        arguments={
            "n_arrays": 1, "rows": 3, "cols": 4, "n_chips": None, "g_min": 2e-6, "g_max": 2e-5, "g_step": 1e-7,
            "v_read": 0.2, "usable": torch.ones(1, 3, 4, dtype=torch.bool),
        },
    ),
    "testing.check_books": lambda: Call(
        function=testing.check_books, arguments={"array": testing.BareArray(rows=3, cols=4)}
    ),
}  # fmt: skip
