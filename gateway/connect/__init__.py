"""The pages on which people connect an account: consent, dialog, picking, success."""
