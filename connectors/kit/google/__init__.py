"""What Google's providers share: the login, the clients, the errors."""
