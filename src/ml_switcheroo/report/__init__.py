"""A plan for people: as text, as a page (``html``, read on demand), and what differs between two."""

from ml_switcheroo.report.changes import changes_text
from ml_switcheroo.report.folding import columns, fold
from ml_switcheroo.report.notebook import plan_table
from ml_switcheroo.report.problems import problems_text
from ml_switcheroo.report.text import plan_blocks, plan_text, summary, written_blocks
from ml_switcheroo.report.tracing import account_text

__all__ = [
    "account_text",
    "changes_text",
    "columns",
    "fold",
    "plan_blocks",
    "plan_table",
    "plan_text",
    "problems_text",
    "summary",
    "written_blocks",
]
