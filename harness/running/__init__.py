"""Running cells: the runner, the engines it hands cells to, and the execution of one cell."""
