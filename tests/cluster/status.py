"""What of the cluster runs, for people."""

from __future__ import annotations

from . import kafka, machine, netns, paths, postgres, processes


def report() -> str:
    """One line per program, and how to reach the servers."""
    if not netns.exists() and not processes.names():
        return "\n".join([f"the cluster {paths.CLUSTER} is not up", *_beside()])
    rows = []
    for name in processes.names():
        if name.startswith("build-") and not processes.is_running(name):
            continue
        pid = processes.pid_of(name)
        rows.append(f"{name:<26}{f'pid {pid}' if pid else 'not running'}")
    rows.append("")
    rows.append(f"PostgreSQL  {postgres.uri()}")
    rows.append(f"Kafka       {kafka.servers()}")
    rows.append(f"logs        {paths.LOGS}")
    return "\n".join([*rows, *_beside()])


def _beside() -> list[str]:
    return [f"also up     {', '.join(others)}"] if (others := machine.others()) else []
