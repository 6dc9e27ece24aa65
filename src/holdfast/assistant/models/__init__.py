"""Language models: endpoints, their fallbacks, and how they are asked within a turn."""
