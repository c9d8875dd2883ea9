"""The second stage: tensors grouped into units, each with its kinds, its role and its place."""
