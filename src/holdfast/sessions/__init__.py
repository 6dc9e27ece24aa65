"""What a session means: its state and messages, their encoding, and the store over a backend."""
