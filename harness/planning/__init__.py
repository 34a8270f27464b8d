"""What a run would do: the request, the cells of a suite, which of them are left, how long they take."""
