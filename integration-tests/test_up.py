"""./dev up --once is what people see first; curl is its caller."""
import pathlib
import signal
import subprocess
import sys

import pytest

UP = pathlib.Path(__file__).parent / "up.py"


@pytest.mark.parametrize("store", ["sqlite", "etcd"])
def test_every_step_works(store):
    done = subprocess.run([sys.executable, UP, "--once", "--store", store], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("== every step worked")
    for line in ("HTTP/1.1 404 Not Found", "HTTP/1.1 401 Unauthorized", "HTTP/1.1 200 OK", "HTTP/2 200", "HTTP/1.1 429 Too Many Requests",
                 "1 of 1 agents applied revision"):
        assert line in done.stdout


def test_a_signal_ends_all_of_it():
    up = subprocess.Popen([sys.executable, "-u", UP], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    logs = next(line.split()[1] for line in up.stdout if line.startswith("  logs "))
    up.send_signal(signal.SIGTERM)
    up.communicate(timeout=60)
    assert up.returncode == 0
    assert not pathlib.Path(logs).exists()
