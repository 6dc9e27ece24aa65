"""What rests in a store, unreadable without its keys."""
