"""`--provider auto`: each model runs on the provider that is fastest for it, and as exact."""
