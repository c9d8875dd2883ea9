"""A PyTorch model's ``forward`` as a graph, read from its source and never run.

:mod:`entry` reads the model and follows ``forward`` with the shapes of its inputs. The machine that does so
is the reader's own (``sources/static``) with other tables (:mod:`machine`): a tensor there is a node of the
graph (:mod:`drawn`). What each operation of torch computes is a row below ``operations``, what a layer of
torch.nn computes a row below ``layers``, both said by a :class:`~ml_switcheroo.graph.of_source.pen.Pen`.
"""
