"""The console in a real Chromium: at three widths, light and dark, with hostile relays, with and without scripts.

What it looks like is left in .pictures/console (or OUTBOXRELAY_PICTURES) for people to look at.
"""

import contextlib
import os
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.chromium import Page, chromium
from tests.support.console_hostility import LINKS, NAME, TEXTS, hostile
from tests.support.console_stage import Stage, fleet
from tests.support.relay_bodies import relay_body
from tests.support.waiting import until

PICTURES = Path(os.environ.get("OUTBOXRELAY_PICTURES", ".pictures")) / "console"
PAGES = {"fleet": "/", "incidents": "/incidents", "chains": "/chains", "relay": "/relays/shop/stock"}
WIDTHS = (390, 800, 1280)
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(17, 22, 27)"
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CONTRASTS = """(() => {
  const parsed = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const linear = (v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.slice(0, 3).map((v) => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = (item) => {
    for (; item; item = item.parentElement) {
      const colour = parsed(getComputedStyle(item).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const item = node.parentElement;
    if (!node.data.trim() || item.closest('svg, script') || !item.checkVisibility()) continue;
    const [one, other] = [light(parsed(getComputedStyle(item).color)), light(behind(item))];
    const ratio = (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
    if (ratio < 4.5) found.push(`${node.data.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return found;
})()"""
NAMELESS = """[...document.querySelectorAll('a, button, input, [role=img]')].filter((item) => item.checkVisibility() &&
  !(item.textContent.trim() || item.getAttribute('aria-label') || item.labels?.length)).map((item) => item.outerHTML)"""
HEADINGS = "[...document.querySelectorAll('h1, h2, h3')].map((item) => Number(item.tagName[1]))"
ROLES = """[...document.querySelectorAll('table')].every((table) => [...table.rows].every((row) =>
  [...row.cells].every((cell) => getComputedStyle(cell).display === 'table-cell' || cell.hasAttribute('role'))))"""


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with chromium() as opened:
        yield opened


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Thirty relays in mixed states."""
    found = fleet()
    async with found.leading():
        yield found


def members(group: int) -> list[str]:
    """States of the processes of a group, without those that are only waited for."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, of, *_ = path.read_text().rpartition(")")[2].split()
            if int(of) == group and state != "Z":
                found.append(state)
    return found


async def test_no_process_of_the_browser_outlives_a_test() -> None:
    async with chromium() as page:
        assert len(members(page.group)) > 2

    async def gone() -> bool:
        return not members(page.group)

    await until(gone, "end of the browser", 10)


def assert_at_home(page: Page, url: str) -> None:
    """Nothing was asked of anybody else, and the browser had nothing to say."""
    assert page.complaints == []
    assert {urlsplit(asked).netloc for asked in page.asked} == {urlsplit(url).netloc}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_pages_fit_and_can_be_read_at_every_width(stage: Stage, page: Page, dark: bool) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    async with stage.served() as url:
        for width in WIDTHS:
            await page.window(width, dark=dark)
            for name, path in PAGES.items():
                await page.visit(url + path)
                place = f"{name} at {width}"
                assert await page.evaluate(BACKGROUND) == (DARK if dark else LIGHT), place
                assert await page.evaluate(TOO_WIDE) <= 0, place
                assert await page.evaluate(CONTRASTS) == [], place
                assert await page.evaluate(NAMELESS) == [], place
                assert await page.evaluate(ROLES), place
                levels = [1, *await page.evaluate(HEADINGS)]
                assert all(later - before <= 1 for before, later in pairwise(levels)), place
                assert levels.count(1) == 2, place
                picture = PICTURES / f"{name}-{width}-{'dark' if dark else 'light'}.png"
                picture.write_bytes(await page.screenshot())
        assert_at_home(page, url)


async def test_hostile_relays_run_nothing_and_load_nothing(page: Page) -> None:
    stage = Stage(hostile(f"evil-{number}", text, link=LINKS[number % 4]) for number, text in enumerate(TEXTS))
    stage.put(hostile(NAME, "fine"))
    async with stage.leading(), stage.served() as url:
        for width in (390, 1280):
            await page.window(width)
            for path in (
                "/",
                "/incidents",
                "/chains",
                *(f"/relays/shop/evil-{number}" for number in range(len(TEXTS))),
            ):
                await page.visit(url + path)
                assert await page.evaluate("window.hit === undefined"), path
                assert await page.evaluate(TOO_WIDE) <= 0, path
                assert await page.evaluate("document.querySelectorAll('main script, main img, main style').length") == 0
        await page.visit(url + "/")
        assert await page.evaluate(f"[...document.links].some((link) => link.textContent.includes({NAME!r}))")
        shown = f"document.querySelector('main h1')?.innerText.includes({NAME!r})"
        await page.evaluate(f"[...document.links].find((link) => link.textContent.includes({NAME!r})).click()")
        await until(lambda: holds(page, shown), "page of the relay with the hostile name", 10)
        assert_at_home(page, url)


async def holds(page: Page, expression: str) -> bool:
    return bool(await page.evaluate(expression))


async def test_what_a_page_would_load_from_elsewhere_or_run_inline_is_blocked(stage: Stage, page: Page) -> None:
    async with stage.served() as url:
        await page.visit(url + "/")
        tries = """(async () => {
          const add = (tag, more) => document.body.append(Object.assign(document.createElement(tag), more));
          add('script', {textContent: 'window.hit = 1'});
          add('img', {src: 'http://evil.invalid/x.png'});
          add('style', {textContent: 'body { display: none }'});
          add('iframe', {src: '/'});
          await fetch('http://evil.invalid/').catch(() => {});
          document.body.setAttribute('style', 'opacity: 0');
          await new Promise((done) => setTimeout(done, 200));
          const style = getComputedStyle(document.body);
          return [window.hit, style.display, style.opacity];
        })()"""
        assert await page.evaluate(tries) == [None, "block", "1"]
        abroad = {asked for asked in page.asked if urlsplit(asked).netloc != urlsplit(url).netloc}
        assert abroad <= set(page.refused)
        assert all("Content Security Policy" in text for text in page.complaints)
        assert len(page.complaints) >= 5


async def test_a_page_renews_itself_in_place_and_can_be_paused(stage: Stage, page: Page) -> None:
    async with stage.served() as url:
        await page.window(800)
        await page.visit(url + "/?q=stock")
        await page.evaluate("document.querySelector('input[type=search]').value = 'half a word'; window.same = 1")
        before = relay_body("stock-taking")
        stage.put(before)
        # Coming back to the tab renews at once.
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await until(lambda: holds(page, "document.body.innerText.includes('stock-taking')"), "new relay", 15)
        assert await page.evaluate("document.querySelector('input[type=search]').value") == "half a word"
        assert await page.evaluate("window.same") == 1
        await page.evaluate("document.querySelector('#asof button').click()")
        assert await page.evaluate("document.querySelector('#asof button').ariaPressed") == "true"
        asked = len(page.asked)
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        assert len(page.asked) == asked
        await page.evaluate("document.querySelector('#asof button').click()")
        await until(lambda: holds(page, "performance.getEntriesByType('resource').length >= 2"), "renewal", 15)
        assert_at_home(page, url)


async def test_a_port_that_is_no_longer_forwarded_is_told(stage: Stage, page: Page) -> None:
    async with stage.served() as url:
        await page.visit(url + "/")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    said = "document.getElementById('asof').innerText.includes('is kubectl port-forward still there?')"
    await until(lambda: holds(page, said), "word about the lost connection", 15)


async def test_everything_is_there_without_scripts(stage: Stage, page: Page) -> None:
    async with stage.served() as url:
        await page.scripts(False)
        await page.visit(url + "/")
        text = await page.evaluate("document.body.innerText")
        assert "captures" in text
        assert "Reload" in text
        assert await page.evaluate("document.querySelector('#asof button')") is None
        assert_at_home(page, url)
