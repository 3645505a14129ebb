"""One folder a provider, and the registry that knows them all; see docs/connectors.md."""
