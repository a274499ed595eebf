"""What holds for every test: in CI nothing is skipped, because a skipped test proves nothing."""

from __future__ import annotations

import os

import pytest

from databases import database, mysql_server, postgresql_server, remote_database, sqlite

__all__ = ["database", "mysql_server", "postgresql_server", "remote_database", "sqlite"]

IN_CI = os.environ.get("CI") == "true"


def skipped(session: pytest.Session) -> int:
    """How many tests of this session were skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", [])) if reporter else 0


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With CI=true a skip fails the build."""
    if IN_CI and exitstatus == pytest.ExitCode.OK and skipped(session):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested."""
    count = len(terminalreporter.stats.get("skipped", []))
    if count:
        what = "which fails the build" if IN_CI else "install the peers with `make peers` as root on Debian"
        terminalreporter.write_line(f"NOT TESTED: {count} skipped, {what}", red=True, bold=True)
