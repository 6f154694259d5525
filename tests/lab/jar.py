# SPDX-License-Identifier: Apache-2.0
"""Builds the product's jar when it is missing or older than its sources."""

import subprocess

from . import packages
from .paths import REPOSITORY
from .product import JAR

# One file that tells whether the package is there -> the package.
NEEDED = {"/usr/bin/javac": "openjdk-17-jdk-headless", "/usr/bin/mvn": "maven"}


def is_current():
    return JAR.exists() and JAR.stat().st_mtime >= max(path.stat().st_mtime for path in _sources())


def build():
    """Builds it without its tests; Maven gets what it needs from its repository. About a minute after that."""
    packages.install_missing(NEEDED)
    subprocess.run(["mvn", "-B", "-q", "-DskipTests", "package"], cwd=REPOSITORY, check=True)


def _sources():
    agent = REPOSITORY / "agent"
    return [REPOSITORY / "pom.xml", *agent.glob("**/pom.xml"), *(p for p in agent.glob("*/src/main/**/*") if p.is_file())]
