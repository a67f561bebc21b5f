"""An explainer as one file: a program, its weights, and what is known of it."""
