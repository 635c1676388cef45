"""What is in examples/, as it is."""

from pathlib import Path

EXAMPLES = Path("examples")
HEAD = """# Examples

<!-- generated from examples/ by make reference; do not edit -->

Whole manifests, as they lie in `examples/`. Change names and addresses."""
LANGUAGES = {".yaml": "yaml", ".sql": "sql"}


def page() -> str:
    """The page: every manifest and script, by name."""
    parts = [HEAD]
    for path in sorted(EXAMPLES.rglob("*")):
        if path.suffix in LANGUAGES:
            name = path.relative_to(EXAMPLES)
            parts.append(f"## {name}\n```{LANGUAGES[path.suffix]}\n{path.read_text().strip()}\n```")
    return "\n\n".join(parts) + "\n"
