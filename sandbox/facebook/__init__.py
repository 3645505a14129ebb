"""Facebook Login for Business, and the part of the Graph API that connecting and revoking need."""
