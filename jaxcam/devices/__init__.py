"""How work is divided over devices: the number of masks at once, and images that are sharded over a mesh."""
