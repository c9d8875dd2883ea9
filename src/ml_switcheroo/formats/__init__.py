"""Checkpoint files: lazy readers and streaming writers, one module a format."""
