"""The address that the specification gives the hooks: they are in :mod:`ml_switcheroo.codemod.hooks`."""
