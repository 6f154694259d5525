# SPDX-License-Identifier: Apache-2.0
"""Compiles a mutant against the built classes, which takes two seconds, and runs its tests without Maven."""

import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .mutant import Mutant

ROOT = Path(__file__).resolve().parents[2]
RUNNER = Path(__file__).with_name("RunTests.java")
PACKAGE = "io.vmferry.relay."
MODULES = "agent/simulation"  # and all it needs: that is, all but the command

# The simulation of whole hosts breaks things all the time; the log of that says nothing.
QUIET_HOSTS = "-Dlogback.configurationFile=logback-simulation.xml"

# All tests without a fault take two minutes alone on two cores, and much longer beside other work.
ALL_TESTS_TIMEOUT_SECONDS = 1200

# The longest test takes 30 seconds alone; a fault that makes it hang is one that it sees.
TEST_TIMEOUT_SECONDS = 300
SEEN, PASSED = 1, 0


class BuildError(Exception):
    """Nothing can be said about the mutants, or about this one; the message says why."""


@dataclass(frozen=True)
class Result:
    mutant: Mutant
    killer: str | None  # the test that saw it
    seconds: float
    problem: str | None = None  # why it could not be tried


class Build:
    """The program's classes, built once, and a folder for everything that comes of the mutants."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="vmferry-mutants-"))
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def compile(self):
        self.classpath = class_path(maven())
        self.javac(self.folder / "runner", [launcher(self.classpath)], RUNNER)

    def prepare(self, mutants):
        """Builds, and checks that the tests pass without a fault: otherwise they would prove nothing."""
        self.compile()
        tests = sorted({test for mutant in mutants for test in mutant.tests})
        status, output = self.test([], tests, ALL_TESTS_TIMEOUT_SECONDS)
        if status != PASSED:
            raise BuildError(f"the tests fail without any fault; mend that first:\n{output[-3000:]}")

    def run(self, mutant):
        began = time.monotonic()
        try:
            killer, problem = self.attempt(mutant), None
        except BuildError as error:
            killer, problem = None, str(error)
        return Result(mutant, killer, time.monotonic() - began, problem)

    def attempt(self, mutant):
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            source = folder / "source" / Path(mutant.file).name
            source.parent.mkdir()
            source.write_text(mutant.apply((ROOT / mutant.path).read_text()))
        except (OSError, ValueError) as error:
            raise BuildError(str(error)) from error
        classes = folder / "classes"
        self.javac(classes, [], source)
        killer = self.killer(classes, mutant.tests)
        shutil.rmtree(folder, ignore_errors=True)
        return killer

    def killer(self, classes, tests):
        for test in tests:
            status, output = self.test([classes], [test], TEST_TIMEOUT_SECONDS)
            if status == PASSED:
                continue
            if status is None:
                return test + " (never ended)"
            if status != SEEN:
                raise BuildError(f"{test} could not be run:\n{output[-3000:]}")
            method = re.search(r"FAILED .*?(?:method|test-template|property):(\w+)", output)
            return test + ("." + method[1] if method and "#" not in test else "")
        return None

    def javac(self, target, more, source):
        target.mkdir()
        command = ["javac", "-nowarn", "-proc:none", "-d", target, "-cp", joined([*more, *self.classpath]), source]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise BuildError(f"{source} can't be compiled:\n{done.stderr}")

    def test(self, first, tests, timeout, options=()):
        """The runner's exit status and output; None as status if it never ended."""
        path = [*first, self.folder / "runner", *self.classpath, launcher(self.classpath)]
        command = ["java", "-ea", QUIET_HOSTS, *options, "-cp", joined(path), "RunTests", *[class_name(test) for test in tests]]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            return None, ""
        return done.returncode, without_log(done.stdout) + done.stderr


def class_name(test):
    """Tests are named as in the relay's package, those of other packages in full."""
    return test if test.startswith("io.vmferry.") else PACKAGE + test


def maven():
    """Compiles code and tests; returns Maven's output, which names the class path."""
    command = ["mvn", "-B", "-X", "-Dstyle.color=never", "-Dspotless.check.skip=true", "-pl", MODULES, "-am"]
    done = subprocess.run([*command, "test-compile"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
        raise BuildError("the build fails:\n" + "\n".join(errors[:20]))
    return done.stdout


def class_path(output):
    """The class paths of the tests of all modules that Maven compiled, as one; the relay's first."""
    found = re.findall(r"\(f\) testPath = \[(.*)\]", output)
    if not found:
        raise BuildError("Maven did not say which class path the tests have")
    entries = [entry for path in found for entry in path.split(", ")]
    first = [entry for entry in entries if "/agent/relay/target/" in entry]
    return list(dict.fromkeys(first + entries))


def launcher(classpath):
    """JUnit's launcher, which Maven fetches when it runs a test; in the version of the engine."""
    for entry in classpath:
        match = re.fullmatch(r"(.*)/junit-platform-engine/([^/]+)/[^/]+\.jar", str(entry))
        if match:
            found = Path(match[1]) / f"junit-platform-launcher/{match[2]}/junit-platform-launcher-{match[2]}.jar"
            if found.exists():
                return found
            raise BuildError(f"{found} is missing; run any test once with 'mvn test', which fetches it")
    raise BuildError("the tests' class path has no JUnit engine")


def without_log(output):
    """What the tests print themselves; the code's own log lines begin with the time."""
    return "".join(line for line in output.splitlines(keepends=True) if not re.match(r"\d\d:\d\d:\d\d", line))


def joined(path):
    return ":".join(str(entry) for entry in path)
