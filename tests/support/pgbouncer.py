"""The real PgBouncer in transaction mode, in front of the test server."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

SETTINGS = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = 5
ignore_startup_parameters = extra_float_digits
logfile = {log}
"""


@asynccontextmanager
async def pgbouncer(uri: str, folder: Path) -> AsyncIterator[str]:
    """The URI of ``uri``'s database through a pooler of this block's own."""
    found = urlsplit(uri)
    assert found.hostname
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = probe.getsockname()[1]
    place = Path("/tmp") / f"pgbouncer-{listen}"
    place.mkdir()
    users, config = place / "users.txt", place / "pgbouncer.ini"
    users.write_text(f'"{found.username}" "{found.password}"\n')
    host = socket.gethostbyname(found.hostname)
    config.write_text(
        SETTINGS.format(host=host, port=found.port, listen=listen, users=users, log=place / "pgbouncer.log")
    )
    for path in (place, users, config):
        shutil.chown(path, "postgres")
    process = subprocess.Popen(["pgbouncer", "-q", "-u", "postgres", str(config)])
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", listen)) == 0:
                    break
            await asyncio.sleep(0.05)
        assert process.poll() is None, (place / "pgbouncer.log").read_text()
        yield f"postgresql://{found.username}:{found.password}@127.0.0.1:{listen}{found.path}?sslmode=disable"
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 10)
        shutil.rmtree(place)
