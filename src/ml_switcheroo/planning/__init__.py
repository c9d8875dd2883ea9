"""Make a plan: from what a user has at hand to what becomes of every tensor and every leaf.

``planner`` asks all sources and puts a ``request`` together; ``prefixes`` takes off the names what wrappers
put before them. ``drawing`` leads the request through the stages. Each takes the ``ledger``, which holds what
is known of each tensor and leaf, who said it, and why, and adds to it:

1. ``by_rule``: what the user's rules drop and move.
2. ``by_recipe``: a module goes where its name says (``by_name``), by the recipe of its kind. Decides wherever
   kind and name leave one option.
3. ``by_structure``: asks :mod:`ml_switcheroo.match` about the rest, and about each matrix with equal sizes.
4. ``by_exclusion``: modules that are left go to the ``sites`` that nothing else fits, if ``vouching`` (with
   ``series``) agrees.
5. ``kernels``: doubts square kernels of a tree that keeps others otherwise.
6. ``ties``: joins tensors that are one.
7. ``clashes``: two moves to one leaf are asked about.
8. ``uses``: adds what ``forward`` does to a parameter before its operation.
9. ``casts``: the dtype of each leaf.
10. ``unfilled``: what no move fills.
11. ``remarks``: what a person should know.

What can become of a single module is in ``options``.
"""
