"""What the documentation shows, by the real API server and the real helm: manifests are taken, flags exist."""

import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from outboxrelay.api.names import KIND
from tests.support.fences import blocks, commands
from tests.support.helm import helm
from tests.support.kubectl import Kubectl
from tests.support.rig import Rig

pytestmark = pytest.mark.needs_cluster


def relays() -> list[tuple[str, dict[str, Any]]]:
    """Page and line → an OutboxRelay."""
    found = []
    for block in blocks("yaml"):
        for document in yaml.safe_load_all(block.text):
            if isinstance(document, dict) and document.get("kind") == KIND:
                document["metadata"]["namespace"] = "default"
                found.append((str(block), document))
    return found


def test_every_outboxrelay_of_the_documentation_is_taken_by_the_api_server(outboxrelays: None) -> None:
    tool = Kubectl("default", Rig.from_environment().context)
    refused = []
    for place, manifest in relays():
        command = tool.command("create", "--dry-run=server", "-f", "-")
        done = subprocess.run(
            command, input=json.dumps(manifest), capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            refused.append(f"{place}: {done.stderr}")
    assert refused == []


def test_every_flag_that_is_given_to_helm_is_one_of_it() -> None:
    used: dict[str, set[str]] = {}
    for block in blocks("console"):
        for words in commands(block):
            if words[0] == "helm":
                used.setdefault(words[1], set()).update(word for word in words if word.startswith("-"))
    assert {"install", "upgrade", "test", "uninstall"} <= set(used)
    for verb, flags in used.items():
        known = set(re.findall(r"(?<![\w-])(--?[a-z][\w-]*)", helm(verb, "--help").stdout))
        assert flags <= known, f"helm {verb}: {flags - known}"
