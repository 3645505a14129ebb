"""The HTTP edge, the operator console and the command line."""
