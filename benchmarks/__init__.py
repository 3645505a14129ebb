"""Figures, each beside a yardstick of the same run, measured in alternating rounds."""
