"""WhatsApp: business accounts and their numbers, the Cloud API, webhooks, and Embedded Signup."""
