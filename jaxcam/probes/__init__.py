"""Where a model is looked at: a layer of an NNX, Linen or Equinox module, or a tap in any function."""
