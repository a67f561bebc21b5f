"""How work is laid on devices: what is computed at once, and images that are split over a mesh."""
