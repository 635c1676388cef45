"""make reference: write the pages and sections of docs/ that come from the models, the commands and the examples."""

from tests.reference.pages import pages


def main() -> None:
    """Write what differs, and name it."""
    for path, text in pages().items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"written: {path}")


if __name__ == "__main__":
    main()
