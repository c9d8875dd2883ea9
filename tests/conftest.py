"""Settings that must stand before a framework is imported."""

import os

# Layers of a few numbers are compiled much longer than they run.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
os.environ.setdefault("KERAS_BACKEND", "jax")

# Scripts that made the samples, with libraries that no test needs.
collect_ignore = ["formats/samples"]


def pytest_ignore_collect(collection_path, config):
    """Look for doctests in tests alone: the modules they share have none, and import every framework."""
    if collection_path.suffix == ".py" and not collection_path.name.startswith(("test_", "conftest")):
        return True
    return None
