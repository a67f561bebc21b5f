"""Sources of records: folders, manifests, arrays, Python objects."""
