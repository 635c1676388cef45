"""What `outboxrelay sql` prints, and files of SQL, run by psql as a database administrator does."""

import subprocess
import sys


def piped(uri: str, *arguments: str) -> str:
    """outboxrelay sql … | psql, twice, since it may be run again; what was printed."""
    command = [sys.executable, "-m", "outboxrelay", "sql", *arguments]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for _ in range(2):
        psql(uri, printed)
    return printed


def psql(uri: str, text: str) -> None:
    """Run it; it must succeed without a word of complaint."""
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", uri]
    ended = subprocess.run(command, input=text, check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
