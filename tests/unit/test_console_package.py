"""What the console needs beside its code is in the package, and it is there only where somebody asked for it."""

import subprocess
import sys
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
CONSOLE = "outboxrelay/controller/console"


def test_the_wheel_has_every_template_and_static_file() -> None:
    builder = WheelBuilder(str(ROOT))
    packed = {item.distribution_path for item in builder.recurse_included_files()}
    folder = ROOT / "operator" / CONSOLE
    wanted = {
        f"{CONSOLE}/{path.relative_to(folder)}"
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {f"{CONSOLE}/templates/base.html", f"{CONSOLE}/static/console.css"} <= wanted
    assert wanted <= packed


def test_a_controller_without_a_console_does_not_load_the_library_of_templates() -> None:
    code = "import sys, outboxrelay.controller.app; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
