"""What `make bench` measures. Each benchmark writes `benchmarks/results/<name>.json` and prints its rows."""
