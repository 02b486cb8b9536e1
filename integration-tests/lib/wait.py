"""Waiting on conditions, never for a time."""
import threading
import time


def until(condition, what, seconds=20.0):
    """Returns the first true answer of condition(); an OSError counts as not yet."""
    deadline = time.monotonic() + seconds
    pause, last = threading.Event(), None
    while True:
        try:
            answer = condition()
            if answer:
                return answer
            last = answer
        except OSError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}; last: {last!r}")
        pause.wait(0.01)
