"""Re-ranking leaderboards by other means: does another mean put humans first?"""
