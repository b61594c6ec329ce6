"""`--allowed-skips FILE`: what was skipped and why, and a failure where FILE has no such reason."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest


class AllowedSkips:
    """Gathers the reasons of skipped tests, and holds them against those that are allowed.

    Args:
        path: a regular expression per line, which fits a reason from its beginning; `#` begins a
            comment.
    """

    def __init__(self, path: Path) -> None:
        lines = path.read_text().splitlines()
        self.path = path
        self.allowed = [line for line in lines if line.strip() and not line.startswith("#")]
        self.skipped: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test was skipped."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._note(report.longrepr)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A whole file was skipped."""
        if report.skipped:
            self._note(report.longrepr)

    def _note(self, why: object) -> None:
        reason = why[-1] if isinstance(why, tuple) else str(why)
        self.skipped[reason.removeprefix("Skipped: ")] += 1

    def is_allowed(self, reason: str) -> bool:
        """Whether the file has the reason."""
        return any(re.match(pattern, reason) for pattern in self.allowed)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tests that ran well are not enough where others should have run."""
        if not session.exitstatus and not all(map(self.is_allowed, self.skipped)):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was skipped, and what should not have been."""
        for reason, count in sorted(self.skipped.items()):
            said = "" if self.is_allowed(reason) else f"NOT ALLOWED by {self.path}: "
            terminalreporter.write_line(f"skipped {count}: {said}{reason}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option."""
    parser.addoption("--allowed-skips", type=Path, help="fail on other reasons than this file's")


def pytest_configure(config: pytest.Config) -> None:
    """Gather skips where the option is given."""
    path = config.getoption("--allowed-skips")
    # Processes that share the tests report to the one that started them.
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(AllowedSkips(path))
