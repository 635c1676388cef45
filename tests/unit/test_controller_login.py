"""How the watch finds the API server from inside a pod."""

from pathlib import Path

import pytest

from outboxrelay.controller.handlers import service_account


def made(folder: Path) -> Path:
    (folder / "token").write_text("secret-token\n")
    (folder / "ca.crt").write_text("pem")
    return folder


@pytest.mark.parametrize(
    ("host", "server"), [("10.0.0.1", "https://10.0.0.1:6443"), ("fd00::1", "https://[fd00::1]:6443")]
)
def test_the_api_server_is_found_without_dns(tmp_path: Path, host: str, server: str) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "6443"}
    info = service_account(made(tmp_path), environment)
    assert info is not None
    assert (info.server, info.token) == (server, "secret-token")


def test_outside_a_pod_there_is_no_service_account(tmp_path: Path) -> None:
    assert service_account(made(tmp_path), {}) is None
    assert service_account(tmp_path / "none", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}) is None
