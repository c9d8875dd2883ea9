"""The hooks that come with the package, one file each."""
