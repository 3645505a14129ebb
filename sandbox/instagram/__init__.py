"""Instagram Login, what connecting and revoking need of its API, and Instagram's events."""
