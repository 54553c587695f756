"""The REST API: whatever the dashboard or a command shows, a user can curl."""
