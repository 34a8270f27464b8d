"""Files that a person writes: suites and claims in TOML, checked against a schema."""
