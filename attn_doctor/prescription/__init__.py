"""A faster attention in the user's own process."""
