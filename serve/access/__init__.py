"""Who may ask for what, and how often: the same for every door, which only reads the key from its request."""
