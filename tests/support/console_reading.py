"""A page of the console as a test reads it: tags, attributes, links, text."""

from html.parser import HTMLParser

from outboxrelay.controller.console.answers import Answer
from tests.support.console_stage import Stage

PAGES = ("/", "/incidents", "/chains")
VOID = {"meta", "link", "input", "path", "use", "rect", "circle"}
Attributes = list[tuple[str, str | None]]


class Read(HTMLParser):
    """Tags, attributes and text of a page; fails where tags do not match."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(answer.body)
        self.close()
        assert self._open == [], f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        if tag == "wbr":
            # Where a word may be broken depends on the word.
            return
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def links(self) -> list[str]:
        return [attributes["href"] or "" for attributes in self.all("a")]


async def read(found: Stage, path: str, **query: str) -> Read:
    async with found.leading():
        answer = found.get(path, query)
    assert answer.status == 200
    return Read(answer)
