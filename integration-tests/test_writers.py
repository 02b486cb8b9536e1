"""A hundred clients that write the same resources at the same time, over two control planes on one etcd, and over one on
SQLite: no update is lost, no transaction is half, what is unique stays unique."""
import itertools
import threading
from collections import Counter

import grpc
import pytest

from lib.admin import Admin
from lib.consistency import Contents, etcd_dump, sqlite_dump
from lib.servers import ControlPlane, Etcd

CLIENTS = 100
API = {"backend": {"mock": {"status": 200}}}
QUOTAS = ("--apps-max", "0", "--environments-max", "0")


class Crowd:
    """crowd(job): runs job(admin, number) of every client, all at once; the answers, in no order. A client is a connection
    to one of the control planes."""

    def __init__(self, stubs, planes, store, folder):
        self.stubs, self.planes, self.store, self.folder = stubs, planes, store, folder
        self.clients = [Admin(stubs, grpc.insecure_channel(plane.address, [("grpc.use_local_subchannel_pool", 1)]))
                        for _, plane in zip(range(CLIENTS), itertools.cycle(planes))]

    @property
    def one(self):
        return self.clients[0]

    def __call__(self, job):
        answers, begin = [], threading.Barrier(CLIENTS)

        def run(number):
            begin.wait()
            try:
                answers.extend(job(self.clients[number], number))
            except Exception as error:  # whatever it is, the scenario says it
                answers.append(error)
        threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def check(self):
        """Of the store as a whole."""
        if self.store:
            contents = Contents(self.stubs, etcd_dump(self.store))
            wrong = [line for admin in self.clients[:2] for line in contents.api_problems(admin)]
        else:
            assert self.planes[0].stop() == 0
            contents, wrong = Contents(self.stubs, sqlite_dump(self.folder / "cp0.db")), []
        wrong += contents.problems() + contents.audit_problems()
        assert not wrong, "\n".join(wrong[:20])
        return contents

    def close(self):
        for client in self.clients:
            client.close()


@pytest.fixture(params=["etcd", "sqlite"])
def crowd(request, start, tmp_path, stubs):
    store = start(Etcd(tmp_path)) if request.param == "etcd" else None
    planes = [start(ControlPlane(tmp_path, store and store.store, f"cp{n}", QUOTAS)) for n in range(2 if store else 1)]
    made = Crowd(stubs, planes, store, tmp_path)
    yield made
    made.close()


def attempt(call, *expected):
    """[answer], or nothing when it was refused with one of these codes."""
    try:
        return [call()]
    except grpc.RpcError as error:
        if error.code().name not in expected:
            raise
        return []


def test_no_update_is_lost(crowd):
    """Counters in descriptions, read and written with the etag that was read."""
    for n in range(5):
        crowd.one.CreateApp(app_id=f"counter{n}", app={"description": "0"})

    def count(admin, number):
        done = []
        for turn in range(6):
            app = admin.GetApp(name=f"apps/counter{(number + turn) % 5}")
            app.description = str(int(app.description) + 1)
            done += attempt(lambda: admin.UpdateApp(app=app, update_mask={"paths": ["description"]}), "ABORTED")
        return done
    counted = Counter(app.name for app in crowd(count))
    assert {f"apps/counter{n}": int(crowd.one.GetApp(name=f"apps/counter{n}").description) for n in range(5)} == counted
    assert min(counted.values()) > 1
    crowd.check()


def test_fields_of_others_are_not_lost(crowd):
    """Without an etag each writes one of two fields: the control plane puts it into what it has read, and tries again."""
    for n in range(10):
        crowd.one.CreateApp(app_id=f"a{n}")

    def write(admin, number):
        name, field = f"apps/a{number % 10}", ("description", "display_name")[number // 10 % 2]
        return [one for turn in range(3)
                for one in attempt(lambda: admin.UpdateApp(app={"name": name, field: f"of {number} in turn {turn}"}), "ABORTED")]
    last = {}
    for app in sorted(crowd(write), key=lambda app: int(app.etag.strip('"'))):
        before = last.get(app.name)
        if before and app.etag != before.etag:
            assert (app.description == before.description) + (app.display_name == before.display_name) == 1
        last[app.name] = app
    contents = crowd.check()
    for name, app in last.items():
        assert (contents.get(name).description, contents.get(name).display_name) == (app.description, app.display_name)


def test_one_of_many_creates_an_id_or_a_unique_value(crowd):
    for n in range(10):
        crowd.one.CreateApiGroup(group_id=f"g{n}")
    crowd.one.CreateApp(app_id="codes")

    def create(admin, number):
        n, taken = number % 10, ("ALREADY_EXISTS", "ABORTED")
        yield from (("app", n) for _ in attempt(lambda: admin.CreateApp(app_id=f"same{n}"), *taken))
        yield from (("host", n) for _ in attempt(lambda: admin.CreateDomain(
            parent=f"groups/g{number // 10}", domain_id=f"h{n}.example.com"), *taken, "RESOURCE_EXHAUSTED"))
        yield from (("code", n) for _ in attempt(lambda: admin.CreateAppCode(
            parent="apps/codes", code_id=f"c{number}", code={"code": f"Code{n % 3}" + "x" * 70}), *taken, "RESOURCE_EXHAUSTED"))
    made = Counter(crowd(create))
    assert {key: count for key, count in made.items() if key[0] != "code"} == {(kind, n): 1 for kind in ("app", "host") for n in range(10)}
    contents = crowd.check()
    assert len({code.digest for code in contents.of("codes").values()}) == len(contents.of("codes")) == 3


def test_bundles_that_overlap_are_whole(crowd):
    """Each writes a row of three out of seven resources, and creates and prunes one of its own: what is left of each resource
    is of the last bundle that had it."""
    crowd.one.Apply(resources=[{"app": {"name": f"apps/a{n}"}} for n in range(7)])

    def apply(admin, number):
        done = []
        for turn in range(2):
            mark, names = f"{number} in turn {turn}", [f"apps/a{(number + n) % 7}" for n in range(3)]
            resources = [{"app": {"name": name, "description": mark}} for name in [*names, f"apps/of-{number % 20}-{turn}"]]
            done += [(answer.revision, mark, [*names, resources[-1]["app"]["name"]])
                     for answer in attempt(lambda: admin.Apply(resources=resources), "ABORTED")]
        return done
    done = sorted(crowd(apply))
    assert len({revision for revision, _, _ in done}) == len(done) > 10
    left = {name: mark for _, mark, names in done for name in names}
    contents = crowd.check()
    assert {name: app.description for name, app in contents.of("apps").items()} == \
        {**{f"apps/a{n}": "" for n in range(7)}, **left}


def test_numbers_of_releases_are_given_once_and_without_gaps(crowd):
    crowd.one.CreateApiGroup(group_id="g")
    apis = [f"groups/g/apis/a{n}" for n in range(5)]
    for n in range(5):
        crowd.one.CreateApi(parent="groups/g", api_id=f"a{n}",
                            api={**API, "frontend": {"method": "HTTP_METHOD_GET", "path": f"/a{n}"}})

    def publish(admin, number):
        done = []
        for turn in range(2):
            api = apis[(number + turn) % 5]
            done += attempt(lambda: admin.PublishApi(name=api, description=f"{number} in turn {turn}"), "ABORTED")
            if number % 10 == 0:
                attempt(lambda: admin.UnpublishApi(name=api), "ABORTED", "FAILED_PRECONDITION")
        return done
    numbers = {}
    for answer in crowd(publish):
        numbers.setdefault(answer.release.name.split("/releases/")[0], []).append(answer.release.number)
    assert {api: sorted(given) for api, given in numbers.items()} == {api: list(range(1, len(numbers[api]) + 1)) for api in apis}
    contents = crowd.check()
    for api in apis:
        assert contents.get(f"{api}/publications/RELEASE").last_number == len(numbers[api])
