"""Put a faster attention into the user's own process."""
