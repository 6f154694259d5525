# SPDX-License-Identifier: Apache-2.0
"""Text for a person who watches: bounded width, colour and redrawn lines only where they work."""

import os
import shutil
import sys
import textwrap
import time

MAX_WIDTH = 88  # columns; longer lines are hard to read
MIN_WIDTH = 40  # columns; below this nothing can be laid out
BAR = 24  # columns of the progress bar
PLAIN_INTERVAL = 5  # seconds between two lines of progress where a line can't be redrawn

BOLD, DIM, RED, GREEN, CYAN = "1", "2", "31", "32", "36"
ERASE_LINE = "\r\033[K"


class Terminal:
    """Writes to a stream; what can't be shown there, such as colour in a file, is left out."""

    def __init__(self, stream=None, clock=time.monotonic, environment=os.environ):
        self._stream = stream or sys.stdout
        self._clock = clock
        self._live = self._stream.isatty() and environment.get("TERM", "dumb") != "dumb"
        self._colour = self._live and "NO_COLOR" not in environment
        columns = shutil.get_terminal_size((MAX_WIDTH, 24)).columns if self._live else MAX_WIDTH
        self._width = max(MIN_WIDTH, min(MAX_WIDTH, columns - 1))
        self._progress_shown = None  # when; None if no progress line is being shown

    def title(self, text):
        self._print(self._style(BOLD, text))

    def step(self, number, total, text):
        self._print("")
        self._print(self._style(BOLD, f"[{number}/{total}] {text}"))

    def say(self, text):
        self._paragraph(text, "      ", "      ")

    def command(self, host, command):
        self._print("      " + self._style(CYAN, f"{host}# {command}"))

    def event(self, seconds, host, text, strong=False):
        """One line of a story; SECONDS since it began."""
        indent = f"      {seconds:+7.3f} s  {host:5}  "
        self._paragraph(text, indent, " " * len(indent), BOLD if strong else None)

    def check(self, passed, text):
        mark = self._style(GREEN, "ok  ") if passed else self._style(RED, "FAIL")
        self._print(f"      {mark}  {text}")

    def table(self, rows):
        """ROWS are (what, value)."""
        left = max(len(what) for what, _ in rows)
        right = max(len(value) for _, value in rows)
        for what, value in rows:
            self._print(f"      {what:<{left}}  {value:>{right}}")

    def progress(self, share, text):
        """Redraws one line; SHARE is 0 to 1. Where that isn't possible, a line every few seconds."""
        now = self._clock()
        if not self._live and self._progress_shown is not None and now - self._progress_shown < PLAIN_INTERVAL:
            return
        self._progress_shown = now
        full = int(share * BAR)
        line = f"      [{'#' * full}{'.' * (BAR - full)}] {share:4.0%}  {text}"[: self._width]
        if self._live:
            self._write(ERASE_LINE + line)
        else:
            self._write(line + "\n")

    def end_progress(self):
        if self._progress_shown is not None and self._live:
            self._write("\n")
        self._progress_shown = None

    def _paragraph(self, text, first, rest, style=None):
        lines = textwrap.wrap(text, max(self._width - len(first), MIN_WIDTH // 2)) or [""]
        for number, line in enumerate(lines):
            self._print((rest if number else first) + (self._style(style, line) if style else line))

    def _style(self, style, text):
        return f"\033[{style}m{text}\033[0m" if self._colour else text

    def _print(self, line):
        self.end_progress()
        self._write(line.rstrip() + "\n")

    def _write(self, text):
        self._stream.write(text)
        self._stream.flush()
