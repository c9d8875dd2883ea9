"""Sources that try to make the reader say what is not so: unknown is fine, wrong is not."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from ml_switcheroo.sources.findings import Knowledge
from ml_switcheroo.sources.live import read_module
from ml_switcheroo.sources.static import read_layers
from sources.reading import HEAD, said, specs_of


@dataclass(frozen=True)
class Case:
    """A source, the call that makes the live model, and the files beside it."""

    code: str
    make: str = "Net()"
    files: Mapping[str, str] = field(default_factory=dict)


KNOWN = {
    "local Linear": Case("""
class Linear(nn.Module):
    def __init__(self,a,b):
        super().__init__()
        self.weight=nn.Parameter(torch.zeros(a,b))
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=Linear(3,3)
"""),
    "shadow nn": Case(
        """
from layers import nn2 as nn
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Linear(3,3)
""",
        files={
            "layers.py": """
import torch
class _L(torch.nn.Module):
    def __init__(s,a,b):
        super().__init__()
        s.weight=torch.nn.Parameter(torch.zeros(a,b))
class nn2:
    Linear=_L
"""
        },
    ),
    "shadow nn local": Case("""
def f():
    class X:
        Linear=nn.Embedding
    return X
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        nn_=f()
        self.a=nn_.Linear(3,3)
"""),
    "rebind": Case("""
Linear=nn.Linear
Linear=nn.Embedding
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=Linear(3,3)
"""),
    "patched by decorator": Case("""
def swap(cls):
    old=cls.__init__
    def init(self):
        old(self)
        self.a=nn.Embedding(3,3)
    cls.__init__=init
    return cls
@swap
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Linear(3,3,bias=False)
"""),
    "decorator replaces": Case("""
class Other(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Embedding(3,3)
def swap(cls):
    return Other
@swap
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Linear(3,3,bias=False)
"""),
    "decorator on init": Case("""
def deco(f):
    def g(self):
        f(self)
        self.a=nn.Embedding(3,3)
    return g
class Net(nn.Module):
    @deco
    def __init__(self):
        super().__init__()
        self.a=nn.Linear(3,3,bias=False)
"""),
    "decorated factory": Case("""
def deco(f):
    return lambda *a: nn.Embedding(3,3)
@deco
def make():
    return nn.Linear(3,3,bias=False)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=make()
"""),
    "class body reassign": Case("""
class Net(nn.Module):
    L=nn.Linear
    L=nn.Embedding
    def __init__(self):
        super().__init__()
        self.a=self.L(3,3)
"""),
    "class body if": Case("""
class Net(nn.Module):
    if sys.platform=='nope':
        L=nn.Linear
    else:
        L=nn.Embedding
    def __init__(self):
        super().__init__()
        self.a=self.L(3,3)
"""),
    "import star": Case(
        """
from layers import *
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=Linear(3,3)
""",
        files={
            "layers.py": """
import torch.nn as nn
Linear=nn.Embedding
"""
        },
    ),
    "import star order": Case(
        """
from torch.nn import *
from layers import *
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=Linear(3,3)
""",
        files={
            "layers.py": """
import torch.nn as nn
Linear=nn.Embedding
"""
        },
    ),
    "import star order2": Case(
        """
from layers import *
from torch.nn import *
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=Linear(3,3)
""",
        files={
            "layers.py": """
import torch.nn as nn
Linear=nn.Embedding
"""
        },
    ),
    "getattr": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=getattr(nn,'Emb'+'edding')(3,3)
        self.b=getattr(nn, 'Linear')(3,3)
"""),
    "embedding subclass": Case("""
class Linear(nn.Embedding):
    pass
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=Linear(3,3)
"""),
    "tied kinds": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed=nn.Embedding(3,4)
        self.head=nn.Linear(4,3,bias=False)
        self.head.weight=self.embed.weight
"""),
    "del": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc=nn.Linear(3,3,bias=False)
        del self.fc
        self.fc=nn.Embedding(3,3)
"""),
    "delattr": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc=nn.Linear(3,3,bias=False)
        delattr(self,'fc')
        self.fc=nn.Embedding(3,3)
"""),
    "del modules": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc=nn.Linear(3,3,bias=False)
        self._modules['fc']=nn.Embedding(3,3)
"""),
    "setattr loop": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        for i,c in enumerate([nn.Linear,nn.Embedding]):
            setattr(self,'l%d'%i,c(3,3))
            setattr(self,'m{}'.format(i),c(3,3))
"""),
    "mixin mro": Case("""
class A(nn.Module):
    def build(self):
        return nn.Linear(3,3,bias=False)
class B(A):
    pass
class Mix(A):
    def build(self):
        return nn.Embedding(3,3)
class Net(B,Mix):
    def __init__(self):
        super().__init__()
        self.a=self.build()
"""),
    "mixin overrides init": Case("""
class Mix:
    def __init__(self):
        super().__init__()
        self.a=nn.Embedding(3,3)
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Linear(3,3,bias=False)
class Net(Mix,A):
    pass
"""),
    "try import": Case("""
try:
    from nothere import Linear
except ImportError:
    Linear=nn.Embedding
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=Linear(3,3)
"""),
    "cuda": Case("""
L = nn.Linear if torch.cuda.is_available() else nn.Embedding
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=L(3,3)
"""),
    "same named module": Case(
        """
from pkg.layers import L
import layers
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=L(3,3)
        self.b=layers.L(3,3)
""",
        files={
            "layers.py": """
import torch.nn as nn
L=nn.Linear
""",
            "pkg/__init__.py": """
""",
            "pkg/layers.py": """
import torch.nn as nn
L=nn.Embedding
""",
        },
    ),
    "apply replaces": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Sequential(nn.Linear(3,3,bias=False),nn.ReLU())
        for n,m in self.a.named_children():
            if isinstance(m,nn.Linear):
                setattr(self.a,n,nn.Embedding(3,3))
"""),
    "recursive replace": Case("""
def rep(m):
    for n,c in m.named_children():
        if isinstance(c,nn.Linear):
            setattr(m,n,nn.Embedding(3,3))
        else:
            rep(c)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Sequential(nn.Sequential(nn.Linear(3,3,bias=False)),nn.ReLU())
        rep(self)
"""),
    "seq setitem": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Sequential(nn.Linear(3,3,bias=False),nn.Linear(3,3,bias=False))
        self.a[1]=nn.Embedding(3,3)
"""),
    "seq del": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Sequential(nn.Linear(3,3,bias=False),nn.Embedding(3,3),nn.Linear(3,3,bias=False))
        del self.a[0]
"""),
    "modulelist reversed": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.ModuleList(reversed([nn.Linear(3,3,bias=False),nn.Embedding(3,3)]))
"""),
    "sorted dict": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        d={'b':nn.Linear,'a':nn.Embedding}
        self.a=nn.ModuleList([d[k](3,3) for k in sorted(d)])
"""),
    "iterator state": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        it=iter([nn.Linear,nn.Embedding])
        self.a=next(it)(3,3)
        self.b=next(it)(3,3)
"""),
    "generator": Case("""
def g():
    yield nn.Linear(3,3,bias=False)
    yield nn.Embedding(3,3)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        x=g()
        self.a=next(x)
        self.b=next(x)
"""),
    "while": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        i=0
        while True:
            setattr(self,f'l{i}',nn.Linear(3,3,bias=False) if i%2 else nn.Embedding(3,3))
            i+=1
            if i>3: break
"""),
    "try in init": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        try:
            self.a=nn.Linear(3,3,bias=False)
            raise ValueError
        except ValueError:
            self.a=nn.Embedding(3,3)
"""),
    "finally": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        try:
            self.a=nn.Linear(3,3,bias=False)
        finally:
            self.a=nn.Embedding(3,3)
"""),
    "match": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        match ('emb',3):
            case ('lin',n): self.a=nn.Linear(n,n)
            case (_,n): self.a=nn.Embedding(n,n)
"""),
    "registry": Case("""
REG={}
def reg(f):
    REG[f.__name__]=f
    return f
@reg
class lin(nn.Linear): pass
@reg
class emb(nn.Embedding): pass
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=REG.get('emb',nn.Linear)(3,3)
"""),
    "registry call": Case(
        """
from layers import REG, reg
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=REG.get('emb',nn.Linear)(3,3)
reg('emb', nn.Embedding)
""",
        files={
            "layers.py": """
REG={}
def reg(n,c):
    REG[n]=c
"""
        },
    ),
    "super skip": Case("""
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Linear(3,3,bias=False)
class B(A):
    def __init__(self):
        super().__init__()
        self.a=nn.Embedding(3,3)
class Net(B):
    def __init__(self):
        super(B,self).__init__()
"""),
}
"""Sources that look hostile and are read through and through."""

DOUBTFUL = {
    "init in loop break": Case(
        """
class Net(nn.Module):
    def __init__(self,n):
        super().__init__()
        for i in range(n):
            if i==1:
                self.a=nn.Embedding(3,3)
                break
            self.a=nn.Linear(3,3,bias=False)
""",
        "Net(3)",
    ),
    "rebind global in function": Case("""
L=nn.Linear
def use():
    global L
    L=nn.Embedding
use()
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=L(3,3)
"""),
    "monkey patch nn": Case("""
nn.Linear=nn.Embedding
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Linear(3,3)
"""),
    "monkey patch class": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Linear(3,3,bias=False)
def init(self):
    nn.Module.__init__(self)
    self.a=nn.Embedding(3,3)
Net.__init__=init
"""),
    "metaclass": Case("""
class M(type):
    def __call__(cls):
        o=super().__call__()
        o.a=nn.Embedding(3,3)
        return o
class Net(nn.Module,metaclass=M):
    def __init__(self):
        super().__init__()
        self.a=nn.Linear(3,3,bias=False)
"""),
    "exec": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Linear(3,3,bias=False)
        exec('self.a=nn.Embedding(3,3)')
"""),
    "globals": Case("""
L=nn.Linear
globals()['L']=nn.Embedding
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=L(3,3)
"""),
    "import star shadows nn": Case(
        """
from layers import *
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Linear(3,3)
""",
        files={
            "layers.py": """
import torch
class nn:
    Module=torch.nn.Module
    Linear=torch.nn.Embedding
"""
        },
    ),
    "star __all__": Case(
        """
from layers import *
from torch.nn import Linear
from layers import *
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=Linear(3,3)
""",
        files={
            "layers.py": """
__all__=['x']
import torch.nn as nn
x=1
Linear=nn.Embedding
"""
        },
    ),
    "getattr unknown": Case(
        """
class Net(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.a=getattr(nn,kind)(3,3)
""",
        "Net('Embedding')",
    ),
    "getattr default": Case(
        """
class Net(nn.Module):
    def __init__(self, kind='Linear'):
        super().__init__()
        self.a=getattr(nn,kind)(3,3,)
""",
        "Net('Embedding')",
    ),
    "kwarg default lies": Case(
        """
class Net(nn.Module):
    def __init__(self, cls=nn.Linear):
        super().__init__()
        self.a=cls(3,3)
        self.b=nn.Linear(2,2)
""",
        "Net(nn.Embedding)",
    ),
    "flag default lies": Case(
        """
class Net(nn.Module):
    def __init__(self, flag=True):
        super().__init__()
        self.a=nn.Linear(3,3,bias=False) if flag else nn.Embedding(3,3)
""",
        "Net(False)",
    ),
    "flag default lies2": Case(
        """
class Net(nn.Module):
    def __init__(self, flag=True):
        super().__init__()
        if flag:
            self.a=nn.Linear(3,3,bias=False)
        else:
            self.a=nn.Embedding(3,3)
            self.b=nn.Linear(2,2)
""",
        "Net(False)",
    ),
    "version2": Case("""
V=tuple(int(x) for x in torch.__version__.split('.')[:2])
L = nn.Linear if V<(1,2) else nn.Embedding
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=L(3,3)
"""),
    "setattr hook": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Linear(3,3,bias=False)
    def __setattr__(self,k,v):
        if k=='a':
            v=nn.Embedding(3,3)
        super().__setattr__(k,v)
"""),
    "modulelist add": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.ModuleList([nn.Linear(3,3,bias=False)])+nn.ModuleList([nn.Embedding(3,3)])
"""),
    "set order": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.ModuleList([{'a':nn.Linear,'b':nn.Embedding}[k](3,3) for k in {'a','b'}])
"""),
    "try unknown call": Case("""
import os
def probe():
    if not os.path.exists('/nonexistent/x'):
        raise OSError
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        try:
            probe()
            self.a=nn.Linear(3,3,bias=False)
        except OSError:
            self.a=nn.Embedding(3,3)
"""),
    "suppress": Case("""
import contextlib
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Embedding(3,3)
        with contextlib.suppress(KeyError):
            x={}[1]
            self.a=nn.Linear(3,3,bias=False)
"""),
    "init_subclass": Case("""
class Base(nn.Module):
    def __init_subclass__(cls,**k):
        cls.L=nn.Embedding
class Net(Base):
    L=nn.Linear
    def __init__(self):
        super().__init__()
        self.a=self.L(3,3)
"""),
    "eval": Case("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=eval('nn.Embedding')(3,3)
"""),
    "partial override": Case("""
from functools import partial
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        p=partial(nn.Linear,3,bias=False)
        self.a=p(3,bias=True)
        q=partial(lambda c,n: c(n,n), nn.Embedding)
        self.b=q(3)
"""),
    "registry other file": Case(
        """
from layers import REG
import blocks
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=REG.get('emb',nn.Linear)(3,3)
""",
        files={
            "layers.py": """
REG={}
""",
            "blocks.py": """
from layers import REG
import torch.nn as nn
REG['emb']=nn.Embedding
""",
        },
    ),
    "patched import": Case(
        """
import layers
layers.L=nn.Embedding
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=layers.make()
""",
        files={
            "layers.py": """
import torch.nn as nn
L=nn.Linear
def make():
    return L(3,3)
"""
        },
    ),
    "unknown loop last": Case(
        """
class Net(nn.Module):
    def __init__(self,kinds):
        super().__init__()
        self.a=nn.Linear(3,3,bias=False)
        for k in kinds:
            self.a=nn.Embedding(3,3) if k else nn.Linear(3,3,bias=False)
""",
        "Net([1])",
    ),
    "dict changed in for": Case("""
D={'a':nn.Linear}
for k in list(D):
    D[k]=nn.Embedding
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=D['a'](3,3)
"""),
    "dict alias": Case("""
D={'a':nn.Linear}
E=D
E['a']=nn.Embedding
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=D['a'](3,3)
"""),
    "dict changed by function": Case("""
D={'a':nn.Linear}
def ch(d): d['a']=nn.Embedding
ch(D)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=D['a'](3,3)
"""),
    "main guard": Case("""
L=nn.Embedding
if __name__=='__main__':
    L=nn.Linear
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=L(3,3)
"""),
    "ctor patched subclass": Case("""
_orig=nn.Linear.__init__
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Linear(3,3,bias=False)
        self.a.__class__=nn.Embedding
"""),
}
"""Sources of which something cannot be known, or only at run time."""


LINEAR = torch.nn.Linear


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to import from; what is imported or patched there is undone."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(torch.nn, "Linear", LINEAR)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def compared(folder: Path, case: Case) -> tuple[dict[str, str], dict[str, str]]:
    """Return by tensor what the live model has, and what its source says."""
    (folder / "model.py").write_text(HEAD + "import sys\n" + case.code)
    for name, text in case.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    importlib.invalidate_caches()
    model: Any = eval(case.make, vars(importlib.import_module("model")))
    specs = specs_of(model)
    found: Knowledge = read_layers(f"model.py:{case.make.partition('(')[0]}", specs, root=folder)
    real = read_module(model, specs)
    assert not {frozenset(group) for group in found.tied} - {frozenset(group) for group in real.tied}
    return {name: said(real, name) for name in specs}, {name: said(found, name) for name in specs}


@pytest.mark.parametrize("name", KNOWN)
def test_what_can_be_read_is_read_rightly(alone: Path, name: str) -> None:
    real, found = compared(alone, KNOWN[name])
    assert found == real


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_cannot_be_known_is_not_said(alone: Path, name: str) -> None:
    real, found = compared(alone, DOUBTFUL[name])
    assert real
    assert {tensor: kind for tensor, kind in found.items() if kind}.items() <= real.items()
