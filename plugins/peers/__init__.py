"""The same techniques as other packages ship them, as methods to compare with."""
