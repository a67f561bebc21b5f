"""Probes, which look at a model and edit it: layers of an NNX, Linen, Keras or Equinox model, taps in any function."""
