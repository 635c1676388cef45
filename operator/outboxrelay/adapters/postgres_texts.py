"""Names inside comments and dollar quotes of SQL that is printed for people to run."""

import unicodedata


def shown(name: str) -> str:
    """``name`` in a comment: in one line, whatever it holds."""
    return "".join("?" if unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cf") else letter for letter in name)


def tag_beside(*texts: str) -> str:
    """The tag of a dollar quote that none of ``texts`` can end."""
    tag, number = "outboxrelay", 0
    while any(f"${tag}" in text for text in texts):
        number += 1
        tag = f"outboxrelay{number}"
    return tag


def indented(text: str) -> str:
    """Each line four columns to the right."""
    return "\n".join(f"    {line}" for line in text.split("\n"))
