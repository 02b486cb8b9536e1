"""./dev up --once is what people see first; curl is its caller."""
import pathlib
import subprocess
import sys

import pytest

UP = pathlib.Path(__file__).parent / "up.py"


@pytest.mark.parametrize("store", ["sqlite", "etcd"])
def test_every_step_works(store):
    done = subprocess.run([sys.executable, UP, "--once", "--store", store], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("== every step worked")
    for line in ("HTTP/1.1 404 Not Found", "HTTP/1.1 401 Unauthorized", "HTTP/1.1 200 OK", "HTTP/1.1 429 Too Many Requests",
                 "1 of 1 agents applied revision"):
        assert line in done.stdout
