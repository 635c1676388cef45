"""The pods behind the operator's Service, for a Prometheus that knows no Kubernetes, as Debian's does not."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.cluster import paths

from .kubectl import Kubectl
from .release import RELEASE
from .watching import watching


@asynccontextmanager
async def operators_job(kubectl: Kubectl, folder: Path) -> AsyncIterator[dict[str, Any]]:
    """The scrape job that the Prometheus operator makes of the chart's ServiceMonitor.

    Endpoints of the Service that come and go are followed while the block runs; labels that series bring are kept."""
    file = folder / "targets.json"

    def note(slice_: dict[str, Any], _: float) -> None:
        if slice_["metadata"]["labels"]["kubernetes.io/service-name"] == RELEASE:
            paths.write(file, json.dumps(targets_of(slice_)))

    async with watching(kubectl, "discovery.k8s.io/v1", "endpointslices", note):
        yield {"job_name": "operator", "honor_labels": True, "file_sd_configs": [{"files": [str(file)]}]}


def targets_of(slice_: dict[str, Any]) -> list[dict[str, Any]]:
    """Address and labels of each pod, at the port http."""
    (port,) = [port["port"] for port in slice_["ports"] or [] if port["name"] == "http"]
    namespace = slice_["metadata"]["namespace"]
    return [
        {
            "targets": [f"{address}:{port}"],
            "labels": {"namespace": namespace, "pod": endpoint["targetRef"]["name"], "job": RELEASE},
        }
        for endpoint in slice_["endpoints"] or []
        for address in endpoint["addresses"]
    ]
