"""Penalties on input gradients and on parameter gradients: is one approximately the other?"""
