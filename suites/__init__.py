"""The suites that come with the harness, one TOML file each."""
