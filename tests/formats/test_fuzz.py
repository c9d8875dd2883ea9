from pathlib import Path

from formats.fuzz import run


def test_damaged_files_open_or_are_refused(tmp_path: Path) -> None:
    outcomes = run(400, 1, tmp_path)
    assert outcomes.total() == 400
    assert sum(total for name, total in outcomes.items() if name.endswith("refused")) > 200
    assert sum(total for name, total in outcomes.items() if name.endswith("opened")) > 5
