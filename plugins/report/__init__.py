"""One HTML file of a results folder: verdicts, evidence, cost, environment."""
