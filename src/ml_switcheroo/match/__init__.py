"""Which leaf of a tree that is already there a tensor becomes: by names and structure.

:func:`ml_switcheroo.match.structure.solve` takes a ``Question``, the tensors and leaves that kind and
spelling left open. It gives ``Found``: the moves that are certain, and doubts with rules that settle them.
Its stages, in their order:

1. ``paths``: paths -> words, and positions (a pattern, and the index of each repeated block).
   Reads, decides nothing; ``vocabulary`` is the dictionary.
2. ``units``: positions, shapes and findings -> units (a module with its tensors, in all of its repetitions).
   Says what each can be: its kinds (``kinds_by_name``), its role in the network (``roles``, ``parts_read``),
   where a norm stands (``norms``), how the source keeps its matrix (``orders``). Cuts fused units into parts
   (``fused``). Decides nothing that a later stage could contradict.
3. ``candidates``: two units -> a candidate (which repetitions go together, and every layout that fits).
   A veto: what a name contradicts, or no layout fits, is never weighed. It prefers nothing.
4. ``assignment``: candidates -> matches and rivalries.
   Decides where each unit goes: ``similarity`` gives the score, ``best`` the assignment with the highest sum,
   ``margins`` what a pair must win by. What is then left takes the only candidate that it has, where its
   shape says enough (``pairing``).
5. ``layouts``: matches -> what leaves show of how this tree keeps its matrices (``layout_evidence``).
   A veto: candidates that contradict it are taken out, and stage 4 runs again without them.
6. ``layouts``: matches -> the layout of each slot (``choosing``).
   Decides, where the shape fits several: like the leaves that show it, else as the framework does.
7. ``assignment.leftovers``: matches -> those that are not to be trusted.
   A veto: a norm or a table that has no place may have been folded into what was matched.
8. ``making``: matches with layouts -> moves, and doubts with a rule for each answer.
   Decides nothing. The parts of a fused tensor become moves only if all of them are known.

Each package imports only from those above it. Beside them stand ``weights``, every number that was set by
hand; ``trace``, which tells ``plan --explain`` what was weighed and which stage had the last word; and
``kinds_by_target``, which says before all this what the types of a live target prove.

Two rules hold for all. A stage that cannot tell says so: it never takes the first of several. And being left
over proves nothing: :mod:`ml_switcheroo.planning.stages.by_exclusion`, which comes after, asks for more.
"""
