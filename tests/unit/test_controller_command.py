"""Flags of outboxrelay controller that hold credentials: taken from the environment, and never printed."""

import sys
from dataclasses import fields

import pytest

from outboxrelay import cli
from outboxrelay.cli.controller import split_urls
from outboxrelay.errors import InvalidInput
from outboxrelay.settings import ControllerSettings

SECRET = "s3cr3t"


def test_urls_are_repeated_or_joined_by_commas_and_each_counts_once() -> None:
    given = ["https://a/x, http://b:9093", "http://b:9093"]
    assert split_urls("--alertmanager-url", given) == ("https://a/x", "http://b:9093")
    assert split_urls("--alertmanager-url", ["", " "]) == ()


@pytest.mark.parametrize(
    "url", ["ftp://u:s3cr3t@host", "https://", "s3cr3t", "http://host:port/s3cr3t", "http://[s3cr3t"]
)
def test_what_is_no_url_is_refused_without_its_text(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"--webhook-url: URL 2 of 2 is none") as refused:
        split_urls("--webhook-url", ["https://a", url])
    assert SECRET not in str(refused.value)


def test_settings_do_not_show_urls() -> None:
    settings = ControllerSettings(
        relay_image="i",
        namespaces=(),
        lease_namespace="n",
        lease_name="l",
        identity="me",
        port=1,
        status_interval=1,
        probe_interval=1,
        log_level="info",
        webhook_urls=(f"https://host/{SECRET}",),
        alertmanager_urls=(f"https://user:{SECRET}@host",),
    )
    assert SECRET not in repr(settings)


@pytest.mark.parametrize("name", ["WEBHOOK_URL", "ALERTMANAGER_URL", "NOTIFY_SEVERITY", "RUNBOOK_URL"])
def test_the_variables_of_notifications_are_known(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"OUTBOXRELAY_CONTROLLER_{name}", f"no-url-{SECRET}" if name.endswith("K_URL") else "Warning")
    monkeypatch.setattr(sys, "argv", ["outboxrelay", "controller", "--relay-image", "i"])
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    # It goes on until the next thing that is missing.
    assert ended.value.code == 2
    assert "unknown environment variable" not in said
    assert SECRET not in said


def test_there_is_no_console_unless_it_is_asked_for_and_never_on_the_port_of_health(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {field.name: field.default for field in fields(ControllerSettings)}["console_port"] is None
    monkeypatch.setenv("OUTBOXRELAY_CONTROLLER_CONSOLE_PORT", "8080")
    monkeypatch.setenv("POD_NAMESPACE", "ops")
    monkeypatch.setattr(sys, "argv", ["outboxrelay", "controller", "--relay-image", "i"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "--console-port: 8080 is that of --port; give another one" in capsys.readouterr().err
