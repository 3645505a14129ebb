"""The vocabulary that every package shares; imports nothing of ours."""
