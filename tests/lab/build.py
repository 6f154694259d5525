# SPDX-License-Identifier: Apache-2.0
"""Compiles the lab's small C programs, once per change of a source."""

import subprocess

from .paths import LAB, TARGET

PROGRAMS = TARGET / "programs"

FLAGS = ["-O2", "-Wall", "-Wextra", "-Werror"]


def compile_c(source, output, *flags, libraries=()):
    """Compiles tests/lab/SOURCE unless the result is newer than all C sources; returns the result's path."""
    result = PROGRAMS / output
    sources = [*LAB.rglob("*.c"), *LAB.rglob("*.h")]
    if result.exists() and result.stat().st_mtime > max(s.stat().st_mtime for s in sources):
        return result
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", *FLAGS, *flags, "-o", str(result), str(LAB / source), *libraries], check=True)
    return result
