"""The database: inbox, lanes, message log, connections, consumers, keys; SQLite or PostgreSQL."""
