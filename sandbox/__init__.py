"""An emulator of the outside services: it plays Meta, signs as Meta does, and can misbehave."""
