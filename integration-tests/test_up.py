"""./dev up --once is what people see first; curl is its caller."""
import contextlib
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from lib.process import BIN

UP = pathlib.Path(__file__).parent / "up.py"


@pytest.mark.parametrize("store", ["sqlite", "etcd"])
def test_every_step_works(store):
    done = subprocess.run([sys.executable, UP, "--once", "--store", store], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("== every step worked")
    for line in ("HTTP/1.1 404 Not Found", "HTTP/1.1 401 Unauthorized", "HTTP/1.1 200 OK", "HTTP/2 200", "HTTP/1.1 429 Too Many Requests",
                 "1 of 1 agents applied revision"):
        assert line in done.stdout


def launch(folder, *flags):
    """up.py, which keeps all it makes in the folder."""
    return subprocess.Popen([sys.executable, "-u", UP, *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, "TMPDIR": str(folder)})


def read_until(up, words):
    return next(line for line in up.stdout if line.startswith(words))


def running(folder):
    """Command lines of what was started there."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = process.read_bytes().decode(errors="replace")
            found += [words] if f"{folder}/penstock-up-" in words else []
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_all_of_it(number, tmp_path):
    up = launch(tmp_path)
    read_until(up, "  logs ")
    assert len(running(tmp_path)) == 2
    up.send_signal(number)
    up.communicate(timeout=60)
    assert up.returncode == 0
    assert not running(tmp_path) and not list(tmp_path.iterdir())


def test_a_signal_while_it_starts_leaves_nothing_behind(tmp_path):
    up = launch(tmp_path, "--once")
    read_until(up, "starting agent")
    for _ in range(3):  # somebody is impatient
        up.send_signal(signal.SIGTERM)
    assert "interrupted" in up.communicate(timeout=60)[0]
    assert up.returncode == 1  # not every step worked
    assert not running(tmp_path) and not list(tmp_path.iterdir())


def test_the_file_of_the_example_can_be_applied_again(tmp_path):
    up = launch(tmp_path)
    words = read_until(up, "$ penstockctl").split()  # --server ADDRESS apply -f FILE
    read_until(up, "  logs ")
    done = subprocess.run([BIN / "penstockctl", *words[2:]], capture_output=True, text=True, timeout=60)
    up.send_signal(signal.SIGTERM)
    up.communicate(timeout=60)
    assert done.returncode == 0 and {line.split()[1] for line in done.stdout.splitlines()} == {"unchanged"}, done
