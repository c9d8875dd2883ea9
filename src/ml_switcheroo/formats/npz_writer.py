"""Write ``.npz`` archives leaf by leaf, each array aligned so that it can be mapped.

``np.load`` reads them. The layout is planned before the first byte is written, so leaves may come in
any order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from ml_switcheroo.formats.leaves import LeafCheck
from ml_switcheroo.formats.npz import NPY_MAGIC
from ml_switcheroo.formats.output import AtomicFile
from ml_switcheroo.formats.stream import Leaf, strips
from ml_switcheroo.formats.zip_writer import ZipLayout
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["write_npz"]

_ALIGNMENT = 64


def write_npz(
    path: str | Path,
    specs: Mapping[str, TensorSpec],
    leaves: Iterable[tuple[str, Leaf]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write an ``.npz`` archive; arguments, guarantees and errors as for ``write_safetensors``.

    bf16 and fp8 arrive in ``np.load`` as raw bytes (``V2``, ``V1``), as ``np.savez`` writes them: view them
    as their ``ml_dtypes`` type. :func:`~ml_switcheroo.formats.open_checkpoint` knows the dtype.
    """
    layout = ZipLayout(metadata, "an .npz archive")
    members = {}
    for name, spec in specs.items():
        row = DTYPES[spec.dtype]
        plain = row.numpy.isbuiltin == 1
        head = _npy_head(spec, row.numpy.newbyteorder("<").str if plain else f"|V{row.itemsize}")
        note = b"" if plain else spec.dtype.encode()
        members[name] = layout.add(f"{name}.npy", spec.nbytes, head=head, note=note)
    check = LeafCheck(specs)
    with AtomicFile(path, layout.size) as out:
        for name, leaf in check.each(leaves):
            members[name].write(out, strips(leaf))
        check.finish()
        layout.finish(out)


def _npy_head(spec: TensorSpec, code: str) -> bytes:
    text = f"{{'descr': '{code}', 'fortran_order': False, 'shape': {spec.shape!r}, }}"
    padding = -(len(NPY_MAGIC) + 4 + len(text) + 1) % _ALIGNMENT
    text += " " * padding + "\n"
    return NPY_MAGIC + bytes((1, 0)) + struct.pack("<H", len(text)) + text.encode("latin-1")
