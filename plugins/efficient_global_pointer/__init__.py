"""Efficient GlobalPointer, GlobalPointer and CRF taggers for flat and nested entities."""
