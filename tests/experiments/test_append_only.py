import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ohmweave.experiments import Context, ExperimentError, Options, atomic_write
from ohmweave.experiments.append_only import append_line, drop_torn_line, exclusive, whole_lines


def test_an_atomic_write_replaces_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as part:
        assert part.parent == path.parent
        assert part.suffix == ".txt"
        part.write_text("one")
        assert not path.exists()
    with atomic_write(path) as part:
        part.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two"
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_an_atomic_write_that_fails_leaves_what_was(tmp_path: Path, stop: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")

    def fail() -> None:
        with atomic_write(path) as part:
            part.write_text("tw")
            raise stop

    with pytest.raises(stop):
        fail()
    assert path.read_text() == "one"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_an_atomic_write_makes_a_file_with_the_usual_permissions(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as part:
        part.write_text("x")
    (tmp_path / "b").write_text("x")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


@pytest.mark.parametrize("torn", [b"", b"thr", b'{"id": 1}', b"\x00\x00", b"\xc3"])
def test_a_torn_line_is_not_read_and_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\ntwo\n" + torn)
    assert whole_lines(path) == [b"one", b"two"]
    drop_torn_line(path)
    append_line(path, "four")
    assert path.read_bytes() == b"one\ntwo\nfour\n"


def test_a_file_with_nothing_but_a_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"torn")
    drop_torn_line(path)
    assert path.read_bytes() == b""
    drop_torn_line(tmp_path / "missing")
    assert whole_lines(tmp_path / "missing") == []


HOLD = """
import sys, time
from pathlib import Path
from ohmweave.experiments.append_only import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_keeps_other_processes_out_until_its_holder_dies(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ExperimentError, match="another run is writing to"), exclusive(lock):
            pass
        holder.kill()
    with exclusive(lock):
        pass


def test_artifacts_stay_in_their_folder(tmp_path: Path) -> None:
    context = Context(options=Options(out=tmp_path))
    path = context.artifact("networks/cnn.safetensors")
    assert path == tmp_path / "artifacts" / "networks" / "cnn.safetensors"
    assert path.parent.is_dir()
    for name in ("", "/etc/x", "../x", "a/../../x"):
        with pytest.raises(ExperimentError, match="relative path inside the artifacts folder"):
            context.artifact(name)
