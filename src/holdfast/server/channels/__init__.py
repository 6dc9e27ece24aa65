"""Chat platforms: their messages in by webhook, the replies out by their own APIs."""
