"""Training on the toy world: architecture, fast forward, losses, optimizer, checkpoint."""
