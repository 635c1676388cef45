"""The real Prometheus and its promtool."""

import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.support.debian_server import program, running
from tests.support.helm import CHART

PACKAGE = "prometheus"
ALERTS = CHART / "files/alerts.yaml"
DASHBOARD = CHART / "files/dashboard.json"


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it, whatever comes of it."""
    command = [program("promtool", PACKAGE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def alerts() -> list[dict[str, Any]]:
    """Every alert of the chart."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The result at this moment; raises AssertionError for an expression that is refused."""
        found: list[dict[str, Any]] = (await self._get("query", query=expression))["result"]
        return found

    async def alerts(self) -> list[dict[str, Any]]:
        """Alerts that fire."""
        found = (await self._get("alerts"))["alerts"]
        return [alert for alert in found if alert["state"] == "firing"]

    async def _get(self, what: str, **parameters: str) -> Any:
        address = f"{self.url}/api/v1/{what}"
        async with aiohttp.ClientSession() as session, session.get(address, params=parameters) as response:
            body = json.loads(await response.text())
        assert body["status"] == "success", f"{parameters}: {body.get('error')}"
        return body["data"]


@asynccontextmanager
async def prometheus(
    folder: Path, port: int, jobs: Sequence[dict[str, Any]], *, scrape: str = "1s", evaluate: str = "1s"
) -> AsyncIterator[Prometheus]:
    """One that runs ``jobs`` of a scrape configuration, with the alerts of the chart; both each second, or as given."""
    config = {
        "global": {"scrape_interval": scrape, "scrape_timeout": scrape, "evaluation_interval": evaluate},
        "rule_files": [str(ALERTS)],
        "scrape_configs": list(jobs),
    }
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(config))
    command = [program("prometheus", PACKAGE), f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    found = Prometheus(f"http://127.0.0.1:{port}")
    async with running(command, folder / "prometheus.log", found.url):
        yield found
