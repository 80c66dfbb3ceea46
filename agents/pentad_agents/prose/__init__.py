"""Reading prose: sentences, what matters in them, and whether a text says more than its source."""
