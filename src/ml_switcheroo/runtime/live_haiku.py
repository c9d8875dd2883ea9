"""The parameters of Haiku, a tree of two levels: ``net/~/fc1`` is the module ``fc1`` of ``net``."""

from ml_switcheroo.runtime.live_linen import LiveLinen


class LiveHaiku(LiveLinen):
    """Find the leaves of Haiku's parameters; writing them makes a new tree."""

    @classmethod
    def _parts(cls, path: tuple) -> list:
        module = [part for part in str(path[0]).split("/") if part != "~"]
        return [*module[1:], str(path[-1])]
