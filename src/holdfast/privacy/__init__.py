"""What people may ask of whoever keeps their conversations: to see it, to have it forgotten, to know who read it."""
