"""What each operation of torch on tensors is: its names and arguments, what it does to axes and elements.

One row for each operation, whoever asks: the reader that follows axes, the one that follows rows, and the
one that follows parameters.

>>> operation("torch.nn.functional.softmax").axes
<Axes.SAME: 'each axis stays'>
>>> [str(one) for one in operation("flatten").parameters]
['input', 'start_dim=0', 'end_dim=-1']
>>> operation("relu_").storage
<Storage.IN_PLACE: 'its own, changed'>
"""

from ml_switcheroo.operations.operation import (
    REQUIRED,
    Axes,
    Elements,
    Operation,
    Parameter,
    Storage,
)
from ml_switcheroo.operations.rows import OPERATIONS, operation

__all__ = [
    "OPERATIONS",
    "REQUIRED",
    "Axes",
    "Elements",
    "Operation",
    "Parameter",
    "Storage",
    "operation",
]
