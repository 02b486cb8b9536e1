"""What was seen, and whether it may have been: pure, over a list of events. All times are of one monotonic clock.

publish   key, version, t (began), end, outcome "ok" or "unknown": an acknowledged one is served by everybody in the end
read      agent, key, version, t, end: when an agent's answer for the key changed, and the last one of each
mixed     agent, t, text: an answer made of two revisions
failure   agent, t, end, text: requests failed from t until one succeeded at end
revision  agent, cluster, revision, t: when what the agent says it serves changed
fault     what, who (names), t, end: what was done to whom, until when it was undone
"""
KILLED_GRACE = 2.0  # seconds around a restart in which a caller may lose its connection
MAY_FAIL = ("kill", "restart")  # requests at the agent itself; nothing else may be noticed by callers


def of_kind(events, kind):
    return [event for event in events if event["kind"] == kind]


def grouped(events, *fields):
    groups = {}
    for event in events:
        groups.setdefault(tuple(event[field] for field in fields), []).append(event)
    return groups


def mixes(events):
    return [f"{event['agent']} at {event['t']:.2f}: an answer of two revisions: {event['text']}"
            for event in of_kind(events, "mixed")]


def going_back(events, kind, fields, value):
    """Where a value fell below the one before it."""
    found = []
    for group, each in grouped(of_kind(events, kind), *fields).items():
        each.sort(key=lambda event: event["t"])
        for before, after in zip(each, each[1:]):
            if after[value] < before[value]:
                found.append(f"{' '.join(map(str, group))}: {value} {before[value]} at {before['t']:.2f}, then "
                             f"{after[value]} at {after['t']:.2f}")
    return found


def from_nowhere(events):
    """Versions that were served before anybody had begun to publish them."""
    began = {(event["key"], event["version"]): event["t"] for event in of_kind(events, "publish")}
    return [f"{event['agent']} served {event['key']} {event['version']} at {event['end']:.2f}, which nobody had published"
            for event in of_kind(events, "read")
            if event["version"] and began.get((event["key"], event["version"]), float("inf")) > event["end"]]


def lost(events):
    """Acknowledged publishes that an agent does not serve at the end."""
    newest = {}
    for event in of_kind(events, "publish"):
        if event["outcome"] == "ok":
            newest[event["key"]] = max(newest.get(event["key"], 0), event["version"])
    last = {group: max(each, key=lambda event: event["t"])["version"]
            for group, each in grouped(of_kind(events, "read"), "agent", "key").items()}
    agents = {event["agent"] for event in of_kind(events, "read")}
    return [f"{agent} serves {key} {last.get((agent, key))} in the end; {version} was acknowledged"
            for key, version in sorted(newest.items()) for agent in sorted(agents)
            if last.get((agent, key), -1) < version]


def unexcused(events):
    """Failed requests at agents that nobody had killed."""
    faults = [event for event in of_kind(events, "fault") if event["what"] in MAY_FAIL]
    return [f"{event['agent']}: requests failed from {event['t']:.2f} to {event['end']:.2f}: {event['text']}"
            for event in of_kind(events, "failure")
            if not any(event["agent"] in fault["who"] and event["t"] >= fault["t"] - KILLED_GRACE and
                       event["end"] <= fault["end"] + KILLED_GRACE for fault in faults)]


CHECKS = {
    "no answer is made of two revisions": mixes,
    "no agent goes back to an older version of an API": lambda events: going_back(events, "read", ("agent", "key"), "version"),
    "no agent goes back to an older revision": lambda events: going_back(events, "revision", ("agent", "cluster"), "revision"),
    "nothing is served that nobody published": from_nowhere,
    "every acknowledged publish is served by every agent in the end": lost,
    "no request failed but at agents that were killed": unexcused,
}


def violations(events):
    """By check, what speaks against it."""
    return {name: check(events) for name, check in CHECKS.items()}
