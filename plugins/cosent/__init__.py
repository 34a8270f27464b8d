"""CoSENT and other losses for pairs of sentences."""
