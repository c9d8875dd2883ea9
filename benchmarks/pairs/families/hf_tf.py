"""The TensorFlow classes of transformers 4.57, which load PyTorch checkpoints (`from_pt=True`)."""

from __future__ import annotations

import tempfile
from functools import partial
from typing import TYPE_CHECKING, Any

from configs import of_transformers
from pair import Leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TO = "keras"
PACKAGES = ("transformers", "tensorflow-cpu", "tf-keras", "torch")


def pairs() -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], list[Leaf]]]]:
    """Yield each class that PyTorch and TensorFlow both have."""
    for name, build, tf_class in of_transformers("TF", "modeling_tf_auto", "TF"):
        yield name, build, partial(_convert, tf_class)


def _convert(tf_class: Any, model: Any) -> list[Leaf]:
    import tf_keras

    tf_keras.backend.clear_session()
    tf_keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, safe_serialization=False)  # with both names of what is tied
        converted = tf_class.from_pretrained(folder, from_pt=True)
    trained = {id(weight) for weight in converted.trainable_weights}
    return [
        Leaf(
            tuple(weight.name.removesuffix(":0").split("/")),
            weight.numpy(),
            "trainable" if id(weight) in trained else "non_trainable",
        )
        for weight in converted.weights
    ]
