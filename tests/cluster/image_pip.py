"""The machine's pip configuration, for a build that must reach the same package index; nothing of it is kept."""

import configparser
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

INSIDE = "/run/outboxrelay-pip"
_OPTIONS = (
    "index-url",
    "extra-index-url",
    "trusted-host",
    "no-index",
    "find-links",
    "proxy",
    "timeout",
    "retries",
)
_CERTIFICATES = ("cert", "client-cert")


def mounts(folder: Path) -> Iterator[str]:
    """Write the configuration into the folder; give the --volume arguments that bring it into the build."""
    options = _options()
    chosen = {name: options[name] for name in _OPTIONS if name in options}
    options.setdefault("cert", _bundle())
    for name in _CERTIFICATES:
        if os.path.isfile(options.get(name, "")):
            shutil.copyfile(options[name], folder / f"{name}.pem")
            chosen[name] = f"{INSIDE}/{name}.pem"
    links = []
    for number, link in enumerate(chosen.pop("find-links", "").split()):
        if os.path.isdir(link):
            yield f"--volume={link}:{INSIDE}-links-{number}:ro"
            links.append(f"{INSIDE}-links-{number}")
        elif "://" in link:
            links.append(link)
    if links:
        chosen["find-links"] = "\n  ".join(links)
    lines = [f"{name} = {value}\n" for name, value in chosen.items()]
    (folder / "pip.conf").write_text("[global]\n" + "".join(lines))
    yield f"--volume={folder}:{INSIDE}:ro"


def _options() -> dict[str, str]:
    """What pip itself would use, in its order: the files from the machine's to the user's, then the environment."""
    home = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config"))
    files = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), Path.home() / ".pip/pip.conf", home / "pip/pip.conf"]
    reader = configparser.RawConfigParser()
    reader.read([*files, Path(os.environ.get("PIP_CONFIG_FILE", os.devnull))], encoding="utf-8")
    options: dict[str, str] = {}
    for section in ("global", "install"):
        if reader.has_section(section):
            options |= {name.replace("_", "-"): value for name, value in reader.items(section)}
    for name, value in os.environ.items():
        if name.startswith("PIP_") and value:
            options[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return options


def _bundle() -> str:
    """The certificates that this machine trusts."""
    named = [os.environ.get("REQUESTS_CA_BUNDLE", ""), os.environ.get("SSL_CERT_FILE", "")]
    return next((file for file in (*named, "/etc/ssl/certs/ca-certificates.crt") if os.path.isfile(file)), "")
