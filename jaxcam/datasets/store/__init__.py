"""The zarr store of a run: layout, columns, writing, reading, resuming."""
