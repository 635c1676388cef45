"""Draws the pictures of docs/console.md: thirty relays in mixed states in a real Chromium, without a cluster.

.venv/bin/python -m tests.pictures.console
"""

import asyncio
from pathlib import Path

from tests.support.chromium import chromium
from tests.support.console_stage import fleet

DOCUMENTS = Path("docs")
PICTURES = {"fleet": ("/", 1120, 600, False), "relay": ("/relays/shop/stock", 1120, 560, True)}
"""Address, width, height, and whether it is dark."""


async def draw() -> None:
    """Renew them."""
    stage = fleet()
    async with stage.leading(), stage.served() as url, chromium() as page:
        for name, (path, width, height, dark) in PICTURES.items():
            await page.window(width, height=height, dark=dark)
            await page.visit(url + path)
            picture = DOCUMENTS / f"console-{name}.png"
            picture.write_bytes(await page.screenshot(whole=False))
            print(picture, f"{picture.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    asyncio.run(draw())
