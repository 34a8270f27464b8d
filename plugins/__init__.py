"""The plugins that come with the harness, one folder for each article whose claims are checked."""
