"""Replace the attention in the user's own program by a faster one, and make the other changes of `trial --tune`."""
