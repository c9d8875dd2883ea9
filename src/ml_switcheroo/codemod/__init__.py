"""The codemod: hooks, the pass over a file, and where injected code goes."""
