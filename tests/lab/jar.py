# SPDX-License-Identifier: Apache-2.0
"""Builds the product's package when it is missing or older than its sources."""

import subprocess

from . import packages
from .installed import DEB, JAR
from .paths import REPOSITORY

# One file that tells whether the package is there -> the package.
NEEDED = {"/usr/bin/javac": "openjdk-17-jdk-headless", "/usr/bin/mvn": "maven"}


def is_current():
    return DEB.exists() and JAR.exists() and DEB.stat().st_mtime >= max(path.stat().st_mtime for path in _sources())


def build():
    """Builds it without its tests; Maven gets what it needs from its repository. About a minute after that."""
    packages.install_missing(NEEDED)
    subprocess.run(["mvn", "-B", "-q", "-DskipTests", "package"], cwd=REPOSITORY, check=True)


def _sources():
    """The package is made after the jar."""
    agent, packaging = REPOSITORY / "agent", REPOSITORY / "packaging"
    files = [*agent.glob("*/src/main/**/*"), *packaging.glob("src/**/*"), *(REPOSITORY / "libvirt-hooks").glob("*")]
    return [
        REPOSITORY / "pom.xml", REPOSITORY / "config/vmferry.yaml", packaging / "pom.xml", *agent.glob("**/pom.xml"),
        *(path for path in files if path.is_file()),
    ]  # fmt: skip
