"""The judge of ./dev test --chaos finds what it is there for."""
import pytest

from chaos.history import CHECKS, violations

PUBLISHED = {"kind": "publish", "key": "k", "version": 1, "t": 1.0, "end": 1.5, "outcome": "ok"}
GOOD = [
    PUBLISHED, dict(PUBLISHED, version=2, t=2.0, end=2.5), dict(PUBLISHED, version=3, t=3.0, end=8.0, outcome="unknown"),
    {"kind": "read", "agent": "a", "key": "k", "version": 0, "t": 0.1, "end": 0.2},
    {"kind": "read", "agent": "a", "key": "k", "version": 1, "t": 1.1, "end": 1.2},
    {"kind": "read", "agent": "a", "key": "k", "version": 2, "t": 2.6, "end": 2.7},
    {"kind": "read", "agent": "a", "key": "k", "version": 3, "t": 8.5, "end": 8.6},
    {"kind": "revision", "agent": "a", "cluster": "c", "revision": 7, "t": 1.0},
    {"kind": "revision", "agent": "a", "cluster": "c", "revision": 9, "t": 2.0},
    {"kind": "revision", "agent": "a", "cluster": "restored", "revision": 3, "t": 3.0},
    {"kind": "fault", "what": "kill", "who": ["a"], "t": 5.0, "end": 6.0},
    {"kind": "failure", "agent": "a", "t": 5.0, "end": 6.5, "text": "refused"},
]


def test_a_good_history_is_good():
    assert not any(violations(GOOD).values())


@pytest.mark.parametrize("check, more", [
    ("two revisions", {"kind": "mixed", "agent": "a", "t": 1.0, "text": "1 and 2"}),
    ("version of an API", {"kind": "read", "agent": "a", "key": "k", "version": 1, "t": 2.65, "end": 2.7}),
    ("older revision", {"kind": "revision", "agent": "a", "cluster": "c", "revision": 8, "t": 4.0}),
    ("nobody published", {"kind": "read", "agent": "a", "key": "k", "version": 3, "t": 2.8, "end": 2.9}),
    ("nobody published", {"kind": "read", "agent": "a", "key": "k", "version": 4, "t": 9.0, "end": 9.1}),
    ("in the end", {"kind": "read", "agent": "b", "key": "k", "version": 1, "t": 9.0, "end": 9.1}),
    ("in the end", dict(PUBLISHED, version=4, t=9.0, end=9.5)),
    ("killed", {"kind": "failure", "agent": "a", "t": 1.0, "end": 1.1, "text": "reset"}),
    ("killed", {"kind": "failure", "agent": "b", "t": 5.0, "end": 5.5, "text": "reset"}),
    ("killed", {"kind": "failure", "agent": "a", "t": 5.5, "end": 60.0, "text": "refused"}),
])
def test_what_must_not_be_is_found(check, more):
    found = {name for name, each in violations([*GOOD, more]).items() if each}
    assert found == {name for name in CHECKS if check in name}
