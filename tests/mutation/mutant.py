# SPDX-License-Identifier: Apache-2.0
"""One deliberate fault: where, what is replaced by what, and who must see it."""

from dataclasses import dataclass

RELAY = "agent/relay/src/main/java/io/vmferry/relay/"

MATRIX = "crash.CrashMatrixTest"
SIMULATION = "sim.RelocationSimulationTest"
AGENT = "agent/coordinator/src/main/java/io/vmferry/coordinator/"
HOSTS = "io.vmferry.simulation.WholeHostsSimulationTest#nothingIsLostAndNothingGetsStuck"


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str  # below the root
    changes: tuple  # of (before, after)
    tests: tuple  # below io.vmferry.relay, or in full; run in this order until one fails
    root: str = RELAY

    @property
    def path(self):
        return self.root + self.file

    def apply(self, source):
        """The file with the fault in it; ValueError if a text is not there exactly once."""
        for before, after in self.changes:
            if source.count(before) != 1:
                raise ValueError(
                    f"mutant '{self.name}': its text occurs {source.count(before)} times in {self.path}, not once; "
                    f"the code has changed, so change the list in tests/mutation too:\n{before}"
                )
            source = source.replace(before, after)
        return source


def mutant(name, file, before, after, *tests):
    return Mutant(name, file, ((before, after),), tests)


def mutant_of_two(name, file, changes, *tests):
    return Mutant(name, file, changes, tests)


def agent_mutant(name, file, before, after):
    """A fault in what the agent decides, which the simulation of whole hosts must see."""
    return Mutant(name, file, ((before, after),), (HOSTS,), AGENT)
