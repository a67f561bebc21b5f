"""Probes, which look at a model and edit it: a layer of an NNX, Linen or Equinox module, or a tap in any function."""
