"""What Messenger and Instagram share: `messaging[]` and `standby[]`, from bytes to events."""
