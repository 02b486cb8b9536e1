"""Copies of a group with all that is in it, made in the store itself, past the control plane, which must not run."""
import base64
import json
import sqlite3
import urllib.request

OPERATIONS, AT_ONCE = 80, 5  # of one transaction within another one, and groups; etcd takes 128 of both together


def names(model, groups):
    """Of the copies: as long as the model's, so that messages which hold it stay whole."""
    return [f"g{number:0{len(model) - 1}d}".encode() for number in range(1, groups)]


def copy_sqlite(path, model, groups, say):
    base = sqlite3.connect(path)
    base.execute("PRAGMA synchronous = OFF")
    (revision,) = base.execute("SELECT revision FROM meta").fetchone()
    rows = [row for row in base.execute("SELECT key, value FROM entry WHERE ended IS NULL") if is_of(row[0], model)]
    for number, name in enumerate(names(model, groups), 1):
        say(f"copying group {number + 1} of {groups}")
        revision += 1
        base.executemany("INSERT INTO entry (key, mod_revision, create_revision, lease, value) VALUES (?, ?, ?, 0, ?)",
                         [(renamed(key, model, name), revision, revision, renamed(value, model, name)) for key, value in rows])
    base.execute("UPDATE meta SET revision = ?", (revision,))
    base.commit()
    base.close()


def copy_etcd(etcd, model, groups, say):
    stored = json.loads(etcd.ctl("get", "--prefix", "/penstock/v1/", "-w", "json"))["kvs"]
    rows = [(base64.b64decode(kv["key"]), base64.b64decode(kv.get("value", ""))) for kv in stored]
    rows = [row for row in rows if is_of(row[0], model)]
    copies = names(model, groups)
    for at in range(0, len(copies), AT_ONCE):
        say(f"copying group {at + 2} of {groups}")
        puts = [{"requestPut": {"key": encode(renamed(key, model, name)), "value": encode(renamed(value, model, name))}}
                for name in copies[at:at + AT_ONCE] for key, value in rows]
        parts = [puts[first:first + OPERATIONS] for first in range(0, len(puts), OPERATIONS)]
        body = json.dumps({"success": [{"requestTxn": {"success": part}} for part in parts]}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{etcd.url}/v3/kv/txn", body), timeout=60).close()


def is_of(key, model):
    return model.encode() in bytes(key)


def renamed(data, model, name):
    return bytes(data).replace(model.encode(), name)


def encode(data):
    return base64.b64encode(data).decode()
