"""What the three logins share: apps, codes, dialog pages, the log of calls, trouble on request."""
