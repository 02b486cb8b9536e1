"""Machines of a cluster: each a network namespace of its own on one bridge, so that it can be cut off; without the right
to make namespaces, addresses of loopback, and nothing can be."""
import os
import subprocess
import sys

BRIDGES = ("whole", "apart")  # machines on one of them do not reach those on the other


def run(*words):
    subprocess.run([str(word) for word in words], check=True, stdin=subprocess.DEVNULL)


def enter_own_network():
    """Starts this program again in a network of its own, where nothing of the host's can be harmed. False: not allowed here."""
    if os.environ.get("PENSTOCK_CHAOS_NETWORK"):
        return os.environ["PENSTOCK_CHAOS_NETWORK"] == "own"
    allowed = subprocess.run(["unshare", "--net", "ip", "link", "add", "probe", "type", "bridge"], check=False,
                             capture_output=True).returncode == 0
    os.environ["PENSTOCK_CHAOS_NETWORK"] = "own" if allowed else "none"
    if allowed:
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    return False


class Machine:
    """`enter` are the words before a command that runs on it."""

    def __init__(self, name, address, enter=(), holder=None):
        self.name, self.address, self.enter, self.holder = name, address, list(enter), holder

    def __repr__(self):
        return self.name


class Loopback:
    """All machines are addresses of one; there are no partitions."""
    can_cut = False

    def __init__(self):
        self.count = 0

    def machine(self, name):
        self.count += 1
        return Machine(name, f"127.77.0.{self.count}")

    def close(self):
        pass


class Switch:
    can_cut = True

    def __init__(self):
        self.machines = []
        run("ip", "link", "set", "lo", "up")
        for number, bridge in enumerate(BRIDGES):
            run("ip", "link", "add", bridge, "type", "bridge")
            run("ip", "link", "set", bridge, "up")
            if number == 0:
                run("ip", "address", "add", "10.77.0.254/24", "dev", bridge)

    def machine(self, name):
        holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE)
        holder.stdout.readline()
        made = Machine(name, f"10.77.0.{len(self.machines) + 1}", ["nsenter", "-t", holder.pid, "-n", "--"], holder)
        made.enter = [str(word) for word in made.enter]
        run("ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", holder.pid)
        run("ip", "link", "set", f"to-{name}", "up", "master", BRIDGES[0])
        run(*made.enter, "ip", "link", "set", "lo", "up")
        run(*made.enter, "ip", "address", "add", f"{made.address}/24", "dev", "eth0")
        run(*made.enter, "ip", "link", "set", "eth0", "up")
        self.machines.append(made)
        return made

    def cut_off(self, machine):
        """What is sent to or from it is lost, without a word to anybody."""
        run("ip", "link", "set", f"to-{machine.name}", "nomaster")

    def move_apart(self, machine):
        """It reaches those that are apart, too, and no others."""
        run("ip", "link", "set", f"to-{machine.name}", "master", BRIDGES[1])

    def heal(self, machine):
        run("ip", "link", "set", f"to-{machine.name}", "master", BRIDGES[0])

    def close(self):
        for machine in self.machines:
            machine.holder.kill()
            machine.holder.wait()
