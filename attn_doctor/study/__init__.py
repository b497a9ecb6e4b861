"""Train the same model with several attentions and several seeds, and compare the results."""
