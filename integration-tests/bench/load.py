"""One round of load on the second core: how many requests (or handshakes) were done."""
import os
import pathlib
import re
import subprocess

from lib.process import BIN
from peers import HOST, KEY

LOOKUP = pathlib.Path(__file__).with_name("lookup.lua")


def run(words, **environment):
    done = subprocess.run(["taskset", "-c", "1", *map(str, words)], capture_output=True, text=True,
                          env={**os.environ, **environment})
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def wrk(contender, work, seconds, folder):
    headers = ["-H", f"X-Apig-AppCode: {KEY}"] if work.full else []
    headers += ["-H", "Connection: close"] if work.load == "close" else []
    url = f"http{'s' if work.tls else ''}://{HOST}:{contender.port}{work.path}"
    settings = {}
    if work.tls:
        config = folder / f"tls-{work.tls}.cnf"
        config.write_text(f"openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMinProtocol = TLSv{work.tls}\n"
                          f"MaxProtocol = TLSv{work.tls}\n")
        settings["OPENSSL_CONF"] = str(config)
    report = run(["wrk", "-t1", f"-c{work.connections}", f"-d{seconds}s", "-s", LOOKUP, *headers, url], **settings)
    assert "Non-2xx" not in report, f"{contender.title}: {report}"
    assert "Socket errors" not in report or work.load == "close", f"{contender.title}: {report}"
    return int(re.search(r"(\d+) requests in", report).group(1))


def h2load(contender, work, seconds):
    url = f"http{'s' if work.tls else ''}://{HOST}:{contender.port}{work.path}"
    report = run(["h2load", "-t1", f"-c{work.connections}", "-m32", "-D", seconds, f"--connect-to=127.0.0.1:{contender.port}",
                  url])
    failed, = re.search(r"(\d+) failed", report).groups()
    assert failed == "0", f"{contender.title}: {report}"
    return int(re.search(r"status codes: (\d+) 2xx", report).group(1))


def handshakes(contender, work, seconds):
    report = run([BIN / "handshakes", contender.port, HOST, seconds, work.load])
    count, resumed = map(int, re.search(r"(\d+) handshakes, (\d+) resumed", report).groups())
    assert work.load == "full" or resumed == count, f"{contender.title}: {report}"
    return count


def one_round(contender, work, seconds, folder):
    if work.handshakes:
        return handshakes(contender, work, seconds)
    return h2load(contender, work, seconds) if work.h2 else wrk(contender, work, seconds, folder)
