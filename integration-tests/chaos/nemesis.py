"""What goes wrong: programs are killed, paused and restarted, machines cut off, and everything is put right again."""
import contextlib
import signal
import time

LASTS = (2.0, 6.0)  # seconds
STARTS_IN = 15.0  # seconds until a program that was started again serves at the latest


class Fault:
    """do() and undo() of it; the victims are programs."""

    def __init__(self, what, victims, do, undo):
        self.what, self.victims, self.do, self.undo = what, victims, do, undo

    def __str__(self):
        return f"{self.what} {' '.join(victim.name for victim in self.victims)}"


class Nemesis:
    def __init__(self, cluster, chance, say):
        self.cluster, self.chance, self.say = cluster, chance, say

    # ---- what can be done

    def each(self, victims, action):
        return lambda: [action(victim) for victim in victims]

    def kill(self, victims):
        return Fault("kill", victims, self.each(victims, lambda each: each.kill()),
                     self.each(victims, lambda each: each.launch()))

    def restart(self, victims):
        return Fault("restart", victims, self.each(victims, lambda each: each.stop()),
                     self.each(victims, lambda each: each.launch()))

    def upgrade(self, victims):
        """Nobody may notice."""
        return Fault("upgrade", victims, self.each(victims, lambda each: each.upgrade()), lambda: None)

    def pause(self, victims):
        return Fault("pause", victims, self.each(victims, lambda each: each.signal(signal.SIGSTOP)),
                     self.each(victims, lambda each: each.signal(signal.SIGCONT)))

    def cut(self, victims):
        network = self.cluster.network
        return Fault("cut", victims, self.each(victims, lambda each: network.cut_off(each.machine)),
                     self.each(victims, lambda each: network.heal(each.machine)))

    def split(self, victims):
        """These reach each other and nobody else."""
        network = self.cluster.network
        return Fault("split", victims, self.each(victims, lambda each: network.move_apart(each.machine)),
                     self.each(victims, lambda each: network.heal(each.machine)))

    def compact(self, victims):
        """The history that watches and agents could ask for is gone; more than one asks for it."""
        return Fault("compact", victims, self.cluster.compact, lambda: None)

    def some(self, programs, most):
        return self.chance.sample(programs, self.chance.randint(1, most))

    def leader_or_any(self):
        leader = self.cluster.leader() if self.chance.random() < 0.5 else None
        return [leader or self.chance.choice(self.cluster.etcds)]

    def choices(self):
        cluster, chance = self.cluster, self.chance
        ways = [self.kill, self.pause] + ([self.cut] if cluster.network.can_cut else [])
        return [
            (6, lambda: chance.choice(ways)(self.leader_or_any())),
            (5, lambda: chance.choice(ways)(self.some(cluster.controlplanes, 1))),
            (1, lambda: chance.choice(ways)(cluster.controlplanes)),
            (1, lambda: chance.choice(ways)(cluster.etcds)),
            (1, lambda: self.restart(self.some(cluster.controlplanes, 2))),
            (2, lambda: self.compact(cluster.etcds)),
            (2, lambda: self.upgrade(self.some(cluster.agents, 2))),
            (5, lambda: chance.choice([*ways, self.restart])(self.some(cluster.agents, 3))),
        ] + ([(2, lambda: self.split([*self.some(cluster.etcds, 2), *self.some(cluster.controlplanes, 1),
                                      *self.some(cluster.agents, 3)]))] if cluster.network.can_cut else [])

    def faults(self):
        """One, or two at once that do not concern the same programs."""
        weights, makers = zip(*self.choices())
        found = [self.chance.choices(makers, weights)[0]()]
        second = self.chance.choices(makers, weights)[0]()
        if self.chance.random() < 0.4 and not set(found[0].victims) & set(second.victims):
            found.append(second)
        return found

    # ---- doing it

    def strike(self, wait):
        """One round; wait(seconds) while it lasts. What it was."""
        found = self.faults()
        with contextlib.ExitStack() as undone:
            for fault in found:
                undone.callback(self.undo, fault, time.monotonic())
                fault.do()
            wait(self.chance.uniform(*LASTS))
        return ", ".join(map(str, found))

    def undo(self, fault, began):
        fault.undo()
        starts = STARTS_IN if fault.what in ("kill", "restart") else 0
        self.say("fault", what=fault.what, who=[victim.name for victim in fault.victims], t=began,
                 undone=time.monotonic(), end=time.monotonic() + starts)
