"""A plan as one page for a browser that loads nothing else: both trees, what a person decides, and why."""

from ml_switcheroo.report.page.assembling import plan_html

__all__ = ["plan_html"]
