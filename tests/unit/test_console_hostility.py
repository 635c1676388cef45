"""What hostile relays say is text on every page, and what is secret is on none."""

from urllib.parse import quote

import pytest

from tests.support.console_hostility import LONG, NAME, TEXTS
from tests.support.console_hostility import hostile as hostile_body
from tests.support.console_reading import PAGES, read
from tests.support.console_stage import Stage, fleet
from tests.support.relay_bodies import held_row, pod_body, relay_body, report


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_a_hostile_text_is_text_wherever_it_stands(text: str) -> None:
    plain = Stage([hostile_body("evil", "plain")])
    found = Stage([hostile_body("evil", text)])
    row = found.relays.get(("shop", "evil")) or {}
    found.pods["shop", "evil"] = [pod_body("pod")]
    said = report(member="pod", held=(held_row(key=text),))
    flow = said.delivery.flow.model_copy(update={"reason": text})
    said = said.model_copy(update={"delivery": said.delivery.model_copy(update={"flow": flow})})
    found.reports["shop", "evil"] = {"pod": said}
    plain.pods, plain.reports = found.pods, found.reports
    assert row
    for path in (*PAGES, "/relays/shop/evil"):
        page, harmless = await read(found, path), await read(plain, path)
        assert [tag for tag, _ in page.tags] == [tag for tag, _ in harmless.tags]
        assert [sorted(attributes) for _, attributes in page.tags] == [sorted(item) for _, item in harmless.tags]
        assert all(char.isprintable() for words in page.words for char in words.replace("\n", ""))
        assert "49" not in page.text or "49" in harmless.text
        assert max(len(words) for words in page.words) <= 4000
    if text is not LONG:
        shown = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        assert shown in (await read(found, "/relays/shop/evil")).text


async def test_a_hostile_name_is_text_and_its_link_leads_to_it() -> None:
    found = Stage([hostile_body(NAME, "fine")])
    for path in (*PAGES, f"/relays/shop/{NAME}"):
        async with found.leading():
            answer = found.get(path)
        assert "<b " not in answer.body
    assert f"/relays/shop/{quote(NAME)}" in (await read(found, "/")).links


async def test_no_page_has_anything_inline() -> None:
    found = fleet()
    for path in (*PAGES, "/relays/shop/stock"):
        page = await read(found, path)
        for tag, attributes in page.tags:
            assert tag != "style"
            assert not [name for name in attributes if name == "style" or name.startswith("on")]
            if tag == "script":
                assert attributes["src"] == "/console.js"


async def test_credentials_are_on_no_page() -> None:
    secret = "postgresql://u:s3cr3t@h/d"
    body = relay_body("orders")
    body["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": secret}
    body["spec"]["source"]["database"]["uri"] = secret
    body["spec"]["target"]["properties"] = {"sasl.password": secret}
    found = Stage([body])
    for path in (*PAGES, "/relays/shop/orders"):
        assert "s3cr3t" not in (await read(found, path)).text
