"""Every kind of note that a rewrite makes: one row each, with its code, what it says, what follows, the cure.

The first digit of a code says what it is about: 1 loads that are left, 2 saves that are left, 3 what was
rewritten and a person should know, 4 objects that are no models, 5 code beside the calls, 6 files and
places, 9 hooks of other packages.
"""

from __future__ import annotations

from ml_switcheroo.codemod.note_row import Row

__all__ = ["ALL"]

_OWN = "call what its class does to the state dict, then KeyMapper.load_into"
_BIND = "return the loaded model, and bind it where it is used: net = KeyMapper.load_into(net, ...)"
_COPY = "copy the arrays of the one port into the other by hand"

ALL = (
    # ---- loads that are left -------------------------------------------------------------------
    Row(
        *("SW101", "super", "a call of super()"),
        "super() speaks to a load_state_dict of this class's own",
        _OWN,
    ),
    Row(
        *("SW102", "on-class", "a call on the class"),
        "the method is called on the class {receiver}; the model is an argument",
        "call it on the model",
    ),
    Row(
        *("SW103", "own-load", "a model with a load_state_dict of its own"),
        "the class of {receiver} has a load_state_dict of its own",
        _OWN,
    ),
    Row(
        *("SW104", "foreign-arguments", "arguments that PyTorch's method does not have"),
        "{what}: the method is the object's own",
        _OWN,
    ),
    Row(
        *("SW105", "inside-load", "the inside of a load_state_dict"),
        "this is the inside of a load_state_dict: what it does stays yours",
        "keep it as long as a PyTorch model uses it",
    ),
    Row(
        *("SW106", "state-unseen", "a call that does not show its state dict"),
        "the call does not show what is loaded",
        "pass the state dict as the first argument",
    ),
    Row(
        *("SW107", "either", "a model or something else"),
        "{receiver} can be a model and can be {other}",
        "split the line: the model by KeyMapper.load_into, the other as it is",
    ),
    Row(
        *("SW108", "unknown-self", "self of an unknown class"),
        "nothing shows that the class of self is a model",
        "write KeyMapper.load_into(self, ...) where it is one",
    ),
    Row(
        *("SW109", "sharded", "a model in shards"),
        "{receiver} is sharded over processes, and its own method loads the shards",
        "gather the state dict first, and shard the port by its framework's own means",
    ),
    Row(
        *("SW110", "copy-unneeded", "a copy in memory, for a target without state dicts"),
        "a copy in memory, for which {target} needs no state dict",
        "copy the tree: target = online",
    ),
    Row(
        *("SW111", "copy-unlike", "a copy in memory between unknown objects"),
        "a copy in memory, and nothing shows that {receiver} and {source} are both models",
        "write KeyMapper.copy_into(target, online) where they are",
    ),
    Row(
        *("SW112", "copy-own", "a copy in memory of models that change their state dict"),
        "a copy in memory, and {receiver} overrides or hooks what goes into its state dict",
        _COPY,
    ),
    Row(
        *("SW113", "copy-altered", "a copy in memory of models that were quantised, fused or pruned"),
        "a copy in memory, and line {line} changes which tensors {receiver} has",
        _COPY,
    ),
    Row(
        *("SW114", "copy-nested", "a copy in memory with another call inside"),
        "a copy in memory with another call inside",
        "give the inner call a line of its own, then rewrite again",
    ),
    Row(
        *("SW115", "copy-comment", "a copy in memory with a comment inside"),
        "a comment stands inside this copy in memory, and would be lost",
        "move the comment above the call, then rewrite again",
    ),
    Row(
        *("SW116", "copy-loose", "a copy in memory of some names, between models of unknown classes"),
        "a copy in memory that leaves names out, and nothing shows the classes of {receiver} and {source}",
        "write KeyMapper.copy_into(target, online, ...) where both name their tensors alike",
    ),
    Row(
        *("SW120", "no-model-shown", "an unknown object, for a target where a load makes something new"),
        "nothing shows that this is a model, and a load for {target} makes something new",
        "annotate the variable with its class, or " + _BIND,
    ),
    Row(
        *("SW121", "result-used", "a used result, for a target whose models never change"),
        "the models of this target never change, and the result of this call is used",
        _BIND,
    ),
    Row(
        *("SW122", "part", "a part of a model, for a target whose models never change"),
        "the models of this target never change, and this is a part of one",
        "write net = KeyMapper.load_part(net, path, state), and make sure that all use the new net",
    ),
    Row(
        *("SW123", "held-by-object", "a model that another object of the class has too"),
        "line {line} gives {receiver} to another object, too",
        _BIND,
    ),
    Row(
        *("SW124", "unassignable", "an expression that cannot be bound anew"),
        "the models of this target never change, and this expression cannot be assigned to",
        _BIND,
    ),
    Row(
        *("SW125", "outer-variable", "a variable of the code around the function"),
        "{receiver} belongs to the code around this function; binding it here would make another",
        _BIND,
    ),
    Row(
        *("SW126", "callers", "an argument that is not returned"),
        "{receiver} is the caller's, who would keep the old model: return it and bind it there",
        _BIND,
    ),
    Row(
        *("SW127", "held", "a model that something else has too"),
        "line {line} gives the old model another name, or puts it somewhere",
        _BIND,
    ),
    Row(
        *("SW128", "self-fixed", "self, for a target whose models never change"),
        "the models of this target never change, and self is one",
        "load where the object is made",
    ),
    Row(
        *("SW129", "giver-keeps", "a model that came from outside the object"),
        "{place} gave {receiver} to this object, and may keep the old one",
        "take the model back from the object after loading",
    ),
    Row(
        *("SW130", "read-elsewhere", "a torch.load that something else uses too"),
        "what torch.load reads here goes elsewhere than into a rewritten call",
        "read it with ml_switcheroo.open_checkpoint, or keep torch",
    ),
    Row(
        *("SW131", "pickled", "a whole pickled model"),
        "{receiver} is a whole pickled model: save its state_dict() with PyTorch first",
        "save its state_dict() with PyTorch, and load that",
    ),
    Row(
        *("SW132", "loaded-by", "a function of a library that loads by itself"),
        "{function} loads into the model by itself",
        "read the file with KeyMapper.read, and load it with KeyMapper.load_into",
    ),
    Row(
        *("SW133", "loaded-in-shards", "a load of a checkpoint in shards"),
        "{function} reads a checkpoint in shards into what is there",
        "read the folder with ml_switcheroo.open_checkpoint, then KeyMapper.load_into",
    ),
    Row(
        *("SW134", "no-callers", "an argument that is returned to nobody"),
        "no call of {name} shows that who calls it takes the model that it returns",
        _BIND,
    ),
    Row(
        *("SW135", "caller-keeps", "an argument that a caller goes on with"),
        "{place} calls {name} and goes on with the model that it handed in",
        "bind what the function returns there, then rewrite again",
    ),
    Row(
        *("SW136", "quantised", "a quantised model"),
        "{receiver} is quantised, and no port has such tensors",
        "load the model before it is quantised",
    ),
    Row(
        *("SW137", "flat-used", "a used result, for a target of dictionaries"),
        "{target} gets a dictionary of arrays, and the report of this call is used",
        "write params = KeyMapper.from_torch(state), and compare its names with your tree's",
    ),
    Row(
        *("SW138", "flat-unnamed", "a load, for a target of dictionaries, that has no name to go to"),
        "{target} gets a dictionary of arrays, which {name} cannot be the name of here: {why}",
        "write params = KeyMapper.from_torch(state) under a name of your own",
    ),
    Row(
        *("SW139", "had", "a model that comes from where it may stay"),
        "line {line} gets {receiver}, or what it is made of, from something that may have it, too",
        _BIND,
    ),
    Row(
        *("SW140", "handed", "a model that something else may have too"),
        "line {line} hands {receiver} to something that may keep it",
        _BIND,
    ),
    # ---- saves that are left -------------------------------------------------------------------
    Row(
        *("SW201", "saved", "a state dict that is saved"),
        "the state dict is saved by {by}; --save takes it from the ported model",
        "rewrite with --save",
    ),
    Row(
        *("SW202", "saved-own", "a state dict that is not PyTorch's own"),
        "its state dict is not PyTorch's own ({receiver}: {kind})",
        "save what KeyMapper.to_torch(net) gives",
    ),
    Row(
        *("SW203", "saved-unnamed", "a save, for a target whose trees do not show PyTorch's names"),
        "what holds the weights in {target} does not show PyTorch's names: use ml_switcheroo.to_torch",
        "save ml_switcheroo.to_torch(tree, like=...)",
    ),
    Row(
        *("SW204", "saved-with-arguments", "a state_dict() with arguments"),
        "the arguments of this state_dict() have no match in the target",
        "drop the arguments",
    ),
    Row(
        *("SW205", "saved-whole", "a model that is saved whole"),
        "{receiver} is saved whole, by pickle: save its state dict",
        "save its state_dict(), then rewrite with --save",
    ),
    Row(
        *("SW206", "saved-by", "a function of a library that takes the weights by itself"),
        "{function} takes the weights of the model by itself",
        "save what KeyMapper.to_torch(net) gives",
    ),
    Row(
        *("SW207", "saved-in-shards", "a save of a checkpoint in shards"),
        "{function} writes a checkpoint in shards",
        "save the port by its framework's own means, or what KeyMapper.to_torch gives",
    ),
    # ---- rewritten, and a person should know ---------------------------------------------------
    Row(
        *("SW301", "dropped", "an argument that was dropped"),
        "{name}= is dropped: {why}",
        "nothing, unless the argument mattered",
        *("done", False),
    ),
    Row(
        *("SW302", "mended", "the result of load_state_dict taken for the model"),
        "the result of load_state_dict was assigned to the model itself, which it is not",
        "nothing: the new line does what was meant",
        *("done", False),
    ),
    Row(
        *("SW303", "copy-two", "a copy in memory between models that need not be of one class"),
        "{receiver} and {source} need not be of one class: names, shapes and the kinds that layers of the"
        " framework show are checked when this runs, but not how layers of one's own keep their tensors, what"
        " a class does to its state dict, nor whether a Flatten stands before a layer in one of them alone",
        "nothing, unless a class has layers of its own, or hooks",
        *("may differ", False),
    ),
    Row(
        *("SW305", "overridden", "a model that changes names or values when it loads"),
        "the class of the model changes names or values when it loads: what it does must be done to the"
        " state dict first, once the model is ported",
        "do it to the state dict, before KeyMapper.load_into",
        *("may differ", False),
    ),
    Row(
        *("SW306", "flat", "a state dict that is bound as a dictionary of arrays"),
        "the arrays are in {name} now: hand them to the function that runs the model",
        "pass the dictionary where the port takes its parameters",
        *("by hand", False),
    ),
    # ---- objects that are no models ------------------------------------------------------------
    Row(
        *("SW401", "no-weights", "an optimizer, a scheduler and the like"),
        "{receiver} is {other}, which holds no weights",
        "port it by the target's own means, such as optax",
        "none",
    ),
    Row(
        *("SW402", "imported", "a function of an imported module"),
        "{receiver} is imported, and its load_state_dict may be any function",
        "see what it does: what it loads into a model is rewritten where it stands",
    ),
    Row(
        *("SW403", "own-object", "an object with a load_state_dict of its own"),
        "the class of {receiver} is no torch.nn.Module and has a load_state_dict of its own",
        "see what its method does: what it loads into a model is rewritten where it stands",
    ),
    Row(
        *("SW404", "loop", "a loop over unknown objects"),
        "{receiver} runs over objects that nothing shows to be models",
        "take the models out of the loop",
    ),
    Row(
        *("SW405", "awaited", "a call that is awaited"),
        "the result is awaited: this is no method of a model",
        "nothing",
        "none",
    ),
    # ---- code beside the calls -----------------------------------------------------------------
    Row(
        *("SW501", "override", "an override of PyTorch's loading"),
        "{receiver} overrides {name}: what it does stays yours",
        "do to the state dict what it does, before KeyMapper.load_into",
    ),
    Row(
        *("SW502", "hook", "a hook on the state dict"),
        "a hook on the state dict: what it does with names and values stays yours",
        "do to the state dict what it does, before KeyMapper.load_into",
    ),
    Row(
        *("SW503", "passed-on", "the method passed on"),
        "{receiver} is passed on as a method",
        "pass lambda state: KeyMapper.load_into(net, state)",
    ),
    Row(
        *("SW504", "by-tensor", "weights written tensor by tensor"),
        "weights are written tensor by tensor{more}",
        "collect them in a state dict, and load that with KeyMapper.load_into",
    ),
    Row(
        *("SW505", "by-name", "the method taken by its name"),
        "{receiver} takes the method by its name",
        "write the call out, then rewrite again",
    ),
    Row(
        *("SW506", "replaced", "the method replaced"),
        "{receiver} is replaced: what the new one does stays yours",
        "do to the state dict what it does, before KeyMapper.load_into",
    ),
    # ---- files and places ----------------------------------------------------------------------
    Row(
        *("SW601", "clash", "a name of the file that KeyMapper needs"),
        "{what}",
        "rewrite with --runtime import, or rename it",
    ),
    Row(
        *("SW602", "other-code", "edits that would have changed other code"),
        "the edits would have changed other code",
        "change the lines by hand, and report the file",
    ),
    Row(
        *("SW603", "place-unknown", "a call whose place in the text cannot be told"),
        "the place of this call in the text cannot be told",
        "move the call out of the f-string",
    ),
    Row(
        *("SW604", "unreadable", "a file that cannot be read"),
        "{why}",
        "mend the file",
    ),
    Row(
        *("SW605", "other-target", "the KeyMapper of another target"),
        "this file has the KeyMapper for {other}",
        "rewrite it for that target, or undo the first rewrite",
    ),
    Row(
        *("SW606", "edited-block", "a KeyMapper that was changed by hand"),
        "its KeyMapper lacks {what}, and was changed by hand",
        "delete the block between its first and its last line, and rewrite again",
    ),
    Row(
        *("SW607", "no-home", "a file that cannot share the KeyMapper of its package"),
        "KeyMapper stands in this file, and not in a module of its own: {why}",
        "nothing; or move it by hand",
        *("done", False),
    ),
    Row(
        *("SW608", "shadowed", "a scope in which KeyMapper is another thing"),
        "KeyMapper is another thing here (line {line})",
        "rename it, then rewrite again",
    ),
    Row(
        *("SW609", "cell", "a cell that is not read"),
        "the code of this cell is not read: {why}",
        "look at the cell",
    ),
    Row(
        *("SW610", "planned-block", "a KeyMapper that carries one plan"),
        "its KeyMapper carries the plan of one model, which has no {what}",
        "delete the block, and rewrite again without --checkpoint",
    ),
    # ---- hooks of other packages ---------------------------------------------------------------
    Row(
        *("SW901", "foreign", "what a hook of another package says"),
        "{text}",
        "see the package's own documentation",
        *("by hand", False),
    ),
)
