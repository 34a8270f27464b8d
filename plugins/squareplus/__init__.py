"""SquarePlus, an algebraic neighbour of softplus: its constants, its rounding, and networks that use it."""
