"""Fixtures: every scenario gets real processes on free ports of loopback, stopped by pid afterwards."""
import contextlib
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lib.certificates import Authority  # noqa: E402
from lib.gateway import Gateway  # noqa: E402
from lib.script import Script  # noqa: E402
from lib.servers import Agent, ControlPlane, Echo, Etcd, Nginx  # noqa: E402
from lib.websocket import EchoServer  # noqa: E402


@pytest.fixture
def start(tmp_path):
    """start(process): started now, stopped at the end, which must be clean; one that is not keeps no other running."""
    def end(process):
        if process.is_running():
            assert process.stop() == 0, f"{process.name} ended badly:\n{process.tail()}"

    with contextlib.ExitStack() as ends:
        def begin(process):
            ends.callback(end, process)  # also when it runs and does not serve
            process.start()
            return process
        yield begin


@pytest.fixture
def echo():
    backend = Echo()
    yield backend
    backend.stop()


@pytest.fixture
def script():
    backend = Script()
    yield backend
    backend.stop()


@pytest.fixture
def echo_server():
    """Of WebSocket."""
    server = EchoServer()
    yield server
    server.stop()


@pytest.fixture
def certificates(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def nginx(start, tmp_path):
    return start(Nginx(tmp_path))


@pytest.fixture
def etcd(start, tmp_path):
    return start(Etcd(tmp_path))


@pytest.fixture
def controlplane(start, tmp_path):
    """Scenarios make apps by the hundred."""
    return start(ControlPlane(tmp_path, extra=("--apps-max", "0")))


@pytest.fixture
def agent(start, tmp_path, controlplane):
    return start(Agent(tmp_path, controlplane))


@pytest.fixture
def gateway(controlplane, agent, echo):
    return Gateway(controlplane, agent, echo)


@pytest.fixture(scope="session")
def stubs(tmp_path_factory):
    pytest.importorskip("grpc")
    from lib.admin import Stubs
    return Stubs(tmp_path_factory.mktemp("stubs"))


@pytest.fixture
def feeder(stubs):
    """A control plane that says what the scenario tells it."""
    from lib.feeder import Feeder
    made = Feeder(stubs)
    yield made
    made.stop()


@pytest.fixture
def admin(stubs, controlplane):
    """The management API of the control plane, in plaintext."""
    import grpc
    from lib.admin import Admin
    opened = Admin(stubs, grpc.insecure_channel(controlplane.address))
    yield opened
    opened.close()
