"""What is in examples/, as it is."""

from pathlib import Path

EXAMPLES = Path("examples")
HEAD = """# Examples

<!-- generated from examples/ by make reference; do not edit -->

Whole manifests, as they lie in `examples/`, with their SQL and programs. Change names and addresses. `make test`
applies each on a real cluster and waits for its event."""
LANGUAGES = {".yaml": "yaml", ".sql": "sql", ".py": "python"}
ALONE = "<!-- not run: tests/e2e/test_examples.py runs it with its manifest -->\n"
"""Before what cannot follow another example in one database."""


def page() -> str:
    """The page: every manifest, script and program, by name."""
    parts = [HEAD]
    for path in sorted(EXAMPLES.rglob("*")):
        if path.suffix in LANGUAGES:
            name = path.relative_to(EXAMPLES)
            mark = "" if path.suffix == ".yaml" else ALONE
            parts.append(f"## {name}\n{mark}```{LANGUAGES[path.suffix]}\n{path.read_text().strip()}\n```")
    return "\n\n".join(parts) + "\n"
