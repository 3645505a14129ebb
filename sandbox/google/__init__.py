"""Google's login, its tokens and security events, and the API calls that connecting needs."""
