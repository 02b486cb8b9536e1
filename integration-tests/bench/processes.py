"""What the kernel says about a contender, its children included."""
import os
import pathlib
import re
import subprocess

TICK = os.sysconf("SC_CLK_TCK")


def family(pid):
    """The process and its descendants."""
    found = [pid]
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += family(int(child))
    return found


def pin(contender, core):
    for pid in family(contender.pid):
        subprocess.run(["taskset", "-acp", str(core), str(pid)], check=True, stdout=subprocess.DEVNULL)


def cpu_seconds(contender):
    total = 0
    for pid in family(contender.pid):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def memory_kib(contender):
    """Proportional: what processes share counts once."""
    return sum(int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1))
               for pid in family(contender.pid))
