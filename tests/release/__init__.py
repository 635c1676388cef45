"""What a release must be before it is one: `make release-check`, docs/releasing.md. Each rule is a plain function."""
