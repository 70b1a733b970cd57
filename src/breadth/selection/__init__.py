"""Which rollouts, pairs and tokens a method learns from, and the supervised loss that prepares a policy."""
