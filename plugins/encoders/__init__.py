"""Text encoders that the plugins for sentence pairs and entities share."""
