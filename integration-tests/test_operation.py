"""How the control plane is operated: what it refuses to start with, readiness, metrics, the end."""
import base64
import signal
import subprocess
import urllib.error
import urllib.request

from lib.process import BIN, http_text
from lib.servers import ControlPlane, Etcd
from lib.wait import until


def readyz(controlplane):
    """Status and text; the status may be an error."""
    try:
        with urllib.request.urlopen(f"{controlplane.ops}/readyz", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def run(*flags):
    return subprocess.run([BIN / "penstock-controlplane", *flags], capture_output=True, text=True, timeout=20)


def test_the_world_is_not_served_without_credentials():
    done = run("--listen", "0.0.0.0:0")
    assert done.returncode == 2 and "--credentials-file: is missing" in done.stderr


def test_help_and_version():
    assert "--store" in run("--help").stdout
    assert run("--version").stdout.startswith("penstock-controlplane ")


def test_it_takes_the_files_that_it_may(start, tmp_path):
    controlplane = ControlPlane(tmp_path, extra=("--agents-max", "3000"))
    controlplane.command = ["sh", "-c", 'ulimit -Sn 256; ulimit -Hn 3500; exec "$0" "$@"', *controlplane.command]
    start(controlplane)
    assert "\nprocess_max_fds 3500\n" in http_text(f"{controlplane.ops}/metrics")
    assert '"option":"--agents-max","descriptors":3500,"needed":4024' in controlplane.log.read_text()


def test_a_store_that_has_never_answered_is_not_ready(tmp_path):
    etcd = Etcd(tmp_path)  # not started yet
    controlplane = ControlPlane(tmp_path, etcd.store)
    try:
        super(ControlPlane, controlplane).start()
        controlplane.wait_http(f"{controlplane.ops}/readyz", 503)
        status, text = readyz(controlplane)
        assert status == 503 and "image: not loaded yet" in text and "store: not reached yet" in text
        assert http_text(f"{controlplane.ops}/livez") == "ok\n"
        etcd.start()
        controlplane.wait_http(f"{controlplane.ops}/readyz")
    finally:
        assert controlplane.stop() == 0
        etcd.stop()


def test_a_store_that_goes_away_is_told_and_harms_nobody(start, tmp_path):
    etcd = start(Etcd(tmp_path))
    controlplane = start(ControlPlane(tmp_path, etcd.store))
    etcd.kill()
    until(lambda: "store: away" in readyz(controlplane)[1], "the loss to be told")
    assert readyz(controlplane)[0] == 200
    assert "penstock_controlplane_store_reachable 0" in http_text(f"{controlplane.ops}/metrics")
    etcd.start()
    until(lambda: "store: reachable" in readyz(controlplane)[1], "the return to be told")


def test_calls_are_counted(controlplane):
    controlplane.list("groups")
    assert controlplane.ctl("get", "group", "none", check=False).returncode == 3
    metrics = http_text(f"{controlplane.ops}/metrics")
    assert 'rpc_calls_total{method="ApiGroupService/ListApiGroups",code="OK"} 1' in metrics
    assert 'rpc_calls_total{method="ApiGroupService/GetApiGroup",code="NOT_FOUND"} 1' in metrics


def test_sighup_ends_nothing(start, tmp_path):
    controlplane = start(ControlPlane(tmp_path))
    controlplane.signal(signal.SIGHUP)
    until(lambda: "SIGHUP changes nothing" in controlplane.tail(), "the signal to be told")
    assert controlplane.list("groups")
    assert controlplane.stop() == 0 and "draining" in controlplane.tail()


def test_a_seal_key_file_that_others_can_read_is_told(start, tmp_path):
    keys = tmp_path / "seal.keys"
    keys.write_bytes(base64.b64encode(bytes(range(32))) + b"\n")
    for mode, told in (0o640, True), (0o600, False):
        keys.chmod(mode)
        controlplane = start(ControlPlane(tmp_path, name=f"plane-{mode:o}", extra=("--seal-key-file", keys)))
        assert controlplane.stop() == 0
        assert ("can be read by others than its owner: chmod 600" in controlplane.tail()) == told
