"""Media over HTTP: what is stored, what is to be sent, and what providers fetch."""
