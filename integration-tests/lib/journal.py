"""What a writer knows of its own resources while control planes are killed: which writes were acknowledged, and which one is
under way. Nobody else writes them, so what is stored must be what the journal says."""
import threading

import grpc

DEFINITE = {"INVALID_ARGUMENT", "ALREADY_EXISTS", "NOT_FOUND", "FAILED_PRECONDITION", "ABORTED", "PERMISSION_DENIED",
            "RESOURCE_EXHAUSTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "UNAUTHENTICATED"}


class Lost(Exception):
    """The control plane went away: whether the write has happened is not known."""


class Refused(Exception):
    """Nothing was written."""


class Journal:
    """Names with their marks: None is absent, "" is there, and of what has a description, or of a publication its release,
    that text."""

    def __init__(self, known=()):
        self.known, self.pending = dict.fromkeys(known, ""), []
        self.acknowledged = self.lost = self.happened = 0

    def __getitem__(self, name):
        return self.known.get(name)

    def write(self, call, *changes):
        """Runs the call; afterwards the changes, each of them {name: mark}, are known or under way. Each is whole or not at
        all; more than one are of a call that writes one after the other."""
        self.pending = changes
        try:
            answer = call()
        except grpc.RpcError as error:
            if error.code().name in DEFINITE:
                self.pending = []
                raise Refused(f"{error.code().name}: {error.details()}") from None
            self.lost += 1
            raise Lost(error.details()) from None
        for change in changes:
            self.known.update(change)
        self.pending = []
        self.acknowledged += 1
        return answer

    def problems(self, contents):
        """What is stored of the journal's names; what was under way is known afterwards."""
        under_way = {name for change in self.pending for name in change}
        wrong = [f"{name} was acknowledged as {mark!r} and is {found!r}" for name, mark in self.known.items()
                 if name not in under_way and (found := mark_of(contents, name)) != mark]
        for change in self.pending:
            found = {name: mark_of(contents, name) for name in change}
            before = {name: self[name] for name in change}
            if found not in (before, change):
                wrong.append(f"half of a write: {before} was to become {change}, and is {found}")
            self.happened += found == change
            self.known.update(found)
        self.pending = []
        return wrong


def mark_of(contents, name):
    message = contents.get(name)
    if message is None:
        return None
    if "/publications/" in name:
        return message.release
    return getattr(message, "description", "")


class Writer(threading.Thread):
    """Runs turns until the control plane is gone; another one goes on with the journal. turn(admin, journal, number)."""

    def __init__(self, turn, journal, numbers, open_admin):
        super().__init__(daemon=True)
        self.turn, self.journal, self.numbers, self.open_admin = turn, journal, numbers, open_admin
        self.error = None

    def run(self):
        admin = self.open_admin()
        try:
            for number in self.numbers:
                self.turn(admin, self.journal, number)
        except Lost:
            pass
        except Exception as error:  # whatever it is, the scenario says it
            self.error = error
        finally:
            admin.close()
