"""Recurrent networks: cells in loops, layers, both directions; and stacks that are scanned."""

import equinox as eqx
import jax
import jax.numpy as jnp
import torch
from flax import linen as fl
from flax import nnx
from torch import nn

from attacking import Pair, of, tree

X = "f2,5,4"


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 4, batch_first=True)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.rnn(x)[0][:, -1])


class Lstm2(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 4, num_layers=2, batch_first=True)

    def forward(self, x):
        return self.rnn(x)[0]


class LstmBoth(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 4, batch_first=True, bidirectional=True)

    def forward(self, x):
        return self.rnn(x)[0]


class Gru(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(4, 4, batch_first=True)

    def forward(self, x):
        return self.rnn(x)[0]


class Gru2(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(4, 4, num_layers=2, batch_first=True)
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(self.rnn(x)[1][-1])


class Rnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(4, 4, batch_first=True)

    def forward(self, x):
        return self.rnn(x)[0]


class Cells(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(4, 4)
        self.out = nn.Linear(4, 4)

    def forward(self, x):
        h, c = x.new_zeros(x.shape[0], 4), x.new_zeros(x.shape[0], 4)
        made = []
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
            made.append(self.out(h))
        return torch.stack(made, 1)


class LstmNnx(nnx.Module):
    def __init__(self, cell=nnx.LSTMCell, r=nnx.Rngs(0)):
        self.y = nnx.Linear(4, 3, rngs=r)
        self.x = nnx.RNN(cell(4, 4, rngs=r))

    def __call__(self, x):
        return self.y(self.x(x)[:, -1])


class Lstm2Nnx(nnx.Module):
    def __init__(self, r=nnx.Rngs(0)):
        self.y, self.x = (nnx.RNN(nnx.OptimizedLSTMCell(4, 4, rngs=r)) for _ in range(2))

    def __call__(self, x):
        return self.y(self.x(x))


class LstmBothNnx(nnx.Module):
    def __init__(self, r=nnx.Rngs(0), crossed=False):
        make = lambda: nnx.RNN(nnx.OptimizedLSTMCell(4, 4, rngs=r))
        self.both = nnx.Bidirectional(make(), make())
        self.crossed = crossed

    def __call__(self, x):
        y = self.both(x)
        return jnp.concatenate([y[..., :4], y[:, ::-1, 4:]], -1) if self.crossed else y


class GruNnx(nnx.Module):
    def __init__(self, r=nnx.Rngs(0)):
        self.rnn = nnx.RNN(nnx.GRUCell(4, 4, rngs=r))

    def __call__(self, x):
        return self.rnn(x)


class RnnNnx(nnx.Module):
    def __init__(self, r=nnx.Rngs(0)):
        self.rnn = nnx.RNN(nnx.SimpleCell(4, 4, rngs=r))

    def __call__(self, x):
        return self.rnn(x)


class LstmEqx(eqx.Module):
    cell: eqx.nn.LSTMCell
    last: eqx.nn.Linear

    def __init__(self):
        one, two = jax.random.split(jax.random.key(0))
        self.cell, self.last = eqx.nn.LSTMCell(4, 4, key=one), eqx.nn.Linear(4, 3, key=two)

    def __call__(self, x):
        step = lambda state, one: (self.cell(one, state), None)
        (h, _), _ = jax.lax.scan(step, (jnp.zeros(4), jnp.zeros(4)), x)
        return self.last(h)


class GruEqx(eqx.Module):
    second: eqx.nn.GRUCell
    first: eqx.nn.GRUCell
    last: eqx.nn.Linear

    def __init__(self):
        one, two, three = jax.random.split(jax.random.key(0), 3)
        self.first, self.second = eqx.nn.GRUCell(4, 4, key=one), eqx.nn.GRUCell(4, 4, key=two)
        self.last = eqx.nn.Linear(4, 4, key=three)

    def __call__(self, x):
        def step(state, one):
            h, g = state
            h = self.first(one, h)
            g = self.second(h, g)
            return (h, g), None

        (_, g), _ = jax.lax.scan(step, (jnp.zeros(4), jnp.zeros(4)), x)
        return self.last(g)


LINEN = fl.RNN(fl.OptimizedLSTMCell(4))


def linen_lstm():
    class Port(fl.Module):
        @fl.compact
        def __call__(self, x):
            return fl.RNN(fl.OptimizedLSTMCell(4, name="b"), name="a")(
                fl.RNN(fl.OptimizedLSTMCell(4, name="c"))(x)
            )

    return Port()


PORT = linen_lstm()


def keras_lstm(kind, both=False, count=1):
    def make():
        import keras

        x = y = keras.Input((5, 4))
        for n in range(count):
            layer = getattr(keras.layers, kind)(4, return_sequences=True, name=f"z{count - n}")
            y = keras.layers.Bidirectional(layer, name=f"w{n}")(y) if both else layer(y)
        return keras.Model(x, y)

    return make


def haiku_lstm():
    import haiku as hk

    def run(x):
        core = hk.LSTM(4, name="zz")
        y, _ = hk.dynamic_unroll(core, x.swapaxes(0, 1), core.initial_state(x.shape[0]))
        return y.swapaxes(0, 1)

    return hk.without_apply_rng(hk.transform(run))


class LstmOut(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 4, batch_first=True)

    def forward(self, x):
        return self.rnn(x)[0]


def fused(p, x):
    """Gates f i o g in one kernel over inputs and state."""

    def step(state, one):
        h, c = state
        f, i, o, g = jnp.split(jnp.concatenate([h, one], -1) @ p["w"] + p["b"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((x.shape[0], 4))
    return jax.lax.scan(step, (zero, zero), x.swapaxes(0, 1))[1].swapaxes(0, 1)


GRU = fl.RNN(fl.GRUCell(4))


def gru(order, *, before=False):
    """Gates in an order; biases in one leaf, that of the state beside the new one by itself."""

    def run(p, x):
        b = dict(zip(order, p["b"], strict=True))

        def step(h, one):
            mine = dict(zip("rzn", jnp.split(one @ p["x"], 3, -1), strict=True))
            seen = dict(zip("rzn", jnp.split(h @ p["h"], 3, -1), strict=True))
            r, z = (jax.nn.sigmoid(mine[n] + seen[n] + b[n]) for n in "rz")
            inner = (r * h) @ p["h"][:, 8:] + b["m"] if before else r * (seen["n"] + b["m"])
            h = (1 - z) * jnp.tanh(mine["n"] + b["n"] + inner) + z * h
            return h, h

        return jax.lax.scan(step, jnp.zeros((x.shape[0], 4)), x.swapaxes(0, 1))[1].swapaxes(0, 1)

    return run


GATES = {f"{way}{gate}": (4, 4) for way in "xh" for gate in "figo"} | {f"b{gate}": (4,) for gate in "figo"}


def gates(*, late=False, coupled=False, one="", behind=False):
    """A leaf for each gate."""

    def run(p, x):
        def step(state, now):
            h, c, last = state
            made = {}
            for gate in "figo":
                given = last if late and gate == "f" else now
                made[gate] = given @ p[f"x{gate}"] + h @ p[f"h{gate}"] + p[f"b{gate}"]
                made[gate] += 1.0 if gate == one else 0.0
            f, i, o = (jax.nn.sigmoid(made[gate]) for gate in "fio")
            f, i = (f + 1.0 if behind else f), (1 - f if coupled else i)
            c = f * c + i * jnp.tanh(made["g"])
            h = o * jnp.tanh(c)
            return (h, c, now), h

        zero = jnp.zeros((x.shape[0], 4))
        return jax.lax.scan(step, (zero, zero, zero), x.swapaxes(0, 1))[1].swapaxes(0, 1)

    return run


# ---- stacks


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 4)) for _ in range(4)]
        )
        self.head = nn.Linear(4, 4)

    def forward(self, x):
        for layer in self.layers:
            x = x + layer(x)
        return self.head(x)


def stack(p, x):
    def step(x, own):
        y = x - x.mean(-1, keepdims=True)
        y = y / jnp.sqrt((y * y).mean(-1, keepdims=True) + 1e-5) * own["g"] + own["h"]
        y = jax.nn.gelu(y @ own["u"] + own["ub"], approximate=False) @ own["d"] + own["db"]
        return x + y, None

    x, _ = jax.lax.scan(step, x, p["all"])
    return x @ p["o"] + p["ob"]


def stack_tree():
    own = {"g": (4, 4), "h": (4, 4), "d": (4, 4, 4), "u": (4, 4, 4), "ub": (4, 4), "db": (4, 4)}
    return {
        "params": {
            "all": {k: jnp.zeros(v) for k, v in own.items()},
            "o": jnp.zeros((4, 4)),
            "ob": jnp.zeros(4),
        }
    }


class StackNnx(nnx.Module):
    def __init__(self):
        @nnx.split_rngs(splits=4)
        @nnx.vmap(in_axes=(0,))
        def make(r):
            return StackBlock(r)

        self.block = make(nnx.Rngs(0))
        self.o = nnx.Linear(4, 4, rngs=nnx.Rngs(0))

    def __call__(self, x):
        @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        def run(x, block):
            return block(x)

        return self.o(run(x, self.block))


class StackBlock(nnx.Module):
    def __init__(self, r):
        self.d, self.u = nnx.Linear(4, 4, rngs=r), nnx.Linear(4, 4, rngs=r)
        self.n = nnx.LayerNorm(4, epsilon=1e-5, rngs=r)

    def __call__(self, x):
        return x + self.d(jax.nn.gelu(self.u(self.n(x)), approximate=False))


PAIRS = {
    "LSTM into nnx.LSTMCell": Pair(Lstm, LstmNnx, X),
    "LSTM into nnx.OptimizedLSTMCell": Pair(Lstm, lambda: LstmNnx(nnx.OptimizedLSTMCell), X),
    "two LSTMs into nnx": Pair(Lstm2, Lstm2Nnx, X),
    "both directions into nnx.Bidirectional": Pair(LstmBoth, LstmBothNnx, X),
    "GRU into nnx.GRUCell": Pair(Gru, GruNnx, X, right=False),  # it has no bias beside the state
    "GRU into linen.GRUCell": Pair(
        Gru, lambda: GRU.init(jax.random.key(0), jnp.zeros((2, 5, 4))), X, call=GRU.apply, to="linen"
    ),
    "GRU into one leaf of biases": Pair(
        Gru, tree(x=(4, 12), h=(4, 12), b=(4, 4)), X, call=of(gru("zrnm")), to="linen"
    ),
    "GRU, the gate before the product": Pair(
        Gru,
        tree(x=(4, 12), h=(4, 12), b=(4, 4)),
        X,
        call=of(gru("zrnm", before=True)),
        to="linen",
        right=False,
    ),
    "LSTM that forgets by the input before": Pair(
        LstmOut, tree(**GATES), X, call=of(gates(late=True)), to="linen", right=False
    ),
    "LSTM, a leaf for each gate": Pair(LstmOut, tree(**GATES), X, call=of(gates()), to="linen"),
    "LSTM whose gates are coupled": Pair(
        LstmOut, tree(**GATES), X, call=of(gates(coupled=True)), to="linen", right=False
    ),
    "LSTM with 1 for another gate": Pair(LstmOut, tree(**GATES), X, call=of(gates(one="i")), to="linen"),
    "LSTM with 1 behind the gate": Pair(
        LstmOut, tree(**GATES), X, call=of(gates(behind=True)), to="linen", right=False
    ),
    "both directions, one of them crossed": Pair(LstmBoth, lambda: LstmBothNnx(crossed=True), X, right=False),
    "a loop of cells, the state before": Pair(Cells, lambda: LoopNnx(late=True), X, right=False),
    "RNN into nnx.SimpleCell": Pair(Rnn, RnnNnx, X),
    "LSTM into equinox in a scan": Pair(Lstm, LstmEqx, X),
    "two GRUs into equinox in a scan": Pair(Gru2, GruEqx, X),
    "two LSTMs into linen": Pair(
        Lstm2, lambda: PORT.init(jax.random.key(0), jnp.zeros((2, 5, 4))), X, call=PORT.apply, to="linen"
    ),
    "LSTM into keras": Pair(LstmOut, keras_lstm("LSTM"), X),
    "two LSTMs into keras": Pair(Lstm2, keras_lstm("LSTM", count=2), X),
    "both directions into keras": Pair(LstmBoth, keras_lstm("LSTM", both=True), X),
    "GRU into keras": Pair(Gru, keras_lstm("GRU"), X),
    "RNN into keras": Pair(Rnn, keras_lstm("SimpleRNN"), X),
    "LSTM into haiku": Pair(
        LstmOut,
        lambda: haiku_lstm().init(jax.random.key(0), jnp.zeros((2, 5, 4))),
        X,
        call=lambda p, x: haiku_lstm().apply(p, x),
        to="haiku",
    ),
    "LSTM into one kernel": Pair(LstmOut, tree(w=(8, 16), b=(16,)), X, call=of(fused), to="linen"),
    "LSTM cell in a loop into one kernel": Pair(
        LstmOut, tree(w=(8, 16), b=(16,)), X, call=of(fused), to="linen"
    ),
    "a loop of cells into nnx": Pair(Cells, lambda: LoopNnx(), X),
    "a stack into a scan": Pair(Stack, stack_tree, "f2,3,4", call=of(stack), to="linen"),
    "a stack into nnx.scan": Pair(Stack, StackNnx, "f2,3,4"),
}


class LoopNnx(nnx.Module):
    def __init__(self, r=nnx.Rngs(0), late=False):
        self.b, self.a = nnx.Linear(4, 4, rngs=r), nnx.RNN(nnx.LSTMCell(4, 4, rngs=r))
        self.late = late

    def __call__(self, x):
        y = self.a(x)
        return self.b(jnp.concatenate([jnp.zeros_like(y[:, :1]), y[:, :-1]], 1) if self.late else y)
