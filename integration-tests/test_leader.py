"""What is to be done once, by one of several control planes over etcd."""
import signal
import subprocess

import pytest

from lib.process import http_text
from lib.servers import ControlPlane, Etcd
from lib.wait import until

LEADER = "penstock_controlplane_leader"


@pytest.fixture
def replicas(start, tmp_path):
    etcd = start(Etcd(tmp_path))
    key = tmp_path / "seal.keys"
    key.write_bytes(subprocess.run(["openssl", "rand", "-base64", "32"], capture_output=True, check=True).stdout)
    key.chmod(0o600)
    made = [ControlPlane(tmp_path, etcd.store, f"controlplane{number}", extra=(
        "--seal-key-file", key, "--ticket-key-rotation", "1s", "--audit-retention", "2s", "--etcd-timeout", "1s"))
        for number in range(3)]
    for replica in made:
        start(replica)
        replica.etcd = etcd
    return made


def leads(replica):
    return f"\n{LEADER} 1\n" in http_text(f"{replica.ops}/metrics")


def the_leader(replicas, but=None):
    """When there is one, and no second."""
    def one():
        found = [replica for replica in replicas if replica is not but and leads(replica)]
        assert len(found) < 2, [replica.name for replica in found]
        return found[0] if found else None
    return until(one, "a leader", 30)


def ticket_keys(etcd):
    return etcd.ctl("get", "--prefix", "/penstock/v1/ticketKeys")


def wait_for_a_turn(etcd):
    before = ticket_keys(etcd)
    until(lambda: ticket_keys(etcd) != before, "the ticket keys to be turned", 30)


@pytest.mark.parametrize("how", ["killed", "stopped", "terminated"])
def test_another_one_follows(replicas, how):
    first = the_leader(replicas)
    etcd = first.etcd
    wait_for_a_turn(etcd)
    first.signal({"killed": signal.SIGKILL, "stopped": signal.SIGSTOP, "terminated": signal.SIGTERM}[how])
    if how == "killed":
        first.popen.wait()
    second = the_leader(replicas, but=first)
    wait_for_a_turn(etcd)
    holder = etcd.ctl("get", "/penstock/leader", "--print-value-only").decode()
    assert holder.strip().endswith(f"process {second.pid}")
    if how != "stopped":
        return
    first.signal(signal.SIGCONT)
    until(lambda: "this replica no longer leads" in first.log.read_text(), "the one that woke up to notice")
    assert not leads(first) and the_leader(replicas) is second
    wait_for_a_turn(etcd)


def test_nobody_leads_without_the_store_and_one_does_when_it_returns(replicas):
    etcd = replicas[0].etcd
    the_leader(replicas)
    etcd.signal(signal.SIGSTOP)
    until(lambda: not any(map(leads, replicas)), "the leader to give up", 30)
    etcd.signal(signal.SIGCONT)
    the_leader(replicas)
    wait_for_a_turn(etcd)


def test_old_audit_events_go_by_the_one_that_leads(replicas):
    etcd = replicas[0].etcd
    the_leader(replicas)
    for replica in replicas:
        replica.apply({"kind": "App", "name": f"apps/{replica.name}"})
    assert etcd.ctl("get", "--prefix", "/penstock/audit/", "--keys-only").count(b"/penstock/audit/") > 1
    first = the_leader(replicas)
    first.kill()
    until(lambda: etcd.ctl("get", "--prefix", "/penstock/audit/", "--keys-only").count(b"/penstock/audit/") <= 1,
          "the events to go", 40)
