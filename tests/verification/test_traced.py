"""Calls of JAX models are recorded with their values, also where they are traced."""

import jax
import jax.numpy as jnp
import numpy as np

from ml_switcheroo.verification.calls import Recorder
from ml_switcheroo.verification.traced import record, to_jax


def recorded(run):
    recorder = Recorder()
    made = run(lambda given, made: record(recorder, "fc", given, made))
    jax.block_until_ready(made)
    return recorder.calls, made


def test_an_eager_call_is_kept_as_it_is():
    x = jnp.arange(3.0)
    (call,), made = recorded(lambda keep: keep(x, x * 2))
    assert [array.tolist() for array in (*call.inputs, *call.outputs)] == [[0, 1, 2], [0, 2, 4]]
    assert made.tolist() == [0, 2, 4]


def test_under_vmap_all_examples_are_seen_at_once():
    x = jnp.arange(6.0).reshape(3, 2)
    (call,), made = recorded(lambda keep: jax.vmap(lambda row: keep(row, row + 1))(x))
    assert [array.shape for array in (*call.inputs, *call.outputs)] == [(3, 2), (3, 2)]
    assert np.array_equal(made, x + 1)


def test_in_a_compiled_loop_each_time_round_is_kept():
    def step(keep):
        return lambda carry, row: (carry, keep(row, row * 2))

    x = jnp.arange(6.0).reshape(3, 2)
    (call,), (_, made) = recorded(lambda keep: jax.lax.scan(step(keep), 0, x))
    assert [array.tolist() for array in call.outputs] == (np.asarray(x) * 2).tolist()
    assert np.array_equal(made, x * 2)


def test_random_keys_are_no_values():
    key = jax.random.key(0)
    (call,), _ = recorded(lambda keep: keep((key, jnp.ones(2)), jnp.zeros(2)))
    assert call.inputs[0].tolist() == [1, 1]
    assert isinstance(to_jax(np.zeros(2)), jax.Array)
