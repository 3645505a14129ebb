"""The one way out to providers: time-outs, caps, address guard, usage, redaction in one place."""
