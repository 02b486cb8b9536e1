"""How far it is, in one line of the terminal that is written over; nothing where nobody looks."""
import sys


def say(text):
    if sys.stderr.isatty():
        print(f"\r{text:<78}", end="", file=sys.stderr, flush=True)


def clear():
    if sys.stderr.isatty():
        print(f"\r{'':<78}\r", end="", file=sys.stderr, flush=True)


def end():
    if sys.stderr.isatty():
        print(file=sys.stderr)
