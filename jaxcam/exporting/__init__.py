"""An explainer as one file: program, weights and metadata."""
