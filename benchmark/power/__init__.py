"""The Power study: whether one LR setting serves every token count, batch and size, by schedule."""
