"""What several connectors share; it knows no connector."""
