"""What a model computes beside its layers: activations, pools, the scale of an attention.

No tensor shows any of it, and the same weights give another output where it differs.
"""

from ml_switcheroo.computed.pools import Pool, pool_of, pools_in
from ml_switcheroo.computed.words import PAD, Computed, named

__all__ = ["PAD", "Computed", "Pool", "named", "pool_of", "pools_in"]
