import runpy
from pathlib import Path

import ml_switcheroo

ROOT = Path(ml_switcheroo.__file__).parents[2]


def test_the_page_has_the_matrix_of_the_tables():
    script = runpy.run_path(str(ROOT / "docs" / "support_matrix.py"))
    text = (ROOT / "docs" / "support.md").read_text(encoding="utf-8")
    assert "<!-- support matrix -->" in text
    assert script["updated"](text) == text, "run: python docs/support_matrix.py"
