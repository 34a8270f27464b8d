"""Density of a sample under a variational autoencoder: bounds, importance weights, and training with them."""
