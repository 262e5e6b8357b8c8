"""The commands of `lrladder`, grouped by topic. `benchmark.cli` joins them."""
